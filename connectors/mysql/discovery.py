"""The catalogue's tables as the user sees them."""

from collections.abc import Sequence

from connectors.base import Column, DiscoveredTable
from connectors.mysql.catalogue import SourceColumn, SourceTable, tables
from connectors.mysql.columns import INTEGERS
from connectors.mysql.config import MySqlConfig
from connectors.mysql.filters import kind_of, labels_of
from connectors.mysql.session import Session
from connectors.tables import incremental_fields

CURSOR_TYPES = {
    **dict.fromkeys(INTEGERS, "integer"),
    "decimal": "numeric",
    "date": "date",
    "datetime": "timestamp",
    "timestamp": "timestamp",
}


def discover(session: Session, config: MySqlConfig, names: Sequence[str] | None) -> list[DiscoveredTable]:
    """Everything that the user may SELECT, or the named tables that exist."""
    return [described(table) for table in tables(session, config.database, names)]


def cursor_type(column: SourceColumn) -> str | None:
    """An ``IncrementalField``'s type; None for a column that is no cursor."""
    if column.base == "bigint" and column.unsigned:
        return "numeric"
    return CURSOR_TYPES.get(column.base)


def described(table: SourceTable) -> DiscoveredTable:
    return DiscoveredTable(
        name=table.name,
        kind=table.kind,
        columns=tuple(
            Column(each.name, each.type, not each.not_null, kind_of(each), labels_of(each)) for each in table.columns
        ),
        primary_key=table.primary_key,
        unique_keys=table.unique_keys,
        incremental_fields=incremental_fields(table.columns, cursor_type, table.is_indexed),
        row_estimate=table.row_estimate,
        description=table.comment,
    )
