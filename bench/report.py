"""The figures of a benchmark as one table."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.measure import Cost
from local.demo.contents import Contents


@dataclass(frozen=True)
class Row:
    name: str
    cost: Cost
    contents: Contents | None
    """None where the next row shows what this one left."""


def print_report(console: Console, table: str, source: Contents, rows: Sequence[Row], floor: Cost) -> None:
    """Wall time, CPU time and memory of the worker with its children (of the script, for the floor)."""
    console.print(f"\n{table}: {source.rows:,} rows, checksum {source.checksum} at the source")
    headings = ("", "wall s", "CPU-s", "CPU-s/M rows", "peak MB", "rows/s", "x floor", "checksum")
    shown = Table(*headings, box=None, pad_edge=False)
    for column in shown.columns[1:-1]:
        column.justify = "right"
    for row in rows:
        cost = row.cost
        shown.add_row(
            row.name,
            f"{cost.wall_seconds:.2f}",
            f"{cost.cpu_seconds:.2f}",
            f"{cost.cpu_seconds / source.rows * 1e6:.2f}",
            f"{cost.peak_memory_bytes / 1e6:.0f}",
            f"{source.rows / cost.wall_seconds:,.0f}",
            f"{cost.wall_seconds / floor.wall_seconds:.2f}",
            _verdict(source, row.contents),
        )
    console.print(shown)


def _verdict(source: Contents, found: Contents | None) -> str:
    if found is None:
        return ""
    return "[green]equal[/]" if found == source else f"[red]different: {found.rows:,} rows, {found.checksum}[/]"
