"""What the catalogue knows of the tables of one database. Never looks at a row."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from connectors.mysql.session import Session
from connectors.mysql.sql import literal
from connectors.tables import Index, SqlTable

_KINDS = {"BASE TABLE": "table", "SYSTEM VERSIONED": "table", "VIEW": "view"}

_TABLES = """
SELECT TABLE_NAME, TABLE_TYPE, TABLE_ROWS, TABLE_COMMENT
FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema} {names} ORDER BY 1
"""
# Of a table that the user may not SELECT from, other rights may show the columns.
_COLUMNS = """
SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE = 'NO', CHARACTER_SET_NAME,
       NUMERIC_PRECISION, NUMERIC_SCALE
FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = {schema} {names} AND FIND_IN_SET('select', PRIVILEGES)
ORDER BY TABLE_NAME, ORDINAL_POSITION
"""
_INDEXES = """
SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE = 0, INDEX_TYPE = 'BTREE' AND SUB_PART IS NULL, COLUMN_NAME
FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = {schema} {names}
ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX
"""


@dataclass(frozen=True)
class SourceColumn:
    """A column. ``type``: the declaration (``int(10) unsigned``), ``base``: its first word (``int``)."""

    name: str
    base: str
    type: str
    not_null: bool
    charset: str | None
    precision: int | None
    scale: int | None

    @property
    def unsigned(self) -> bool:
        return "unsigned" in self.type.lower()


@dataclass(frozen=True)
class SourceTable(SqlTable[SourceColumn]):
    """A table or view of one database."""

    database: str


def tables(session: Session, database: str, names: Iterable[str] | None = None) -> list[SourceTable]:
    """Every table and view that the user may read, or the named ones that exist, spelt as the server spells them."""
    wanted = None if names is None else list(names)
    if wanted == []:
        return []
    columns = _columns(session, database, wanted)
    indexes = _indexes(session, database, wanted)
    return [
        SourceTable(
            database=database,
            name=name,
            kind=_KINDS[kind],
            comment=comment if comment and kind != "VIEW" else None,
            row_estimate=None if kind == "VIEW" or estimate is None else int(estimate),
            columns=tuple(columns[name]),
            indexes=tuple(indexes[name]),
        )
        for name, kind, estimate, comment in session.rows(_sql(_TABLES, database, wanted))
        if kind in _KINDS and columns[name] and (wanted is None or name in wanted)
    ]


def _columns(session: Session, database: str, names: Sequence[str] | None) -> dict[str, list[SourceColumn]]:
    found: dict[str, list[SourceColumn]] = defaultdict(list)
    for table, name, base, kind, not_null, charset, precision, scale in session.rows(_sql(_COLUMNS, database, names)):
        found[table].append(SourceColumn(name, base.lower(), kind, bool(not_null), charset, precision, scale))
    return found


def _indexes(session: Session, database: str, names: Sequence[str] | None) -> dict[str, list[Index]]:
    members: dict[tuple[str, str], list[tuple[bool, bool, str | None]]] = defaultdict(list)
    for table, index, unique, ordered, column in session.rows(_sql(_INDEXES, database, names)):
        members[table, index].append((bool(unique), bool(ordered), column))
    found: dict[str, list[Index]] = defaultdict(list)
    for (table, index), columns in members.items():
        unique, ordered, _ = columns[0]
        found[table].append(Index(index == "PRIMARY", unique, ordered, tuple(each[2] for each in columns)))
    return found


def _sql(template: str, database: str, names: Sequence[str] | None) -> str:
    condition = "" if names is None else f"AND TABLE_NAME IN ({', '.join(map(literal, names))})"
    return template.format(schema=literal(database), names=condition)
