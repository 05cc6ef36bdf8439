import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from connectors.errors import SourceError
from connectors.singer.errors import TapFailedError
from tests.connectors.conformance.subject import Columns, Rows, Subject
from tests.connectors.singer.programs import allowing, printing_tap

_SCHEMAS: dict[str, dict[str, Any]] = {
    "integer": {"type": ["null", "integer"]},
    "text": {"type": ["null", "string"]},
    "time": {"type": ["null", "string"], "format": "date-time"},
}
_ZONED = pa.timestamp("us", "UTC")


class SingerSubject(Subject):
    """Each table is a file that a tap prints."""

    source_type = "Singer"
    in_cursor_order = False
    goes_by_cursor = False
    time_kind = "timestamptz"

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "streams"
        self._folder.mkdir()
        self.surroundings = allowing(printing_tap(folder))
        self._columns: dict[str, Columns] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}

    @classmethod
    @contextmanager
    def opened(cls, request: pytest.FixtureRequest) -> Iterator["SingerSubject"]:
        folder: Path = request.getfixturevalue("tmp_path")
        yield cls(folder)

    def inputs(self) -> dict[str, Any]:
        return {"tap": "tap-printing", "config": json.dumps({"folder": str(self._folder), "password": "right"})}

    def malformed(self) -> list[tuple[dict[str, Any], str]]:
        return [
            ({"tap": ""}, "tap"),
            ({"tap": "tap-other"}, "tap"),
            ({"tap": "/bin/sh"}, "tap"),
            ({"config": ""}, "config"),
            ({"config": "{"}, "config"),
            ({"config": "[]"}, "config"),
        ]

    def unwelcome(self) -> list[tuple[dict[str, Any], type[SourceError]]]:
        told = {"folder": str(self._folder)}
        return [
            ({"config": {**told, "password": self.secret}}, TapFailedError),
            ({"config": {"folder": str(self._folder / "gone")}}, TapFailedError),
        ]

    def confided(self) -> dict[str, Any]:
        return {"config": {"folder": str(self._folder), "password": self.secret}}

    def neutral(self, table: pa.Table) -> pa.Table:
        for place, column in enumerate(table.schema):
            if column.type == _ZONED:
                naive = column.with_type(pa.timestamp("us"))
                table = table.set_column(place, naive, table.column(place).cast(naive.type))
        return table

    def create(self, table: str, columns: Columns, rows: Rows) -> None:
        self._columns[table] = dict(columns)
        self._rows[table] = []
        self.insert(table, rows)

    def insert(self, table: str, rows: Rows) -> None:
        names = list(self._columns[table])
        self._rows[table] += [dict(zip(names, map(_json, row), strict=True)) for row in rows]
        self._write(table)

    def drop_column(self, table: str, column: str) -> None:
        self._columns[table] = {name: kind for name, kind in self._columns[table].items() if name != column}
        for row in self._rows[table]:
            del row[column]
        self._write(table)

    def drop(self, table: str) -> None:
        (self._folder / f"{table}.singer").unlink()

    def _write(self, table: str) -> None:
        properties = {name: _SCHEMAS[kind] for name, kind in self._columns[table].items()}
        schema = {"type": "object", "properties": properties}
        messages: list[dict[str, Any]] = [
            {"type": "SCHEMA", "stream": table, "schema": schema, "key_properties": ["id"]},
            *({"type": "RECORD", "stream": table, "record": row} for row in self._rows[table]),
        ]
        lines = [json.dumps(message, ensure_ascii=False) for message in messages]
        (self._folder / f"{table}.singer").write_text("\n".join(lines))


def _json(value: Any) -> Any:
    return value.replace(tzinfo=UTC).isoformat() if isinstance(value, datetime) else value
