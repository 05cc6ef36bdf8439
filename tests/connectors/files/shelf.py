"""Files in a folder that is allowed, seen through the connector."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors.base import CursorRange, DiscoveredTable, ReadReport, ReadRequest
from connectors.files import FilesConnector
from connectors.files.config import FilesConfig
from connectors.outbound import OPEN
from connectors.surroundings import Surroundings

FILES = FilesConnector()
OWN = ("_file", "_row", "_file_modified_at")


@dataclass
class Read:
    table: pa.Table
    batches: list[pa.RecordBatch]
    report: ReadReport

    def column(self, name: str) -> list[Any]:
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def kind(self, name: str) -> pa.DataType:
        return self.table.schema.field(name).type

    def rows(self) -> list[dict[str, Any]]:
        """Without our own columns."""
        found: list[dict[str, Any]] = self.table.drop_columns([name for name in OWN if name in self.names]).to_pylist()
        return found

    @property
    def names(self) -> list[str]:
        names: list[str] = self.table.schema.names
        return names

    def warnings(self) -> dict[tuple[str, str], int]:
        return {(each.column, each.reason): each.count for each in self.report.warnings}


def read(config: FilesConfig, table: str, cursor: CursorRange | None = None, **request: Any) -> Read:
    with FILES.read(config, ReadRequest(table, "test-read", cursor=cursor, **request)) as opened:
        batches = list(opened.batches())
        return Read(pa.Table.from_batches(batches, opened.schema), batches, opened.report)


@dataclass
class Shelf:
    folder: Path

    def put(self, name: str, contents: bytes | str, modified_at: datetime | None = None) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
        if modified_at is not None:
            self.touch(name, modified_at)
        return path

    def touch(self, name: str, modified_at: datetime) -> None:
        microseconds = round(modified_at.timestamp() * 1_000_000)
        os.utime(self.folder / name, ns=(microseconds * 1000, microseconds * 1000))

    def config(self, tables: Mapping[str, Any] | str, location: str = "") -> FilesConfig:
        given = tables if isinstance(tables, str) else json.dumps(tables)
        inputs = {"location": str(self.folder / location), "tables": given}
        return FILES.parse_config(inputs, Surroundings(OPEN, (self.folder.resolve(),)))

    def discover(self, tables: Mapping[str, Any] | str) -> dict[str, DiscoveredTable]:
        return {table.name: table for table in FILES.discover(self.config(tables))}

    def read(self, files: Any, cursor: CursorRange | None = None, **request: Any) -> Read:
        """``files``: a pattern, or the options of the one table."""
        return read(self.config({"t": files}), "t", cursor, **request)

    def read_one(self, name: str, contents: bytes | str, /, **options: Any) -> Read:
        """A file of its own, with the options of its table."""
        self.put(name, contents)
        return self.read({"files": name, **options})
