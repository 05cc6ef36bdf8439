import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.errors import ConfigurationError, SourceError
from connectors.outbound import OPEN
from connectors.surroundings import Surroundings
from tests.connectors.conformance.subject import Columns, Rows, Subject

_KINDS = {"integer": pa.int64(), "text": pa.string(), "time": pa.timestamp("us")}
_LONG_AGO = datetime(2001, 1, 1)  # noqa: DTZ001


class FilesSubject(Subject):
    """Rows of one time ``at`` lie in one file, which was last modified then."""

    source_type = "Files"
    own_columns = ("_file", "_row", "_file_modified_at")

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        for each in (self.folder, folder / "other"):
            each.mkdir()
        self.surroundings = Surroundings(OPEN, (self.folder,))
        self.closed = Surroundings(OPEN, (folder / "other",))
        self._tables: dict[str, str] = {"nothing": "nothing/*.parquet"}
        self._schemas: dict[str, pa.Schema] = {}
        self._numbers = itertools.count()

    @classmethod
    @contextmanager
    def opened(cls, request: pytest.FixtureRequest) -> Iterator["FilesSubject"]:
        folder: Path = request.getfixturevalue("tmp_path")
        yield cls(folder.resolve())

    def cursor(self, kind: str) -> str | None:
        return "_file_modified_at" if kind == "time" else None

    def inputs(self) -> dict[str, Any]:
        tables = self._tables if len(self._tables) == 1 else {k: v for k, v in self._tables.items() if k != "nothing"}
        return {"location": str(self.folder), "tables": json.dumps(tables)}

    def malformed(self) -> list[tuple[dict[str, Any], str]]:
        return [({"location": ""}, "location"), ({"location": "data"}, "location"), ({"tables": ""}, "tables")]

    def unwelcome(self) -> list[tuple[dict[str, Any], type[SourceError]]]:
        return [({"location": str(self.folder / "gone")}, ConfigurationError)]

    def create(self, table: str, columns: Columns, rows: Rows) -> None:
        self._tables[table] = f"{table}/*.parquet"
        self._schemas[table] = pa.schema([(name, _KINDS[kind]) for name, kind in columns.items()])
        (self.folder / table).mkdir()
        self.insert(table, rows)

    def insert(self, table: str, rows: Rows) -> None:
        schema = self._schemas[table]
        place = schema.names.index("at") if "at" in schema.names else None
        times = {row[place] or _LONG_AGO for row in rows} if place is not None and rows else {_LONG_AGO}
        for time in sorted(times):
            mine = [row for row in rows if place is None or (row[place] or _LONG_AGO) == time]
            columns = list(zip(*mine, strict=True)) or [()] * len(schema)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
            path = self.folder / table / f"{next(self._numbers):05}.parquet"
            pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path)
            os.utime(path, (time.replace(tzinfo=UTC).timestamp(),) * 2)

    def drop_column(self, table: str, column: str) -> None:
        for path in (self.folder / table).iterdir():
            times = path.stat().st_mtime
            pq.write_table(pq.read_table(path).drop_columns([column]), path)
            os.utime(path, (times, times))

    def drop(self, table: str) -> None:
        del self._tables[table]
