"""The figures of the workloads as one table."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from bench.contents import Comparison
from bench.measure import Cost

HEADINGS = (
    "",
    "wall s",
    "x ours",
    "rows/s",
    "CPU-s/M",
    "db CPU-s/M",
    "peak MB",
    "above base",
    "one child",
    "MB written",
    "read/rows",
    "contents",
)


@dataclass(frozen=True)
class Row:
    name: str
    rows: int
    """What the rates are counted by."""
    cost: Cost | None
    """None where it failed; ``note`` says why."""
    comparison: Comparison | None = None
    """None where nothing was left to compare, or the next row shows it."""
    ours: bool = False
    note: str = ""


@dataclass
class Section:
    """One workload; the first row of ours is what ``x ours`` compares with."""

    title: str
    rows: list[Row]
    per: int = 1_000_000
    """What CPU seconds are counted by: a million rows, or one run."""


def print_report(console: Console, sections: Sequence[Section]) -> None:
    shown = Table(*HEADINGS, box=None, pad_edge=False)
    for column in shown.columns[1:-1]:
        column.justify = "right"
    for section in sections:
        shown.add_row(f"[bold]{section.title}[/]")
        ours = next((row.cost for row in section.rows if row.ours and row.cost), None)
        for row in section.rows:
            shown.add_row(f"  {row.name}", *_figures(row, ours, section.per))
    console.print(shown)


def is_right(sections: Sequence[Section]) -> bool:
    """We made every copy, and each holds what the source holds. What peers alter is their result, not a failure."""
    rows = [row for section in sections for row in section.rows if row.ours]
    return all(row.cost and (row.comparison is None or row.comparison.equal) for row in rows)


def as_json(sections: Sequence[Section]) -> list[dict[str, object]]:
    return [
        {
            "workload": section.title,
            "name": row.name,
            "rows": row.rows,
            "ours": row.ours,
            **(vars(row.cost) if row.cost else {}),
            "contents": str(row.comparison) if row.comparison else None,
            "note": row.note,
        }
        for section in sections
        for row in section.rows
    ]


def machine() -> str:
    """What the figures were measured on."""
    memory = psutil.virtual_memory().total / 2**30
    load = psutil.getloadavg()[0]
    return (
        f"{_processor()}, {psutil.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; load average before the start {load:.1f}"
    )


def _figures(row: Row, ours: Cost | None, per: int) -> list[str]:
    cost, note = row.cost, f" {row.note}" if row.note else ""
    if cost is None:
        return ["failed", *[""] * (len(HEADINGS) - 3), row.note]
    counted, rate = row.rows / per, row.rows / cost.wall_seconds
    verdict = str(row.comparison) if row.comparison else ""
    return [
        f"{cost.wall_seconds:.2f}",
        f"{cost.wall_seconds / ours.wall_seconds:.2f}" if ours else "",
        f"{rate:,.0f}" if rate >= 100 else f"{rate:.2f}",
        f"{cost.cpu_seconds / counted:,.2f}",
        f"{cost.database_cpu_seconds / counted:,.2f}",
        f"{cost.peak_memory_bytes / 1e6:,.0f}",
        f"{(cost.peak_memory_bytes - cost.base_memory_bytes) / 1e6:,.0f}",
        f"{cost.peak_child_bytes / 1e6:,.0f}" if cost.peak_child_bytes else "",
        f"{cost.bytes_written / 1e6:,.1f}",
        f"{cost.source_rows_read / row.rows:.2f}",
        verdict + note,
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
