"""The PostgreSQL source type."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from connectors.base import DiscoveredTable, Division, HeldSnapshot, ReadRequest, Snapshot, SourceForm, TableRead
from connectors.capture import (
    CaptureProblem,
    CaptureRequest,
    CaptureSetup,
    CaptureStatus,
    ChangeStream,
    FollowedTable,
)
from connectors.errors import ConfigurationError, SourceError
from connectors.postgres import discovery
from connectors.postgres.config import FORM, PostgresConfig, parse_config
from connectors.postgres.partitions import hold
from connectors.postgres.reader import is_unchanged, open_read, read_or_divide
from connectors.postgres.replication.positions import log_end, writers
from connectors.postgres.replication.prerequisites import capture_problems
from connectors.postgres.replication.provision import set_up_capture, tear_down_capture
from connectors.postgres.replication.publications import publish_tables
from connectors.postgres.replication.status import capture_status
from connectors.postgres.replication.stream import follow
from connectors.postgres.session import MINIMUM_VERSION, application_name, cancel, connect, transaction
from connectors.surroundings import Surroundings

_SESSION_NAME = "syncline"


class PostgresConnector:
    """``connectors.base.Direct`` and ``Divisible``, and ``connectors.capture.Capturing``, for PostgreSQL."""

    source_type: str = "Postgres"
    engine: str = "postgres"
    form: SourceForm = FORM
    sync_types: tuple[str, ...] = ("full_refresh", "incremental", "append", "cdc")

    def parse_config(self, inputs: Mapping[str, Any], surroundings: Surroundings) -> PostgresConfig:
        return parse_config(inputs, surroundings)

    def validate(self, config: PostgresConfig) -> None:
        with connect(config, _SESSION_NAME) as connection:
            version = connection.info.server_version
            if version < MINIMUM_VERSION:
                raise ConfigurationError(
                    f"Syncline reads PostgreSQL {MINIMUM_VERSION // 10000} or later; this server is version "
                    f"{version // 10000}."
                )
            if config.schema is None:
                return
            known = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [config.schema]).fetchone()
            if known is None:
                raise ConfigurationError(
                    f"There is no schema {config.schema} in the database {config.database}.", attr="schema"
                )

    def discover(self, config: PostgresConfig, names: Sequence[str] | None = None) -> list[DiscoveredTable]:
        with transaction(config, _SESSION_NAME) as connection:
            return discovery.discover(connection, config, names)

    def read(self, config: PostgresConfig, request: ReadRequest) -> AbstractContextManager[TableRead]:
        return open_read(config, request)

    def read_or_divide(
        self, config: PostgresConfig, request: ReadRequest, part_bytes: int
    ) -> AbstractContextManager[TableRead | Division]:
        return read_or_divide(config, request, part_bytes)

    def hold(self, config: PostgresConfig, table: str, read_id: str) -> AbstractContextManager[HeldSnapshot]:
        return hold(config, application_name(read_id), table)

    def is_unchanged(self, config: PostgresConfig, request: ReadRequest, since: Snapshot, rows: int) -> bool:
        return is_unchanged(config, request, since, rows)

    def cancel(self, config: PostgresConfig, read_id: str) -> None:
        cancel(config, application_name(read_id))

    def capture_problems(
        self, config: PostgresConfig, setup: CaptureSetup, tables: Sequence[FollowedTable], existing: bool = False
    ) -> list[CaptureProblem]:
        return capture_problems(config, setup, tables, existing)

    def set_up_capture(self, config: PostgresConfig, setup: CaptureSetup, tables: Sequence[str]) -> int:
        return set_up_capture(config, setup, tables)

    def publish_tables(
        self, config: PostgresConfig, setup: CaptureSetup, tables: Sequence[str]
    ) -> Mapping[str, SourceError]:
        return publish_tables(config, setup, tables)

    def writers(self, config: PostgresConfig, table: str) -> frozenset[str]:
        return writers(config, table)

    def log_end(self, config: PostgresConfig) -> int:
        return log_end(config)

    def tear_down_capture(self, config: PostgresConfig, setup: CaptureSetup) -> None:
        tear_down_capture(config, setup)

    def capture_status(self, config: PostgresConfig, setup: CaptureSetup) -> CaptureStatus:
        return capture_status(config, setup)

    def follow(self, config: PostgresConfig, request: CaptureRequest) -> AbstractContextManager[ChangeStream]:
        return follow(config, request)
