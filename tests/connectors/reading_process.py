"""A read in a process of its own: ``python -m tests.connectors.reading_process SOURCE_TYPE TABLE wide|narrow``.

Takes the connection's fields as JSON on the first line of its input. Says ``reading`` after the first batch, reads on
at the next line, and says how that ended.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.base import ReadRequest
from connectors.errors import SourceError
from connectors.outbound import OPEN
from connectors.registry import connector
from connectors.surroundings import Surroundings

ROOT = Path(__file__).parents[2]


@contextmanager
def reading_elsewhere(
    source_type: str, inputs: dict[str, Any], table: str, *, narrow: bool = False
) -> Iterator["subprocess.Popen[str]"]:
    """A process that has read its first batch and waits for a line."""
    module = ["-m", "tests.connectors.reading_process"]
    command = [sys.executable, *module, source_type, table, "narrow" if narrow else "wide"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout
        try:
            child.stdin.write(json.dumps(inputs) + "\n")
            child.stdin.flush()
            assert child.stdout.readline() == "reading\n"
            yield child
        finally:
            child.kill()


def main(source_type: str, table: str, width: str) -> None:
    source = connector(source_type)
    config = source.parse_config(json.loads(sys.stdin.readline()), Surroundings(OPEN))
    try:
        with source.read(config, ReadRequest(table, "r", narrow=width == "narrow", batch_bytes=2**20)) as read:
            batches = read.batches()
            next(batches)
            print("reading", flush=True)
            sys.stdin.readline()
            for _ in batches:
                pass
        print("finished", flush=True)
    except SourceError as error:
        print(type(error).__name__, error.retryable, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
