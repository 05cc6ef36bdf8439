"""The MySQL source type."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from connectors.base import DiscoveredTable, ReadRequest, SourceForm, TableRead
from connectors.errors import ConfigurationError
from connectors.mysql import discovery
from connectors.mysql.config import FORM, MySqlConfig, parse_config
from connectors.mysql.reader import open_read
from connectors.mysql.session import cancel, connect, mark_of
from connectors.surroundings import Surroundings

_SESSION_MARK = "syncline"
MINIMUM_MYSQL, MINIMUM_MARIADB = (5, 7), (10, 3)


class MySqlConnector:
    """``connectors.base.Direct`` for MySQL and MariaDB."""

    source_type: str = "MySQL"
    engine: str = "mysql"
    form: SourceForm = FORM
    sync_types: tuple[str, ...] = ("full_refresh", "incremental", "append")

    def parse_config(self, inputs: Mapping[str, Any], surroundings: Surroundings) -> MySqlConfig:
        return parse_config(inputs, surroundings)

    def validate(self, config: MySqlConfig) -> None:
        with connect(config, _SESSION_MARK) as session:
            # Whom the server lets in with an expired password may not even do this.
            session.rows("SELECT 1")
            least = MINIMUM_MARIADB if session.is_mariadb else MINIMUM_MYSQL
            found = re.match(r"(\d+)\.(\d+)", session.version)
            if found is None or (int(found[1]), int(found[2])) < least:
                raise ConfigurationError(
                    f"Syncline reads MySQL {_text(MINIMUM_MYSQL)} or MariaDB {_text(MINIMUM_MARIADB)} and later; this "
                    f"server is version {session.version}."
                )

    def discover(self, config: MySqlConfig, names: Sequence[str] | None = None) -> list[DiscoveredTable]:
        with connect(config, _SESSION_MARK) as session:
            return discovery.discover(session, config, names)

    def read(self, config: MySqlConfig, request: ReadRequest) -> AbstractContextManager[TableRead]:
        return open_read(config, request)

    def cancel(self, config: MySqlConfig, read_id: str) -> None:
        cancel(config, mark_of(read_id))


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
