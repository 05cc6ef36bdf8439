"""Every source type that Syncline can read. A new one is a line here."""

from connectors.base import Connector
from connectors.errors import ConfigurationError
from connectors.files import FilesConnector
from connectors.mysql import MySqlConnector
from connectors.postgres import PostgresConnector
from connectors.rest import RestApiConnector, declared_connectors
from connectors.singer import SingerConnector
from connectors.sqlite import SqliteConnector
from connectors.webhooks.connector import WebhookConnector

_WRITTEN: tuple[Connector, ...] = (
    PostgresConnector(),
    MySqlConnector(),
    FilesConnector(),
    SqliteConnector(),
    RestApiConnector(),
    SingerConnector(),
    WebhookConnector(),
)
_CONNECTORS: dict[str, Connector] = {each.source_type: each for each in (*_WRITTEN, *declared_connectors())}


class UnknownSourceTypeError(ConfigurationError):
    """There is no connector of that name."""


def connector(source_type: str) -> Connector:
    """The connector of a source type; ``UnknownSourceTypeError`` names those that there are."""
    try:
        return _CONNECTORS[source_type]
    except KeyError:
        known = ", ".join(sorted(_CONNECTORS))
        raise UnknownSourceTypeError(
            f"There is no source type {source_type!r}. Known source types: {known}.", attr="source_type"
        ) from None


def can_sync(source_type: str, sync_type: str) -> bool:
    """Whether tables of such a source can be copied in this way; no table of an unknown source type can."""
    return source_type in _CONNECTORS and sync_type in _CONNECTORS[source_type].sync_types


def all_connectors() -> list[Connector]:
    return list(_CONNECTORS.values())
