"""The source type of files."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from connectors.base import DiscoveredTable, ReadRequest, SourceForm, TableRead
from connectors.files import discovery
from connectors.files.config import FORM, FilesConfig, parse_config
from connectors.files.place import opened_place
from connectors.files.reader import open_read
from connectors.surroundings import Surroundings


class FilesConnector:
    """``connectors.base.Connector`` for files."""

    source_type: str = "Files"
    form: SourceForm = FORM
    sync_types: tuple[str, ...] = ("full_refresh", "incremental", "append")

    def parse_config(self, inputs: Mapping[str, Any], surroundings: Surroundings) -> FilesConfig:
        return parse_config(inputs, surroundings)

    def validate(self, config: FilesConfig) -> None:
        with opened_place(config.place) as place:
            place.check(config.tables[0].patterns)

    def discover(self, config: FilesConfig, names: Sequence[str] | None = None) -> list[DiscoveredTable]:
        return discovery.discover(config, names)

    def read(self, config: FilesConfig, request: ReadRequest) -> AbstractContextManager[TableRead]:
        return open_read(config, request)

    def cancel(self, config: FilesConfig, read_id: str) -> None:
        """Nothing is left at the source when the reading process ends."""
