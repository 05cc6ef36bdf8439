"""Which queries may run: one statement that reads, over named tables and judged functions, and nothing else.

DuckDB parses the statement and gives its tree as JSON; text is never looked at. Everything in the tree must be of a
known kind: what a later version of the engine adds is refused until somebody has judged it. A name in a FROM clause is
either one of the query's own common table expressions, in scope where it stands, or a table that the project must have.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import duckdb

from query.errors import InvalidQueryError
from query.functions import FUNCTIONS, TABLE_FUNCTIONS

MOST_BYTES = 100_000
MOST_DEPTH = 400
"""Of the tree. A deeper one is no query that somebody wrote."""

_EXPRESSIONS = frozenset(
    {
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "LAMBDA",
        "LAMBDA_REF",
        "OPERATOR",
        "POSITIONAL_REFERENCE",
        "STAR",
        "SUBQUERY",
        "WINDOW",
    }
)
_QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_TABLE_REFS = frozenset(
    {"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT", "SHOW_REF"}
)
_MODIFIERS = frozenset({"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"})
_ORDERS = frozenset({"ORDER_DEFAULT", "ASCENDING", "DESCENDING"})
_NOT_READING = "A query is one SELECT statement: it reads the project's tables and can do nothing else."

Scope = frozenset[str]
"""The common table expressions that a place in the query sees, in lower case."""


@dataclass
class CheckedQuery:
    """A query that may run. ``tables`` are those that it needs, in lower case as they are compared."""

    tree: dict[str, Any]
    tables: set[str] = field(default_factory=set)


def check(connection: duckdb.DuckDBPyConnection, sql: str) -> CheckedQuery:
    """``InvalidQueryError`` says what is not allowed."""
    if len(sql.encode()) > MOST_BYTES:
        raise InvalidQueryError(f"A query has at most {MOST_BYTES // 1000} kB.")
    if not sql.strip():
        raise InvalidQueryError("The query is empty.")
    try:
        checked = CheckedQuery(_statement(connection, sql))
        _Walk(checked.tables).query(checked.tree, frozenset(), 0)
    except RecursionError:
        raise InvalidQueryError("The query is nested too deeply.") from None
    return checked


def _statement(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    (text,) = connection.execute("SELECT json_serialize_sql(?::varchar)", [sql]).fetchone() or ("{}",)
    answer = json.loads(text)
    if answer.get("error"):
        if answer.get("error_type") == "parser":
            raise InvalidQueryError(f"The query is not valid SQL: {answer['error_message']}.")
        raise InvalidQueryError(_NOT_READING)
    statements = answer["statements"]
    if len(statements) != 1:
        raise InvalidQueryError(
            "Send one statement at a time." if statements else "The query is empty but for comments."
        )
    statement = statements[0]
    if statement.get("named_param_map"):
        raise InvalidQueryError("A query has no parameters.")
    node: dict[str, Any] = statement["node"]
    return node


class _Walk:
    def __init__(self, tables: set[str]) -> None:
        self._tables = tables

    def query(self, node: dict[str, Any], scope: Scope, depth: int) -> None:
        """A query node with its common table expressions, each of which sees those before it."""
        if node.get("type") not in _QUERY_NODES:
            raise InvalidQueryError(_NOT_READING)
        for entry in node["cte_map"]["map"]:
            name, body = entry["key"].lower(), entry["value"]
            _refuse_internal_name(name)
            inner = body["query"]["node"]
            own = scope | {name} if inner["type"] == "RECURSIVE_CTE_NODE" else scope
            self._walk(body, own, depth + 1)
            scope = scope | {name}
        if node["type"] in ("RECURSIVE_CTE_NODE", "CTE_NODE"):
            scope = scope | {node["cte_name" if "cte_name" in node else "ctename"].lower()}
        for name, part in node.items():
            if name != "cte_map":
                self._walk(part, scope, depth + 1)

    def _walk(self, value: Any, scope: Scope, depth: int) -> None:
        if depth > MOST_DEPTH:
            raise InvalidQueryError("The query is nested too deeply.")
        if isinstance(value, list):
            for part in value:
                self._walk(part, scope, depth + 1)
        elif isinstance(value, dict):
            self._object(value, scope, depth)

    def _object(self, value: dict[str, Any], scope: Scope, depth: int) -> None:
        kind = value.get("type")
        if "class" in value:
            self._expression(value, scope, depth)
        elif "cte_map" in value:
            self.query(value, scope, depth)
        elif isinstance(kind, str) and "query_location" in value:
            self._table(kind, value, scope, depth)
        elif kind is None or isinstance(kind, dict) or kind in _MODIFIERS or kind in _ORDERS:
            self._parts(value, scope, depth)
        elif not kind.endswith("_TYPE_INFO"):
            raise InvalidQueryError(f"A query may not use {_spoken(kind)}.")

    def _parts(self, value: dict[str, Any], scope: Scope, depth: int) -> None:
        for part in value.values():
            self._walk(part, scope, depth + 1)

    def _expression(self, value: dict[str, Any], scope: Scope, depth: int) -> None:
        kind = value["class"]
        if kind not in _EXPRESSIONS:
            what = "parameters" if kind == "PARAMETER" else _spoken(kind)
            raise InvalidQueryError(f"A query may not use {what}.")
        if kind == "CONSTANT":
            return
        if "function_name" in value:
            _check_function(value, FUNCTIONS, "function")
        self._parts(value, scope, depth)

    def _table(self, kind: str, value: dict[str, Any], scope: Scope, depth: int) -> None:
        if kind not in _TABLE_REFS:
            raise InvalidQueryError(f"A query may not use {_spoken(kind)}.")
        if kind == "BASE_TABLE":
            self._base_table(value, scope)
        elif kind == "SHOW_REF" and (value["query"] is None or value["table_name"]):
            raise InvalidQueryError("A query can DESCRIBE or SUMMARIZE a table; the API lists what tables there are.")
        elif kind == "TABLE_FUNCTION":
            function = value["function"]
            _check_function(function, TABLE_FUNCTIONS, "table function")
            self._parts(function, scope, depth)
            self._walk(value["sample"], scope, depth + 1)
            return
        elif kind == "PIVOT" and any(pivot["pivot_enum"] for pivot in value["pivots"]):
            raise InvalidQueryError("A PIVOT needs its values written out: PIVOT t ON column IN (…).")
        self._parts(value, scope, depth)

    def _base_table(self, value: dict[str, Any], scope: Scope) -> None:
        name = value["table_name"]
        if value["schema_name"] or value["catalog_name"]:
            raise InvalidQueryError(f"Name tables without a schema or a database: {name} alone.")
        if value["at_clause"] is not None:
            raise InvalidQueryError("A query reads the newest version of a table: AT is not allowed.")
        if name.lower() not in scope:
            self._tables.add(name.lower())


def _check_function(call: dict[str, Any], allowed: frozenset[str], what: str) -> None:
    name = call["function_name"]
    if name.lower() not in allowed or call["schema"] not in ("", "main") or call["catalog"] not in ("", "system"):
        raise InvalidQueryError(f"A query may not call the {what} {name}.")
    if call.get("export_state"):
        raise InvalidQueryError("A query may not use EXPORT_STATE.")


def _refuse_internal_name(name: str) -> None:
    """Should the engine ever see a narrower scope than we do, the name must not lead to a view of its own."""
    if (
        name.startswith(("duckdb_", "pragma_", "sqlite_", "pg_", "information_schema", "__"))
        or "." in name
        or "/" in name
    ):
        raise InvalidQueryError(f"Choose another name for the common table expression {name}.")


def _spoken(kind: str) -> str:
    return kind.lower().replace("_", " ")
