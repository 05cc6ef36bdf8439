"""What the catalogue knows of tables, columns and indexes. Never looks at a row."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from connectors.tables import Index, SqlTable

_KINDS = {"r": "table", "p": "partitioned_table", "v": "view", "m": "materialized_view", "f": "foreign_table"}

_TABLES: LiteralString = """
SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, obj_description(c.oid, 'pg_class'),
       CASE WHEN c.relkind = 'p' THEN (
           SELECT sum(leaf.reltuples) FILTER (WHERE leaf.reltuples > 0)::float8
           FROM pg_partition_tree(c.oid) AS part JOIN pg_class AS leaf ON leaf.oid = part.relid WHERE part.isleaf)
       WHEN c.relkind IN ('r', 'm') AND (c.reltuples > 0 OR c.reltuples = 0 AND c.relpages > 0)
       THEN c.reltuples::float8 END
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
  AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
  AND (%(tables)s::text[] IS NULL OR (n.nspname::text, c.relname::text) IN
       (SELECT * FROM unnest(%(schemas)s::text[], %(tables)s::text[])))
ORDER BY 2, 3
"""

_DOMAINS: LiteralString = """
WITH RECURSIVE domain(oid, base, typmod) AS (
    SELECT oid, typbasetype, typtypmod FROM pg_type WHERE typtype = 'd'
    UNION ALL
    SELECT domain.oid, t.typbasetype, CASE WHEN domain.typmod = -1 THEN t.typtypmod ELSE domain.typmod END
    FROM domain JOIN pg_type AS t ON t.oid = domain.base AND t.typtype = 'd')
"""

# Of ``a``, which has ``atttypid`` and ``atttypmod``.
_BASE: LiteralString = """
CASE WHEN n.nspname = 'pg_catalog' THEN t.typname::text ELSE '' END,
CASE WHEN domain.oid IS NULL THEN a.atttypmod ELSE domain.typmod END,
t.typcategory = 'A' AND t.typlen = -1 AND t.typelem <> 0,
format_type(t.oid, -1), domain.oid IS NOT NULL
"""
_BASE_TABLES: LiteralString = """
LEFT JOIN (domain JOIN pg_type AS final ON final.oid = domain.base AND final.typtype <> 'd') ON domain.oid = a.atttypid
JOIN pg_type AS t ON t.oid = coalesce(domain.base, a.atttypid)
JOIN pg_namespace AS n ON n.oid = t.typnamespace
"""

_COLUMNS: LiteralString = f"""{_DOMAINS}
SELECT a.attrelid::int8, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, {_BASE},
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid)
FROM pg_attribute AS a {_BASE_TABLES}
WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')
ORDER BY a.attrelid, a.attnum
"""

# Postgres' own types are known; those of extensions may have a cast to text that gives another one than they show.
_TYPES: LiteralString = f"""{_DOMAINS}
SELECT a.atttypid::int8, a.atttypmod,
       n.nspname <> 'pg_catalog' AND EXISTS (
           SELECT FROM pg_cast WHERE castsource = t.oid AND casttarget = 'text'::regtype AND castfunc <> 0),
       format_type(a.atttypid, a.atttypmod), {_BASE}
FROM unnest(%(types)s::oid[], %(typmods)s::int4[]) AS a(atttypid, atttypmod) {_BASE_TABLES}
"""

_INDEXES: LiteralString = """
SELECT i.indrelid::int8, i.indisprimary,
       i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL,
       i.indpred IS NULL AND am.amname = 'btree',
       (SELECT array_agg(a.attname::text ORDER BY k.ordinal)
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, ordinal)
        LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
        WHERE k.ordinal <= i.indnkeyatts)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS am ON am.oid = c.relam
WHERE i.indrelid = ANY(%(oids)s::oid[]) AND i.indisvalid
ORDER BY c.relname
"""


@dataclass(frozen=True)
class SourceColumn:
    """A column with its type traced back through domains to its base."""

    name: str
    type: str
    not_null: bool
    base: str
    """Name of a built-in base type (``int4``), empty for any other."""
    typmod: int
    is_array: bool
    cast: str
    """The base type without its modifier, fit for a cast that neither cuts nor rounds."""
    is_domain: bool = False
    labels: tuple[str, ...] = ()
    """Of an enum, in its order."""


@dataclass(frozen=True)
class SourceType:
    """A type with its modifier. ``column``: a nameless column of it."""

    column: SourceColumn
    text_cast: bool
    """Its cast to text may give another text than the type's own output."""


