"""What each column of a read becomes: by its declaration where all values fit that, else text.

Which values there are is asked of the rows of the read, in its own transaction. A read by cursor goes to rows that are
stored already, so its columns are of types that hold those of other reads: the declared one, or text. Columns without
a declaration are judged by all rows of the table then, and not by those of the read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import pyarrow as pa

from connectors.errors import SchemaChangedError
from connectors.overrides import OverrideError, override_type
from connectors.sqlite.catalogue import SourceColumn, SourceTable
from connectors.sqlite.declared import KINDS, Rule
from connectors.sqlite.query import ReadQuery
from connectors.sqlite.session import Session
from connectors.sqlite.sql import Condition, reference
from connectors.sqlite.times import parsed

MOST_EXACT = 10**15 - 1
"""Whole numbers up to here are exact as floats, and are written without an exponent as either."""
_TYPES = {
    Rule.WHOLE: pa.int64(),
    Rule.FRACTION: pa.float64(),
    Rule.FLOAT: pa.float64(),
    Rule.TEXT: pa.string(),
    Rule.BYTES: pa.binary(),
    Rule.DATE: pa.date32(),
    Rule.MOMENT: pa.timestamp("us"),
}
_TIMES = (Rule.DATE, Rule.MOMENT)
_ROWS_AT_ONCE = 1024
_CONDITIONS_AT_ONCE = 200
"""A statement has no more than 2,000 columns."""
_CLASSES = ("integer", "real", "text", "blob")
_OF_ONE_CLASS = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "blob": pa.binary()}


@dataclass(frozen=True)
class ColumnPlan:
    """``chosen``: the type override by which the column is of its type."""

    column: SourceColumn
    arrow: pa.DataType
    chosen: str | None = None

    @property
    def name(self) -> str:
        return self.column.name


def planned(
    session: Session,
    query: ReadQuery,
    names: Sequence[str],
    stored_as_text: Sequence[str],
    overrides: Mapping[str, str],
) -> list[ColumnPlan]:
    """Plans of the named columns, in the order of the table. ``SchemaChangedError``: a choice became impossible."""
    columns = [column for column in query.table.columns if column.name in names]
    free = [column for column in columns if column.name not in overrides and column.name not in stored_as_text]
    found = _surveyed(session, query, free)
    if query.cursor is not None:
        _check_keys(session, query)
    plans = []
    for column in columns:
        if column.name in overrides:
            plans.append(_chosen(query.table, column, overrides[column.name]))
        else:
            plans.append(ColumnPlan(column, found.get(column.name, pa.string())))
    return plans


def _chosen(table: SourceTable, column: SourceColumn, wanted: str) -> ColumnPlan:
    try:
        return ColumnPlan(column, override_type(column.name, KINDS[column.rule], wanted), wanted)
    except OverrideError as error:
        raise SchemaChangedError(
            f"The column {column.name} of {table.name} is now declared {column.type or 'without a type'}, which cannot "
            f"be copied as {wanted}: change its type override.",
            attr="type_overrides",
        ) from error


def _surveyed(session: Session, query: ReadQuery, columns: Sequence[SourceColumn]) -> dict[str, pa.DataType]:
    """The types of these columns, by their names."""
    types = {column.name: _TYPES[column.rule] for column in columns if column.rule is not Rule.OPEN}
    in_question = [column for column in columns if column.rule in _MISFITS and not column.settled]
    conditions = [_MISFITS[column.rule](reference(column.name)) for column in in_question]
    (answers,) = _any(session, query, query.extent, [conditions])
    misfitting = [column for column, misfit in zip(in_question, answers, strict=True) if misfit]
    floats = _as_floats(session, query, [column for column in misfitting if column.rule is Rule.WHOLE])
    types |= {column.name: pa.float64() if column.name in floats else pa.string() for column in misfitting}
    types |= dict.fromkeys(
        _no_times(session, query, [column for column in columns if column.rule in _TIMES]), pa.string()
    )
    return types | _of_undeclared(session, query, [column for column in columns if column.rule is Rule.OPEN])


def _no_times(session: Session, query: ReadQuery, columns: Sequence[SourceColumn]) -> set[str]:
    """Those of the columns that hold something else than times. Arrow reads them sooner than SQLite looks at them."""
    misfitting: set[str] = set()
    if not columns:
        return misfitting
    sql = query.select([column.name for column in columns], query.extent)
    for rows in session.chunks(sql, query.extent.values, repeat(_ROWS_AT_ONCE)):
        for column, values in zip(columns, zip(*rows, strict=True), strict=True):
            if column.name not in misfitting and not _are_times(values, _TYPES[column.rule]):
                misfitting.add(column.name)
        if len(misfitting) == len(columns):
            break
    return misfitting


def _are_times(values: Sequence[Any], kind: pa.DataType) -> bool:
    try:
        parsed(values, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _as_floats(session: Session, query: ReadQuery, columns: Sequence[SourceColumn]) -> set[str]:
    """Those of the columns whose values are all exact as floats. A stored whole number becomes no float any more."""
    if query.cursor is not None:
        return set()
    conditions = [_no_float(reference(column.name)) for column in columns]
    (answers,) = _any(session, query, query.extent, [conditions])
    return {column.name for column, no_float in zip(columns, answers, strict=True) if not no_float}


def _of_undeclared(session: Session, query: ReadQuery, columns: Sequence[SourceColumn]) -> dict[str, pa.DataType]:
    extent = query.extent if query.cursor is None else query.filters
    classes = dict(zip(columns, _classes(session, query, extent, columns), strict=True))
    floats = _as_floats(session, query, [column for column, found in classes.items() if found == ["integer", "real"]])
    types = {}
    for column, found in classes.items():
        if len(found) == 1:
            types[column.name] = _OF_ONE_CLASS[found[0]]
        else:
            types[column.name] = pa.float64() if column.name in floats else pa.string()
    return types


def _check_keys(session: Session, query: ReadQuery) -> None:
    """Where nothing is declared, 1 and '1' are two keys, which would be one in the copy."""
    mixable = (Rule.OPEN, Rule.BYTES)
    columns = [column for column in query.table.columns if column.in_key and column.rule in mixable]
    for column, found in zip(columns, _classes(session, query, Condition("1"), columns), strict=True):
        if len({"number" if each in ("integer", "real") else each for each in found}) > 1:
            raise SchemaChangedError(
                f"The key column {column.name} of {query.table.name} holds values of several types, whose copies could "
                "not be told apart: copy the table by full_refresh."
            )


def _classes(session: Session, query: ReadQuery, extent: Condition, columns: Sequence[SourceColumn]) -> list[list[str]]:
    """The storage classes of the values of each column, nulls aside."""
    conditions = [[f"typeof({reference(column.name)}) = '{each}'" for each in _CLASSES] for column in columns]
    answers = _any(session, query, extent, conditions)
    return [[each for each, there in zip(_CLASSES, answer, strict=True) if there] for answer in answers]


def _any(
    session: Session, query: ReadQuery, extent: Condition, conditions: Sequence[Sequence[str]]
) -> list[list[bool]]:
    """Of each condition whether it is true for a row of the extent: in one pass, and in the shape of what was given."""
    flat = [condition for group in conditions for condition in group]
    if not flat:
        return [[] for _ in conditions]
    answers: list[bool] = []
    for first in range(0, len(flat), _CONDITIONS_AT_ONCE):
        some = ", ".join(f"max({condition})" for condition in flat[first : first + _CONDITIONS_AT_ONCE])
        ((*found,),) = session.rows(f"SELECT {some} FROM {query.source} WHERE {extent.sql}", extent.values)
        answers += [bool(each) for each in found]
    remaining = iter(answers)
    return [[next(remaining) for _ in group] for group in conditions]


def _no_float(here: str) -> str:
    return (
        f"typeof({here}) IN ('text', 'blob') OR "
        f"typeof({here}) = 'integer' AND {here} NOT BETWEEN -{MOST_EXACT} AND {MOST_EXACT}"
    )


_MISFITS: dict[Rule, Callable[[str], str]] = {
    Rule.WHOLE: lambda here: f"typeof({here}) NOT IN ('integer', 'null')",
    Rule.FRACTION: _no_float,
    Rule.FLOAT: _no_float,
}
"""Conditions that are true for values which the type of the declaration does not hold."""
