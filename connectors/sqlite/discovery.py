"""The file's tables as the user sees them."""

from connectors.base import Column, DiscoveredTable
from connectors.sqlite.catalogue import SourceTable
from connectors.sqlite.declared import KINDS, Rule
from connectors.tables import by_worth, incremental_fields

CURSOR_TYPES = {Rule.WHOLE: "integer", Rule.DATE: "date", Rule.MOMENT: "timestamp"}
UNDECLARED = "any"


def described(table: SourceTable) -> DiscoveredTable:
    return DiscoveredTable(
        name=table.name,
        kind=table.kind,
        columns=tuple(
            Column(each.name, each.type or UNDECLARED, not each.not_null, KINDS[each.rule]) for each in table.columns
        ),
        primary_key=table.primary_key,
        unique_keys=by_worth((index.columns for index in table.indexes if index.unique), table.columns),
        incremental_fields=incremental_fields(
            table.columns, lambda column: CURSOR_TYPES.get(column.rule), table.is_indexed
        ),
        row_estimate=table.row_estimate,
    )
