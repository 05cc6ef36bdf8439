"""What the file says of its tables, views and indexes. Never looks at a row."""

from collections.abc import Iterable
from dataclasses import dataclass

from connectors.errors import SourceError
from connectors.sqlite.declared import Rule, rule_of
from connectors.sqlite.session import Session

_TABLES = """
SELECT name, type, wr, strict FROM pragma_table_list
WHERE schema = 'main' AND type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name
"""
_COLUMNS = """
SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?, 'main') WHERE hidden IN (0, 2, 3) ORDER BY cid
"""
_COMPUTED = 2
"""``hidden`` of a column whose values are not stored."""
_INDEXES = """
SELECT i.name, i."unique", i.origin, i.partial, c.name
FROM pragma_index_list(?, 'main') AS i JOIN pragma_index_info(i.name, 'main') AS c ORDER BY i.name, c.seqno
"""


@dataclass(frozen=True)
class SourceColumn:
    """A column with the rule that its declaration gives it."""

    name: str
    type: str
    """As it was declared; empty where it was not."""
    not_null: bool
    rule: Rule
    in_key: bool = False
    settled: bool = False
    """SQLite itself sees to it that its values are of the declared type."""


@dataclass(frozen=True)
class Index:
    """Columns of an index that holds all rows, by order; None stands for an expression."""

    unique: bool
    columns: tuple[str | None, ...]


@dataclass(frozen=True)
class SourceTable:
    name: str
    kind: str
    columns: tuple[SourceColumn, ...]
    primary_key: tuple[str, ...]
    indexes: tuple[Index, ...]
    row_id: str | None = None
    """The column that is another name for the number by which the rows are stored."""
    row_estimate: int | None = None

    def column(self, name: str) -> SourceColumn | None:
        return next((each for each in self.columns if each.name == name), None)

    def is_indexed(self, column: str) -> bool:
        """Whether rows can be found by this column without looking at all of them."""
        return column == self.row_id or any(each.columns[:1] == (column,) for each in self.indexes)


def tables(session: Session, names: Iterable[str] | None = None) -> list[SourceTable]:
    """Every table and view that can be read, or the named ones that exist.

    Left out are SQLite's own, virtual tables with what lies behind them, and views of what is gone.
    """
    wanted = None if names is None else set(names)
    listed = [row for row in session.rows(_TABLES) if wanted is None or row[0] in wanted]
    estimates = _estimates(session) if listed else {}
    found = (_table(session, *row, estimate=estimates.get(row[0])) for row in listed)
    return [table for table in found if table is not None]


def _table(
    session: Session, name: str, kind: str, without_rowid: int, strict: int, *, estimate: int | None
) -> SourceTable | None:
    try:
        columns = session.rows(_COLUMNS, [name])
    except SourceError as error:
        if kind == "view" and type(error) is SourceError:
            return None
        raise
    indexes, has_key_index = _indexes(session, name)
    primary = tuple(row[0] for row in sorted((row for row in columns if row[3]), key=lambda row: int(row[3])))
    # A key of one whole number that has no index of its own is what the rows are stored by.
    row_id = primary[0] if len(primary) == 1 and not has_key_index and not without_rowid else None
    keys = [primary] if primary else [index.columns for index in indexes if index.unique]
    keyed = {column for key in keys for column in key}
    return SourceTable(
        name=name,
        kind=kind,
        columns=tuple(
            SourceColumn(
                name=column,
                type=declared,
                not_null=bool(not_null) or column == row_id,
                rule=rule_of(declared, in_key=column in keyed, strict=bool(strict)),
                in_key=column in keyed,
                settled=(bool(strict) and hidden != _COMPUTED) or column == row_id,
            )
            for column, declared, not_null, _, hidden in columns
        ),
        primary_key=primary,
        indexes=tuple(indexes),
        row_id=row_id,
        row_estimate=estimate,
    )


def _indexes(session: Session, table: str) -> tuple[list[Index], bool]:
    """The table's indexes, and whether one of them is that of its primary key."""
    columns: dict[str, list[str | None]] = {}
    facts: dict[str, tuple[bool, str, bool]] = {}
    for name, unique, origin, partial, column in session.rows(_INDEXES, [table]):
        columns.setdefault(name, []).append(column)
        facts[name] = (bool(unique), origin, bool(partial))
    found = [
        Index(unique and origin != "pk", tuple(columns[name]))
        for name, (unique, origin, partial) in facts.items()
        if not partial
    ]
    return found, any(origin == "pk" for _, origin, _ in facts.values())


def _estimates(session: Session) -> dict[str, int]:
    """Rows of each table when it was last analysed."""
    if not session.rows("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'"):
        return {}
    found: dict[str, int] = {}
    for table, statistics in session.rows("SELECT tbl, stat FROM sqlite_stat1"):
        first = str(statistics or "").partition(" ")[0]
        if first.isdecimal():
            found[table] = max(found.get(table, 0), int(first))
    return found
