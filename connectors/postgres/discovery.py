"""The catalogue's tables as the user sees them."""

from collections.abc import Sequence

import psycopg

from connectors.base import Column, DiscoveredTable, IncrementalField
from connectors.postgres.catalogue import SourceColumn, SourceTable, tables
from connectors.postgres.config import PostgresConfig
from connectors.postgres.filters import kind_of
from connectors.postgres.names import parse_name, public_name

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


def described(table: SourceTable, config: PostgresConfig) -> DiscoveredTable:
    """Unique keys stand in the order of their worth: those without nullable columns first."""
    readable = {column.name: column for column in table.columns}
    primary = [_names(index.columns) for index in table.indexes if index.primary]
    unique = [_names(index.columns) for index in table.indexes if index.unique and not index.primary]
    usable = [key for key in dict.fromkeys(unique) if key and set(key) <= readable.keys()]
    return DiscoveredTable(
        name=public_name(table.schema, table.name, config.schema),
        kind=table.kind,
        columns=tuple(
            Column(each.name, each.type, not each.not_null, kind_of(each), each.labels) for each in table.columns
        ),
        primary_key=next((key for key in primary if set(key) <= readable.keys()), ()),
        unique_keys=tuple(sorted(usable, key=lambda key: not all(readable[name].not_null for name in key))),
        incremental_fields=tuple(
            _incremental_field(column, table) for column in table.columns if column.base in CURSOR_TYPES
        ),
        row_estimate=table.row_estimate,
        description=table.comment,
    )


def _names(columns: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(name for name in columns if name is not None)


def _incremental_field(column: SourceColumn, table: SourceTable) -> IncrementalField:
    return IncrementalField(
        field=column.name,
        field_type=CURSOR_TYPES[column.base],
        label=column.name,
        type=column.type,
        nullable=not column.not_null,
        is_indexed=table.is_indexed(column.name),
    )
