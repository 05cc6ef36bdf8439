"""What the catalogue says of followed tables and their log does not: ``connectors.capture.TableShape``.

Takes no lock on any table: the catalogue's own rows are read, in the snapshot of the statement.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import LiteralString

import psycopg

from connectors.capture import FollowedTable, ShapedColumn, TableShape
from connectors.postgres.config import PostgresConfig
from connectors.postgres.names import parse_name

# What a publication of Postgres 13 does not have yet is null, by way of JSON. Partitions are published by their root.
_PUBLISHED: LiteralString = """
SELECT wanted.number::int8, c.oid::text, c.relkind = 'p', c.relfilenode::text,
       concat_ws('.', p.oid, p.xmin, member.oid, member.xmin, IN_SCHEMA),
       to_jsonb(published) -> 'attrs'
FROM unnest(%(schemas)s::text[], %(tables)s::text[]) WITH ORDINALITY AS wanted(schema, name, number)
JOIN pg_namespace AS n ON n.nspname = wanted.schema
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.name
JOIN pg_publication AS p ON p.pubname = %(publication)s
JOIN LATERAL pg_get_publication_tables(p.pubname::text) AS published ON published.relid = c.oid
LEFT JOIN pg_publication_rel AS member ON member.prpubid = p.oid AND member.prrelid = c.oid
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
"""

# From Postgres 15 on a publication may have all tables of a schema.
_SCHEMAS_VERSION = 150000
_BY_SCHEMA: LiteralString = """(
    SELECT concat_ws('.', s.oid, s.xmin) FROM pg_publication_namespace AS s
    WHERE s.pnpubid = p.oid AND s.pnnspid = n.oid)"""

# Of a column that was added with a default, old rows show that default while ``atthasmissing`` stands, also after the
# default was dropped. A NOT NULL column cannot have come to a table with rows otherwise.
_COLUMNS: LiteralString = """
SELECT a.attrelid::text, a.attname::text, a.attnum::int4,
       format_type(a.atttypid, a.atttypmod)
           || coalesce(' GENERATED AS ' || pg_get_expr(d.adbin, d.adrelid), ''),
       a.atthasmissing OR a.atthasdef OR a.attnotnull OR a.attidentity <> '' OR t.typtype = 'd',
       a.attgenerated = '' OR a.attgenerated = 's' AND current_setting('server_version_num')::int4 >= 180000,
       concat_ws('.', a.xmin, d.xmin)
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated <> ''
WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

# Tables that inherit are among them; a partition that is being detached concurrently is none any more. What was made
# as a partition got its place two commands after its columns, of the very statement; system columns never change. Any
# other was a table of its own, maybe with rows, and so were those below it.
_PARTS: LiteralString = """
WITH RECURSIVE part(root, oid, place, attached) AS (
    SELECT root, root, '', false FROM unnest(%(oids)s::oid[]) AS root
    UNION
    SELECT part.root, i.inhrelid, part.place || '.' || i.xmin::text,
           part.attached OR i.xmin <> made.xmin OR i.cmin::text::int8 - made.cmin::text::int8 > 2
    FROM part JOIN pg_inherits AS i ON i.inhparent = part.oid
    JOIN pg_attribute AS made ON made.attrelid = i.inhrelid AND made.attname = 'tableoid'
    WHERE NOT coalesce((to_jsonb(i) ->> 'inhdetachpending')::bool, false))
SELECT part.root::text, c.oid::text, c.relfilenode::text || part.place, part.attached
FROM part JOIN pg_class AS c ON c.oid = part.oid
WHERE part.oid <> part.root AND c.relkind <> 'p'
ORDER BY part.root, c.oid
"""


def shapes(
    connection: psycopg.Connection, config: PostgresConfig, tables: Sequence[FollowedTable], publication: str
) -> dict[str, TableShape]:
    """By table id, of the tables that exist and that the publication has: the changes of all others are not in the log.

    Of a plain table, ``parts`` are the tables that inherit from it.
    """
    named = [(table, parsed) for table in tables if (parsed := parse_name(table.name, config.schema))]
    names = {
        "schemas": [schema for _, (schema, _) in named],
        "tables": [name for _, (_, name) in named],
        "publication": publication,
    }
    by_schema = _BY_SCHEMA if connection.info.server_version >= _SCHEMAS_VERSION else "NULL"
    found = connection.execute(_PUBLISHED.replace("IN_SCHEMA", by_schema), names).fetchall()
    oids = {"oids": [row[1] for row in found]}
    published = {oid: attributes for _, oid, *_, attributes in found}
    columns = _columns(connection, oids, published)
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    attached: dict[str, list[str]] = defaultdict(list)
    for root, leaf, storage, was_attached in connection.execute(_PARTS, oids):
        parts[root][leaf] = storage
        if was_attached:
            attached[root].append(leaf)
    return {
        named[number - 1][0].table_id: TableShape(
            oid,
            columns[oid],
            parts[oid],
            attached=tuple(attached[oid]),
            storage="" if partitioned else storage,
            publication=membership,
        )
        for number, oid, partitioned, storage, membership, _ in found
    }


def _columns(
    connection: psycopg.Connection, oids: Mapping[str, Sequence[str]], published: Mapping[str, Sequence[int] | None]
) -> dict[str, dict[str, ShapedColumn]]:
    columns: dict[str, dict[str, ShapedColumn]] = defaultdict(dict)
    for oid, name, number, type, filled, may_be_logged, revision in connection.execute(_COLUMNS, oids):
        attributes = published[oid]
        logged = may_be_logged and (attributes is None or number in attributes)
        columns[oid][name] = ShapedColumn(number, type, filled, logged, revision=revision)
    return columns
