"""``make bench``: our copies beside the peers' on this machine, one after the other, as one table.

Ends with 1 where one of ours differs from its source, or failed.
"""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from bench.ground import PEERS_PYTHON, running
from bench.report import Row, Section, as_json, is_right, machine, print_report
from bench.workloads import WORKLOADS, Wish
from local.demo.client import DemoError
from local.errors import MissingProgramError


def main() -> int:
    arguments = _arguments()
    rounds = 1 if arguments.smoke else arguments.rounds
    wish = Wish(
        arguments.smoke, rounds, not arguments.without_peers, arguments.runs, arguments.plots, arguments.gigabytes
    )
    if wish.peers and not PEERS_PYTHON.exists():
        print("The peers are not installed: run `make bench`, or leave them out with --without-peers.")
        return 2
    described = machine()
    sections: list[Section] = []
    with running(lambda line: print(line, flush=True)) as ground:
        for name in arguments.workload or _usual(wish):
            try:
                sections += WORKLOADS[name].run(ground, wish)
            except (DemoError, MissingProgramError) as error:
                sections.append(Section(name, [Row("Syncline", 1, None, ours=True, note=str(error))]))
    console = Console(width=190, highlight=False)
    console.print(f"\n{described}")
    print_report(console, sections)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": described, "rows": as_json(sections)}, indent=1))
    return 0 if is_right(sections) else 1


def _usual(wish: Wish) -> list[str]:
    return [name for name, workload in WORKLOADS.items() if workload.main or wish.smoke]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    described = "; ".join(f"{name}: {workload.about}" for name, workload in WORKLOADS.items())
    parser.add_argument(
        "--workload", action="append", choices=list(WORKLOADS), help=f"may be repeated; the main ones. {described}"
    )
    parser.add_argument("--smoke", action="store_true", help="small sizes, once each: are the contents right?")
    parser.add_argument("--rounds", type=int, default=2, help="the best of so many counts, of whole copies")
    parser.add_argument("--without-peers", action="store_true", help="ourselves, the floor and COPY only")
    parser.add_argument("--runs", type=int, help="of the soak")
    parser.add_argument("--gigabytes", type=float, help="of the one large file")
    parser.add_argument("--plots", type=Path, help="draw into this folder what is drawn")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
