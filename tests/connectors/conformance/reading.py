"""Reads of a subject, here and in a process of its own (``python -m tests.connectors.conformance.reading``)."""

import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors.base import CursorRange, ReadReport, ReadRequest
from connectors.cursor import encode
from connectors.registry import connector
from tests.connectors.conformance.subject import Subject


@dataclass
class Result:
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


def read(subject: Subject, table: str, **request: Any) -> Result:
    return read_by(subject.source_type, subject.config(), ReadRequest(table, "conformance-read", **request))


def read_by(source_type: str, config: Any, request: ReadRequest) -> Result:
    with connector(source_type).read(config, request) as opened:
        batches = list(opened.batches())
        assert {batch.schema for batch in batches} <= {opened.schema}
        return Result(pa.Table.from_batches(batches, opened.schema), batches, opened.report)


def read_in_parts(subject: Subject, table: str, field: str, max_rows: int, most_parts: int = 100) -> list[Result]:
    """As a first load does it: each part begins at the last one's edge."""
    parts: list[Result] = []
    lower = None
    while not parts or parts[-1].report.more:
        assert len(parts) < most_parts, "the cursor does not move"
        cursor = CursorRange(field, lower, include_nulls=lower is None, max_rows=max_rows)
        parts.append(read(subject, table, cursor=cursor))
        lower = encode(next(value for value in reversed(parts[-1].table.column(field)) if value.is_valid))
    return parts


def read_elsewhere(subject: Subject, request: ReadRequest) -> Result:
    """The same in another process, which gets everything as a pickle."""
    order = pickle.dumps((subject.source_type, subject.config(), request))
    command = [sys.executable, "-m", "tests.connectors.conformance.reading"]
    done = subprocess.run(command, input=order, stdout=subprocess.PIPE, check=True)
    found = pickle.loads(done.stdout)  # noqa: S301
    assert isinstance(found, Result)
    return found


if __name__ == "__main__":
    from tests.connectors.conformance import reading

    sys.stdout.buffer.write(pickle.dumps(reading.read_by(*pickle.loads(sys.stdin.buffer.read()))))  # noqa: S301
