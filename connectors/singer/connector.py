"""The source type of Singer taps."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from connectors.base import DiscoveredTable, ReadRequest, SourceForm, TableRead
from connectors.singer import discovery
from connectors.singer.catalogue import discovered
from connectors.singer.config import FORM, SingerConfig, parse_config
from connectors.singer.reader import open_read
from connectors.surroundings import Surroundings


class SingerConnector:
    """``connectors.base.Connector`` for whatever a tap reads."""

    source_type: str = "Singer"
    form: SourceForm = FORM
    sync_types: tuple[str, ...] = ("full_refresh", "incremental", "append")

    def parse_config(self, inputs: Mapping[str, Any], surroundings: Surroundings) -> SingerConfig:
        return parse_config(inputs, surroundings)

    def validate(self, config: SingerConfig) -> None:
        discovered(config)

    def discover(self, config: SingerConfig, names: Sequence[str] | None = None) -> list[DiscoveredTable]:
        return discovery.discover(config, names)

    def read(self, config: SingerConfig, request: ReadRequest) -> AbstractContextManager[TableRead]:
        return open_read(config, request)

    def cancel(self, config: SingerConfig, read_id: str) -> None:
        """The tap ends with the reading process."""
