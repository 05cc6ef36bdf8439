"""A printing tap with its files, seen through the connector."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectors.base import CursorRange, DiscoveredTable, ReadRequest
from connectors.singer import SingerConnector
from connectors.singer.config import SingerConfig
from tests.connectors.reading import ReadResult, read_all
from tests.connectors.singer.programs import allowing, printing_tap

SINGER = SingerConnector()
Message = dict[str, Any]
NUMBERED = {"id": {"type": "integer"}}


def schema(stream: str, properties: Mapping[str, Any], key: tuple[str, ...] = (), **more: Any) -> Message:
    declared = {"type": "object", "properties": properties, **more}
    return {"type": "SCHEMA", "stream": stream, "schema": declared, "key_properties": list(key)}


def record(stream: str, version: int | None = None, **values: Any) -> Message:
    told = {"type": "RECORD", "stream": stream, "record": values}
    return told if version is None else {**told, "version": version}


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "streams"
        self.folder.mkdir()
        self.surroundings = allowing(printing_tap(folder))

    def put(self, stream: str, *messages: Message | str) -> None:
        """What the tap prints for a stream: messages, or lines as they are."""
        lines = [each if isinstance(each, str) else json.dumps(each) for each in messages]
        (self.folder / f"{stream}.singer").write_text("\n".join(lines) + "\n")

    def config(self, **more: Any) -> SingerConfig:
        """``act``: what the tap does in place of printing the file."""
        inputs = {"tap": "tap-printing", "config": {"folder": str(self.folder), **more}}
        return SINGER.parse_config(inputs, self.surroundings)

    def read(self, stream: str, config: SingerConfig | None = None, **request: Any) -> ReadResult:
        return read_all(SINGER, config or self.config(), ReadRequest(stream, "test-read", **request))

    def read_after(self, stream: str, field: str, before: ReadResult | None, **more: Any) -> ReadResult:
        """By cursor, from what the read before has left."""
        state = None if before is None else before.report.state
        return self.read(stream, self.config(**more), cursor=CursorRange(field), state=state)

    def discover(self, **more: Any) -> list[DiscoveredTable]:
        return SINGER.discover(self.config(**more))
