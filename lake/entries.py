"""An entry of the change log: whole transactions of a source, and where each table's changes of them lie."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lake.columns import StoredColumns
from lake.parquet import WrittenFile

Place = tuple[int, int]
"""Position of a transaction, and a change's place in it."""


@dataclass(frozen=True)
class Segment:
    """Changes of one table that have the same columns, in the order of the log.

    ``columns`` are the source's, under their stored names; in the files ``lake.marks.MARKS`` come behind them.
    """

    columns: StoredColumns
    files: tuple[WrittenFile, ...]
    rows: int
    first: Place
    last: Place
    has_inserts: bool = False
    has_updates: bool = False
    has_deletes: bool = False
    has_truncate: bool = False
    has_moves: bool = False
    has_unchanged: bool = False
    warnings: tuple[Mapping[str, Any], ...] = ()
    """Values that became null: ``column``, ``reason``, ``count``."""


@dataclass(frozen=True)
class Entry:
    """All transactions up to ``position`` are in this entry and those before it, each in one of them.

    ``sequence`` counts the entries of an ``epoch`` from 1, without a gap.
    """

    epoch: int
    sequence: int
    position: int
    members: str
    """Digest of the tables that were captured, with their shapes."""
    captured_at: str
    last_commit_at: str | None
    """Of its newest change. Both times are ISO, UTC."""
    segments: Mapping[str, tuple[Segment, ...]]
    """By table; more than one of a table whose columns changed in between, in their order."""
    writer: str
    """Who wrote it: another for each attempt."""
    shapes_from: int = 0
    shapes_to: int = 0
    """The members had their shapes at some moment when the log ended between these two positions."""

    @property
    def is_settled(self) -> bool:
        """What comes behind it is of tables that have these shapes, or later ones."""
        return self.position >= self.shapes_to

    def has_all_until(self, position: int) -> bool:
        """Changes and shapes."""
        return min(self.position, self.shapes_from) >= position

    @property
    def paths(self) -> Sequence[str]:
        return [file.path for segments in self.segments.values() for one in segments for file in one.files]

    def as_bytes(self) -> bytes:
        segments = {table: [_segment_as_json(one) for one in parts] for table, parts in self.segments.items()}
        return json.dumps({**vars(self), "segments": segments}, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Entry":
        values = json.loads(content)
        parts = {table: tuple(map(_segment_from_json, found)) for table, found in values["segments"].items()}
        return cls(**{**values, "segments": parts})


def _segment_as_json(segment: Segment) -> dict[str, Any]:
    return {**vars(segment), "columns": segment.columns.as_json(), "files": [vars(file) for file in segment.files]}


def _segment_from_json(values: Mapping[str, Any]) -> Segment:
    return Segment(
        **{
            **values,
            "columns": StoredColumns.from_json(values["columns"]),
            "files": tuple(WrittenFile(**file) for file in values["files"]),
            "first": tuple(values["first"]),
            "last": tuple(values["last"]),
            "warnings": tuple(values["warnings"]),
        }
    )
