import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest

from connectors.errors import CredentialsError, SourceError, UnreachableError
from tests.connectors.conformance.subject import Columns, Rows, Subject
from tests.providers.server import Asked, Provider, Reply, running

_KINDS = {"integer": "long", "text": "string", "time": "timestamp_ntz"}
_CURSORS = {"n": "number", "at": "iso8601"}
_PAGE = 100


class RestSubject(Subject):
    """Each table is a resource; by which of its columns it is incremental the read decides."""

    source_type = "RestApi"
    in_cursor_order = False

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._columns: dict[str, dict[str, str]] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._cursor = "n"

    @classmethod
    @contextmanager
    def opened(cls, request: pytest.FixtureRequest) -> Iterator["RestSubject"]:
        with running() as provider:
            yield cls(provider)

    def cursor(self, kind: str) -> str | None:
        self._cursor = {"integer": "n", "time": "at"}[kind]
        return self._cursor

    def inputs(self) -> dict[str, Any]:
        resources = [self._resource(name, columns) for name, columns in self._columns.items()]
        declared = {
            "auth": {"type": "bearer", "token": "{api_key}"},
            "resources": resources or [{"name": "nothing", "path": "nothing"}],
        }
        return {"base_url": self._provider.url, "api_key": "key", "declaration": json.dumps(declared)}

    def malformed(self) -> list[tuple[dict[str, Any], str]]:
        return [
            ({"base_url": ""}, "base_url"),
            ({"base_url": "example.com"}, "base_url"),
            ({"declaration": ""}, "declaration"),
            ({"declaration": "{"}, "declaration"),
            ({"declaration": {"resources": []}}, "declaration"),
        ]

    def unwelcome(self) -> list[tuple[dict[str, Any], type[SourceError]]]:
        return [({"api_key": self.secret}, CredentialsError), ({"base_url": "http://127.0.0.1:1"}, UnreachableError)]

    def create(self, table: str, columns: Columns, rows: Rows) -> None:
        self._columns[table] = {name: _KINDS[kind] for name, kind in columns.items()}
        self._rows[table] = []
        self._provider.routes[f"/{table}"] = self._answer
        self.insert(table, rows)

    def insert(self, table: str, rows: Rows) -> None:
        self._rows[table] += [dict(zip(self._columns[table], map(_json, row), strict=True)) for row in rows]

    def drop_column(self, table: str, column: str) -> None:
        del self._columns[table][column]
        for row in self._rows[table]:
            del row[column]

    def drop(self, table: str) -> None:
        del self._columns[table]

    def _resource(self, name: str, columns: dict[str, str]) -> dict[str, Any]:
        cursor = {"field": self._cursor, "param": "since", "format": _CURSORS[self._cursor]}
        return {
            "name": name,
            "path": name,
            "records": "data",
            "paging": {"type": "cursor", "param": "after", "token": "next"},
            "primary_key": ["id"],
            "columns": columns,
            **({"incremental": cursor} if self._cursor in columns else {}),
        }

    def _answer(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != "Bearer key":
            return Reply({"message": "no such key"}, 401)
        rows = self._rows[asked.path.removeprefix("/")]
        if since := asked.query.get("since"):
            rows = [row for row in rows if _is_after(row[self._cursor], since)]
        first = int(asked.query.get("after", 0))
        end = first + _PAGE
        return Reply({"data": rows[first:end], "next": end if end < len(rows) else None})


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _is_after(value: Any, since: str) -> bool:
    if value is None:
        return False
    return value > int(since) if isinstance(value, int) else f"{value}Z" > since