@dataclass(frozen=True)
class SourceTable(SqlTable[SourceColumn]):
    """A readable relation of any kind."""

    oid: int
    schema: str


def tables(
    connection: psycopg.Connection,
    schema: str | None = None,
    names: Iterable[tuple[str, str]] | None = None,
) -> list[SourceTable]:
    """Every relation that the role may read, of one schema or all, or the named ones (schema, table) that exist."""
    wanted = None if names is None else list(names)
    rows = connection.execute(
        _TABLES,
        {
            "schema": schema,
            "schemas": None if wanted is None else [each[0] for each in wanted],
            "tables": None if wanted is None else [each[1] for each in wanted],
        },
    ).fetchall()
    oids = [row[0] for row in rows]
    columns = _columns(connection, oids)
    indexes = _indexes(connection, oids)
    return [
        SourceTable(
            oid=oid,
            schema=namespace,
            name=name,
            kind=_KINDS[kind],
            comment=comment,
            row_estimate=None if estimate is None else int(estimate),
            columns=tuple(columns[oid]),
            indexes=tuple(indexes[oid]),
        )
        for oid, namespace, name, kind, comment, estimate in rows
    ]


def types(connection: psycopg.Connection, wanted: Iterable[tuple[int, int]]) -> dict[tuple[int, int], SourceType]:
    """What the server knows of types, by oid and modifier. Those that are gone are left out."""
    pairs = list(wanted)
    rows = connection.execute(_TYPES, {"types": [pair[0] for pair in pairs], "typmods": [pair[1] for pair in pairs]})
    return {
        (oid, typmod): SourceType(SourceColumn("", name, False, *base), text_cast)
        for oid, typmod, text_cast, name, *base in rows
    }


def _columns(connection: psycopg.Connection, oids: Sequence[int]) -> dict[int, list[SourceColumn]]:
    found: dict[int, list[SourceColumn]] = defaultdict(list)
    for oid, *values, labels in connection.execute(_COLUMNS, {"oids": list(oids)}):
        found[oid].append(SourceColumn(*(*values, tuple(labels or ()))))
    return found


def _indexes(connection: psycopg.Connection, oids: Sequence[int]) -> dict[int, list[Index]]:
    found: dict[int, list[Index]] = defaultdict(list)
    for oid, primary, unique, ordered, columns in connection.execute(_INDEXES, {"oids": list(oids)}):
        found[oid].append(Index(primary, unique, ordered, tuple(columns)))
    return found


def expected_rows(connection: psycopg.Connection, source: str, condition: str) -> int:
    """How many rows the planner expects to fulfil the condition; nothing is read but the ends of an index."""
    sql = f"EXPLAIN (FORMAT JSON) SELECT FROM {source} WHERE {condition}"
    ((plan,),) = connection.execute(sql.encode()).fetchall()
    return int(plan[0]["Plan"]["Plan Rows"])


_WIDTH: LiteralString = """
SELECT (SELECT sum(width) FROM (
            SELECT max(avg_width) AS width FROM pg_stats
            WHERE schemaname = %(schema)s AND tablename = %(table)s AND attname = ANY(%(columns)s::text[])
            GROUP BY attname) AS per_column)::float8,
       (SELECT sum(pg_relation_size(c.reltoastrelid))::float8 FROM pg_class AS c
        WHERE c.reltoastrelid <> 0 AND (c.oid = %(oid)s OR c.oid IN (SELECT relid FROM pg_partition_tree(%(oid)s))))
"""


def row_width_bytes(connection: psycopg.Connection, table: SourceTable, columns: Sequence[str]) -> float | None:
    """Average size of a row by the statistics, with what lies out of line; None where there are none."""
    names = {"schema": table.schema, "table": table.name, "columns": list(columns), "oid": table.oid}
    row: tuple[float | None, float | None] | None = connection.execute(_WIDTH, names).fetchone()
    width, out_of_line = row or (None, None)
    if out_of_line:
        # Without a count of the rows, all of it might be one row's.
        return (width or 0) + out_of_line / max(table.row_estimate or 1, 1)
    return width
