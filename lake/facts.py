"""What a table is, in figures: for the API, and to see what maintenance it owes."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lake.columns import source_name
from lake.compaction import crowded, layout_of
from lake.evolution import describe_type
from lake.log import Snapshot
from lake.position import Position
from lake.storage import LakeStore
from lake.table import open_table

CHECKPOINT_COMMITS = 20
"""Commits since the last checkpoint after which there is to be another: what opening a table reads one by one."""


@dataclass(frozen=True)
class Debt:
    """What slows a table down. Old files are the sweep's business, and named to be seen."""

    small_files: int = 0
    small_bytes: int = 0
    crowded_files: int = 0
    """Those of the small ones that a compaction would merge now."""
    commits: int = 0
    """Since the last checkpoint."""
    removed_files: int = 0
    """Files that left the table and that its log still names."""

    @property
    def is_due(self) -> bool:
        return self.crowded_files > 0 or self.commits >= CHECKPOINT_COMMITS


@dataclass(frozen=True)
class TableFacts:
    """``size_bytes`` is of the files that make the table up now."""

    row_count: int
    size_bytes: int
    columns: list[dict[str, Any]]
    debt: Debt


def facts(store: LakeStore, path: str) -> TableFacts:
    """From the log alone; no data file is opened."""
    table = open_table(store, path)
    return facts_of(table.position, table.schema, table.snapshot())


def facts_of(position: Position, schema: pa.Schema | None, snapshot: Snapshot) -> TableFacts:
    """From what is known of one version of the table: nothing is asked of the store."""
    files = snapshot.files.values()
    columns = [
        {"key": column.name, "name": source_name(column), "type": describe_type(column.type), "nullable": True}
        for column in schema or ()
    ]
    return TableFacts(
        row_count=sum(file.rows for file in files),
        size_bytes=sum(file.size_bytes for file in files),
        columns=columns,
        debt=debt_of(position, schema, snapshot),
    )


def debt_of(position: Position, schema: pa.Schema | None, snapshot: Snapshot) -> Debt:
    files = list(snapshot.files.values())
    layout = layout_of(position, schema)
    small = [file for file in files if layout is not None and layout.is_small(file)]
    return Debt(
        small_files=len(small),
        small_bytes=sum(file.size_bytes for file in small),
        crowded_files=len(crowded(files, layout)) if layout is not None else 0,
        commits=snapshot.version - snapshot.checkpoint,
        removed_files=snapshot.tombstones,
    )
