"""The file's tables as the user sees them."""

from connectors.base import Column, DiscoveredTable, IncrementalField
from connectors.sqlite.catalogue import SourceColumn, SourceTable
from connectors.sqlite.declared import KINDS, Rule

CURSOR_TYPES = {Rule.WHOLE: "integer", Rule.DATE: "date", Rule.MOMENT: "timestamp"}
UNDECLARED = "any"


def described(table: SourceTable) -> DiscoveredTable:
    """Unique keys stand in the order of their worth: those without nullable columns first."""
    columns = {column.name: column for column in table.columns}
    unique = [
        tuple(name for name in index.columns if name is not None)
        for index in table.indexes
        if index.unique and None not in index.columns
    ]
    return DiscoveredTable(
        name=table.name,
        kind=table.kind,
        columns=tuple(
            Column(each.name, each.type or UNDECLARED, not each.not_null, KINDS[each.rule]) for each in table.columns
        ),
        primary_key=table.primary_key,
        unique_keys=tuple(
            sorted(dict.fromkeys(unique), key=lambda key: not all(columns[name].not_null for name in key))
        ),
        incremental_fields=tuple(
            _incremental_field(column, table) for column in table.columns if column.rule in CURSOR_TYPES
        ),
        row_estimate=table.row_estimate,
    )


def _incremental_field(column: SourceColumn, table: SourceTable) -> IncrementalField:
    return IncrementalField(
        field=column.name,
        field_type=CURSOR_TYPES[column.rule],
        label=column.name,
        type=column.type,
        nullable=not column.not_null,
        is_indexed=table.is_indexed(column.name),
    )
