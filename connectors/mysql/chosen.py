"""Columns in a type that the user chose: what to select for them.

What the chosen type cannot hold is null and counted, when the values have arrived. ``double`` alone takes the nearest
of its values.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from connectors.mysql.catalogue import SourceColumn, SourceTable
from connectors.mysql.columns import NO_DAY, NOT_UTF8, ColumnPlan, named, plan
from connectors.mysql.filters import kind_of
from connectors.overrides import TEXT
from connectors.reads import chosen_type

LONG = "long"
_TIMES = ("timestamp", "timestamp_ntz")


def planned(
    table: SourceTable, names: Collection[str], to_text: Collection[str], chosen: Mapping[str, str]
) -> list[ColumnPlan]:
    """Plans of the named columns, in the order of the table. ``SchemaChangedError``: a choice became impossible."""
    return [
        plan_as(chosen[each.name], table, each) if each.name in chosen else plan(each, to_text=each.name in to_text)
        for each in named(table, names)
    ]


def plan_as(wanted: str, table: SourceTable, column: SourceColumn) -> ColumnPlan:
    """The plan of a column in the lake type that was chosen for it."""
    kind = kind_of(column)
    arrow = chosen_type(table, column, kind, wanted)
    trimmed = kind == "numeric" and wanted in (TEXT, LONG)
    misfits = {TEXT: NOT_UTF8, **dict.fromkeys(_TIMES, NO_DAY)}
    misfit = misfits.get(wanted, f"does not fit {wanted}")
    return replace(plan(column), arrow=arrow, trimmed=trimmed, misfit=misfit)
