"""The SQLite source type."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from connectors.base import DiscoveredTable, ReadRequest, SourceForm, TableRead
from connectors.sqlite.catalogue import tables
from connectors.sqlite.config import FORM, SqliteConfig, parse_config
from connectors.sqlite.discovery import described
from connectors.sqlite.reader import open_read
from connectors.sqlite.session import transaction
from connectors.surroundings import Surroundings


class SqliteConnector:
    """``connectors.base.Direct`` for SQLite."""

    source_type: str = "SQLite"
    engine: str = "sqlite"
    form: SourceForm = FORM
    sync_types: tuple[str, ...] = ("full_refresh", "incremental", "append")

    def parse_config(self, inputs: Mapping[str, Any], surroundings: Surroundings) -> SqliteConfig:
        return parse_config(inputs, surroundings)

    def validate(self, config: SqliteConfig) -> None:
        with transaction(config, rows=False) as session:
            session.check_steady()

    def discover(self, config: SqliteConfig, names: Sequence[str] | None = None) -> list[DiscoveredTable]:
        with transaction(config, rows=False) as session:
            found = [described(table) for table in tables(session, names)]
            session.check_steady()
            return found

    def read(self, config: SqliteConfig, request: ReadRequest) -> AbstractContextManager[TableRead]:
        return open_read(config, request)

    def cancel(self, config: SqliteConfig, read_id: str) -> None:
        """There is nobody at the source to tell: a read ends with the process that does it."""
