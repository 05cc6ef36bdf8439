"""What of a query can be asked of the source itself: fewer columns, and conditions that leave out rows early.

The engine applies the whole query again, so that what is pushed down must only never leave out too much. Columns: all
whose names occur anywhere in the query. Conditions: comparisons of a column with a constant, joined by AND in the WHERE
right over the one place where the table is named, and only for types whose order is the same on both sides: which
those are, each kind of source has its own names for. A kind that has none here is asked for columns only.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from connectors.base import RowFilter

_OPERATORS = {
    "COMPARE_EQUAL": "=",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
_MYSQL_INTEGER = re.compile(r"(tiny|small|medium|big)?int(\(\d+\))?( unsigned)?( zerofill)?")
_MYSQL_TEXT = re.compile(r"(var)?char\(\d+\)|(tiny|medium|long)?text")
_MYSQL_MOMENT = re.compile(r"(datetime|timestamp)(\(\d\))?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d{1,6})?)?")
_TEXTS = ("text", "character varying")
_CASTS = {"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}


def needed_columns(tree: Any, columns: Mapping[str, str]) -> tuple[str, ...] | None:
    """The columns that the query can mean, one at the least; None for all of them."""
    names: set[str] = set()
    for node in _objects(tree):
        if node.get("class") == "STAR" or node.get("ref_type") in ("NATURAL", "POSITIONAL"):
            return None
        if node.get("type") in ("PIVOT", "SHOW_REF") or node.get("column_name_alias"):
            return None
        if node.get("type") == "BASE_TABLE":
            names |= {f"\0{name.lower()}" for name in (node["alias"], node["table_name"])}
        if node.get("class") == "COLUMN_REF":
            names |= {name.lower() for name in node["column_names"]}
            if len(node["column_names"]) == 1:
                names.add(f"\1{node['column_names'][0].lower()}")
        names |= {name.lower() for name in node.get("using_columns", ())}
    if any(f"\0{name[1:]}" in names for name in names if name.startswith("\1")):
        # A whole row, named by its table.
        return None
    needed = tuple(name for name in columns if name.lower() in names)
    return needed or tuple(columns)[:1] or None


def row_filters(tree: Any, table: str, columns: Mapping[str, str], source_type: str) -> tuple[RowFilter, ...]:
    """Conditions on the table (in lower case) that its source may apply first. ``columns``: declared types by name."""
    if source_type not in _FITTING:
        return ()
    fits = {name: _FITTING[source_type](declared) for name, declared in columns.items()}
    places = [node for node in _objects(tree) if node.get("type") == "BASE_TABLE" and _names(node, table)]
    if len(places) != 1:
        return ()
    for node in _objects(tree):
        if node.get("type") != "SELECT_NODE" or node["sample"] is not None:
            continue
        tables = list(_plain_tables(node["from_table"]))
        if len(tables) == 1 and tables[0] is places[0] and not places[0]["column_name_alias"]:
            return tuple(_conditions(node["where_clause"], places[0]["alias"].lower() or table, fits))
    return ()


def _names(node: Mapping[str, Any], table: str) -> bool:
    return bool(node["table_name"].lower() == table)


def _plain_tables(ref: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if ref.get("type") == "BASE_TABLE" and ref["sample"] is None:
        yield ref


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from _objects(part)
    elif isinstance(value, list):
        for part in value:
            yield from _objects(part)


def _conditions(clause: Any, alias: str, columns: Mapping[str, "_Fits | None"]) -> Iterator[RowFilter]:
    if not isinstance(clause, dict):
        return
    if clause.get("type") == "CONJUNCTION_AND":
        for child in clause["children"]:
            yield from _conditions(child, alias, columns)
    elif clause.get("class") == "COMPARISON" and clause["type"] in _OPERATORS:
        operator = _OPERATORS[clause["type"]]
        yield from _comparison(clause["left"], operator, clause["right"], alias, columns)
        yield from _comparison(clause["right"], _MIRRORED[operator], clause["left"], alias, columns)


def _comparison(
    left: Mapping[str, Any], operator: str, right: Mapping[str, Any], alias: str, columns: Mapping[str, "_Fits | None"]
) -> Iterator[RowFilter]:
    if left["class"] != "COLUMN_REF":
        return
    *qualifier, name = left["column_names"]
    column = [each for each in columns if each.lower() == name.lower()]
    if len(column) != 1 or [part.lower() for part in qualifier] not in ([], [alias]):
        return
    constant = _constant(right)
    fits = columns[column[0]]
    if constant is not None and fits is not None and fits(constant, operator):
        yield RowFilter(column[0], operator, constant)


def _constant(node: Mapping[str, Any]) -> Any:
    if node["class"] == "CAST" and not node["try_cast"] and node["cast_type"]["id"] in _CASTS:
        inner = _constant(node["child"])
        return inner if isinstance(inner, str) and _MOMENT.fullmatch(inner) else None
    if node["class"] != "CONSTANT" or node["value"]["is_null"]:
        return None
    value = node["value"]["value"]
    return value if isinstance(value, bool | int | str) and "\0" not in str(value) else None


_Fits = Callable[[Any, str], bool]
"""Whether a constant means the same to both sides, under that operator."""


def _of_postgres(declared: str) -> _Fits | None:
    if declared in _INTEGERS:
        return _within(_INTEGERS[declared])
    if declared in _TEXTS or declared.startswith("character varying("):
        return _is_equal_text
    if declared == "uuid":
        return _is_equal_uuid
    if declared == "date":
        return _is_day
    if declared in ("timestamp without time zone", "timestamp with time zone"):
        return _is_moment
    return None


def _of_mysql(declared: str) -> _Fits | None:
    if _MYSQL_INTEGER.fullmatch(declared):
        return _within(2**63)
    if _MYSQL_TEXT.fullmatch(declared):
        return _is_equal_text
    if declared == "uuid":
        return _is_equal_uuid
    if declared == "date":
        return _is_day
    return _is_moment if _MYSQL_MOMENT.fullmatch(declared) else None


_FITTING: dict[str, Callable[[str], _Fits | None]] = {"Postgres": _of_postgres, "MySQL": _of_mysql}
"""By the type of the source: for a column of that declared type, if for any, which constants fit."""


def _within(bound: int) -> _Fits:
    return lambda value, _: isinstance(value, int) and not isinstance(value, bool) and -bound <= value < bound


def _is_equal_text(value: Any, operator: str) -> bool:
    """Whatever the collation, what is equal byte by byte is equal."""
    return isinstance(value, str) and operator == "="


def _is_equal_uuid(value: Any, operator: str) -> bool:
    return isinstance(value, str) and operator == "=" and _is_uuid(value)


def _is_day(value: Any, operator: str) -> bool:
    return isinstance(value, str) and _DATE.fullmatch(value) is not None


def _is_moment(value: Any, operator: str) -> bool:
    return isinstance(value, str) and _MOMENT.fullmatch(value) is not None


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
