"""The catalogue's tables as the user sees them."""

from collections.abc import Sequence

from connectors.base import Column, DiscoveredTable, IncrementalField
from connectors.mysql.catalogue import SourceColumn, SourceTable, tables
from connectors.mysql.columns import INTEGERS
from connectors.mysql.config import MySqlConfig
from connectors.mysql.filters import kind_of, labels_of
from connectors.mysql.session import Session

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
    """Unique keys stand in the order of their worth: those without nullable columns first."""
    readable = {column.name: column for column in table.columns}
    primary = [_names(index.columns) for index in table.indexes if index.primary]
    unique = [_names(index.columns) for index in table.indexes if index.unique and not index.primary]
    usable = [key for key in dict.fromkeys(unique) if key and set(key) <= readable.keys()]
    return DiscoveredTable(
        name=table.name,
        kind=table.kind,
        columns=tuple(
            Column(each.name, each.type, each.nullable, kind_of(each), labels_of(each)) for each in table.columns
        ),
        primary_key=next((key for key in primary if set(key) <= readable.keys()), ()),
        unique_keys=tuple(sorted(usable, key=lambda key: any(readable[name].nullable for name in key))),
        incremental_fields=tuple(_incremental_fields(table)),
        row_estimate=table.row_estimate,
        description=table.comment,
    )


def _names(columns: tuple[str | None, ...]) -> tuple[str, ...]:
    """None where one of them is an expression: such an index is no key of columns."""
    return () if None in columns else tuple(name for name in columns if name is not None)


def _incremental_fields(table: SourceTable) -> list[IncrementalField]:
    return [
        IncrementalField(
            field=column.name,
            field_type=kind,
            label=column.name,
            type=column.type,
            nullable=column.nullable,
            is_indexed=table.is_indexed(column.name),
        )
        for column in table.columns
        if (kind := cursor_type(column)) is not None
    ]
