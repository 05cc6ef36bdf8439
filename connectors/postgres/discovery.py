"""The catalogue's tables as the user sees them."""

from collections.abc import Sequence

import psycopg

from connectors.base import Column, DiscoveredTable
from connectors.postgres.catalogue import SourceColumn, SourceTable, tables
from connectors.postgres.config import PostgresConfig
from connectors.postgres.filters import kind_of
from connectors.postgres.names import parse_name, public_name
from connectors.tables import incremental_fields

CURSOR_TYPES = {
    "int2": "integer",
    "int4": "integer",
    "int8": "integer",
    "numeric": "numeric",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamp",
}


def discover(
    connection: psycopg.Connection, config: PostgresConfig, names: Sequence[str] | None
) -> list[DiscoveredTable]:
    """Everything that the role may SELECT, or the named tables that exist."""
    return [described(table, config) for table in find(connection, config, names)]


def find(connection: psycopg.Connection, config: PostgresConfig, names: Sequence[str] | None) -> list[SourceTable]:
    if names is None:
        return tables(connection, config.schema)
    wanted = [parsed for parsed in (parse_name(name, config.schema) for name in names) if parsed]
    return tables(connection, config.schema, wanted)


def cursor_type(column: SourceColumn) -> str | None:
    """An ``IncrementalField``'s type; None for a column that is no cursor."""
    return CURSOR_TYPES.get(column.base)


def described(table: SourceTable, config: PostgresConfig) -> DiscoveredTable:
    return DiscoveredTable(
        name=public_name(table.schema, table.name, config.schema),
        kind=table.kind,
        columns=tuple(
            Column(each.name, each.type, not each.not_null, kind_of(each), each.labels) for each in table.columns
        ),
        primary_key=table.primary_key,
        unique_keys=table.unique_keys,
        incremental_fields=incremental_fields(table.columns, cursor_type, table.is_indexed),
        row_estimate=table.row_estimate,
        description=table.comment,
    )
