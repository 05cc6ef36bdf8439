"""Reads from their first batch to their last, and what the parts of a read by cursor must be."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors.base import Connector, CursorRange, ReadReport, ReadRequest
from connectors.cursor import encode


@dataclass
class ReadResult:
    table: pa.Table
    batches: list[pa.RecordBatch]
    report: ReadReport

    def column(self, name: str) -> list[Any]:
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def rows(self, *names: str) -> list[tuple[Any, ...]]:
        """The values of these columns."""
        return list(zip(*(self.column(name) for name in names), strict=True))

    def warnings(self) -> dict[tuple[str, str], int]:
        return {(each.column, each.reason): each.count for each in self.report.warnings}


def read_all(connector: Connector, config: Any, request: ReadRequest) -> ReadResult:
    with connector.read(config, request) as opened:
        batches = list(opened.batches())
        assert {batch.schema for batch in batches} <= {opened.schema}
        return ReadResult(pa.Table.from_batches(batches, opened.schema), batches, opened.report)


def read_in_parts(
    read: Callable[[CursorRange], ReadResult], field: str, max_rows: int, most_parts: int = 100
) -> list[ReadResult]:
    """As a first load does it: each part begins at the last one's edge."""
    parts: list[ReadResult] = []
    lower = None
    while not parts or parts[-1].report.more:
        assert len(parts) < most_parts, "the cursor does not move"
        parts.append(read(CursorRange(field, lower, include_nulls=lower is None, max_rows=max_rows)))
        lower = encode(next(value for value in reversed(parts[-1].table.column(field)) if value.is_valid))
    return parts


def check_parts(parts: Iterable[ReadResult], field: str, ids: Iterable[int]) -> list[int]:
    """In order, nulls first, and together they have every row: only those at an edge twice. How many these are."""
    seen: set[int] = set()
    twice: list[int] = []
    for number, part in enumerate(parts):
        values, found = part.column(field), part.column("id")
        present = [value for value in values if value is not None]
        assert values == [None] * (len(values) - len(present)) + sorted(present)
        assert len(set(found)) == len(found)
        again = {key for key, value in part.rows("id", field) if value == present[0]} if number else set()
        assert set(found) & seen == again, "only rows at the edge come twice"
        twice.append(len(again))
        seen |= set(found)
    assert seen == set(ids)
    return twice
