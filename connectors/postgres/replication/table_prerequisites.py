"""What keeps tables from being captured."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from connectors.capture import CaptureProblem, CaptureSetup, FollowedTable
from connectors.postgres.config import PostgresConfig
from connectors.postgres.names import parse_name
from connectors.postgres.replication.identities import Family, Relation, families
from connectors.postgres.sql import identifier, relation

OTHERWISE = "Copy it in another way: full_refresh, incremental or append."
MOST_NAMED = 5
"""How many partitions a sentence lists."""

_TABLES: LiteralString = """
SELECT wanted.number::int8, c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text,
       c.relispartition, has_schema_privilege(n.oid, 'USAGE'), row_security_active(c.oid),
       pg_has_role(c.relowner, 'USAGE'), pg_get_userbyid(c.relowner)::text,
       EXISTS (SELECT FROM pg_publication_rel AS member JOIN pg_publication AS p ON p.oid = member.prpubid
               WHERE p.pubname = %(publication)s AND member.prrelid = c.oid),
       col.present, col.readable, col.logged
FROM unnest(%(schemas)s::text[], %(tables)s::text[]) WITH ORDINALITY AS wanted(schema, name, number)
JOIN pg_namespace AS n ON n.nspname = wanted.schema
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(a.attname::text), '{}') AS present,
           coalesce(array_agg(a.attname::text)
               FILTER (WHERE has_column_privilege(a.attrelid, a.attnum, 'SELECT')), '{}') AS readable,
           coalesce(array_agg(a.attname::text) FILTER (WHERE a.attgenerated = '' OR a.attgenerated = 's'
               AND current_setting('server_version_num')::int4 >= 180000), '{}') AS logged
    FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS col
"""
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


@dataclass(frozen=True)
class Candidate:
    """A table as the catalogue has it, of a name that is to be captured."""

    followed: FollowedTable
    oid: int
    schema: str
    name: str
    kind: str
    persistence: str
    is_partition: bool
    may_use_schema: bool
    row_security: bool
    owned: bool
    owner: str
    published: bool
    columns: frozenset[str]
    readable: frozenset[str]
    logged: frozenset[str]

    @property
    def sql(self) -> str:
        return relation(self.schema, self.name)

    @property
    def key(self) -> tuple[str, ...]:
        return self.followed.key


def candidates(
    connection: psycopg.Connection, config: PostgresConfig, setup: CaptureSetup, tables: Sequence[FollowedTable]
) -> dict[str, Candidate]:
    """Those that exist, by table id."""
    named = [(table, parsed) for table in tables if (parsed := parse_name(table.name, config.schema))]
    names = {
        "schemas": [schema for _, (schema, _) in named],
        "tables": [name for _, (_, name) in named],
        "publication": setup.publication,
    }
    found = {}
    for number, *values, present, readable, logged in connection.execute(_TABLES, names):
        table = named[number - 1][0]
        columns = (frozenset(present), frozenset(readable), frozenset(logged))
        found[table.table_id] = Candidate(*(table, *values, *columns))
    return found


def table_problems(
    connection: psycopg.Connection,
    config: PostgresConfig,
    setup: CaptureSetup,
    tables: Sequence[FollowedTable],
    found: dict[str, Candidate],
) -> Iterator[CaptureProblem]:
    related = families(connection, [each.oid for each in found.values()])
    for table in tables:
        candidate = found.get(table.table_id)
        if candidate is None:
            yield CaptureProblem(
                "missing_table", f"There is no table {table.name}.", "Refresh the source's schemas, and leave it out."
            )
        elif problem := _unfit(candidate, related[candidate.oid]):
            yield problem
        else:
            yield from _rights(candidate, config, setup)
            yield from _key_problems(candidate, related[candidate.oid])


def _unfit(table: Candidate, family: Family) -> CaptureProblem | None:
    """What is no table of the kind whose changes are logged."""
    name = table.followed.name
    if table.kind in _KINDS:
        return CaptureProblem(
            "not_a_table", f"{name} is {_KINDS[table.kind]}, of which no changes are logged.", OTHERWISE
        )
    if table.is_partition:
        return CaptureProblem(
            "is_partition", f"{name} is a partition of another table.", "Capture the table that it is a partition of."
        )
    if table.persistence == "t":
        return CaptureProblem("temporary_table", f"{name} is a temporary table.", OTHERWISE)
    if table.persistence == "u":
        return CaptureProblem(
            "unlogged_table",
            f"{name} is unlogged: its changes are not in the log.",
            f"ALTER TABLE {table.sql} SET LOGGED;",
        )
    if family.members and not family.table.is_partitioned:
        return CaptureProblem(
            "inherited_table",
            f"{_listed(family.members)} inherit from {name}: their rows are among its own, but not their changes.",
            OTHERWISE,
        )
    unlogged = [each for each in family.stored if each.kind == "r" and each.persistence != "p"]
    if unlogged:
        return CaptureProblem(
            "partition_not_logged",
            f"Partitions of {name} are unlogged: {_listed(unlogged)}.",
            " ".join(f"ALTER TABLE {each.sql} SET LOGGED;" for each in unlogged),
        )
    foreign = [each for each in family.stored if each.kind != "r"]
    if foreign:
        return CaptureProblem(
            "partition_not_logged", f"Partitions of {name} are foreign tables: {_listed(foreign)}.", OTHERWISE
        )
    return None


def _rights(table: Candidate, config: PostgresConfig, setup: CaptureSetup) -> Iterator[CaptureProblem]:
    name, user = table.followed.name, identifier(config.user)
    if not table.may_use_schema or not table.readable >= (set(table.key) & table.columns) or not table.readable:
        yield CaptureProblem(
            "no_select",
            f"The user {config.user} may not read {name}.",
            f"GRANT USAGE ON SCHEMA {identifier(table.schema)} TO {user}; GRANT SELECT ON {table.sql} TO {user};",
        )
    if table.row_security:
        yield CaptureProblem(
            "row_security",
            f"Row security hides rows of {name} from the user {config.user}, but not their changes.",
            f"ALTER ROLE {user} BYPASSRLS;",
        )
    if setup.managed and not table.owned and not table.published:
        yield CaptureProblem(
            "not_owner",
            f"{name} belongs to {table.owner}, and only its owner can publish it.",
            f"GRANT {identifier(table.owner)} TO {user}; -- or have the owner make slot and publication: self-managed",
        )


def _key_problems(table: Candidate, family: Family) -> Iterator[CaptureProblem]:
    name, key = table.followed.name, table.key
    missing = [column for column in key if column not in table.columns]
    unlogged = [column for column in key if column in table.columns - table.logged]
    if missing:
        yield CaptureProblem(
            "key_missing",
            f"{name} has no column {', '.join(missing)}, by which its rows are told apart.",
            "Choose its key.",
        )
    elif unlogged:
        yield CaptureProblem(
            "key_not_logged",
            f"The key of {name} has columns that are generated, and not in the log: {', '.join(unlogged)}.",
            "Choose a key of other columns.",
        )
    elif family.without_identity:
        yield _without_identity(table, family)
    elif family.table.is_partitioned and not set(key) <= set(family.table.primary_key):
        yield CaptureProblem(
            "key_not_in_identity",
            f"The key ({', '.join(key)}) of {name} is not part of its primary key, which is all that partitions made "
            "later will log of a changed row.",
            f"Choose the primary key as its key: {', '.join(family.table.primary_key)}.",
        )
    elif short := [each for each in family.stored if not each.logs(key)]:
        yield CaptureProblem(
            "key_not_in_identity",
            f"The log does not say the key ({', '.join(key)}) of a row of {_listed(short)} that is updated or deleted.",
            _identify(short, key),
        )


def _without_identity(table: Candidate, family: Family) -> CaptureProblem:
    name, refused = table.followed.name, family.without_identity
    fails = "once published, its UPDATE and DELETE fail at the source"
    if family.table in refused and family.table.is_partitioned:
        columns = ", ".join(identifier(column) for column in table.key)
        return CaptureProblem(
            "no_replica_identity",
            f"{name} has no primary key, so that partitions made later have no replica identity: {fails}.",
            f"ALTER TABLE {table.sql} ADD PRIMARY KEY ({columns});" if columns else f"Give {table.sql} a primary key.",
        )
    of = f"{name} has" if family.table in refused else f"{_listed(refused)}, of {name}, have"
    return CaptureProblem("no_replica_identity", f"{of} no replica identity: {fails}.", _identify(refused, table.key))


def _identify(relations: Sequence[Relation], key: Sequence[str]) -> str:
    """Statements by which they log the key: by the primary key where that will do."""
    return " ".join(
        f"ALTER TABLE {each.sql} REPLICA IDENTITY "
        f"{'DEFAULT' if each.primary_key and set(key) <= set(each.primary_key) else 'FULL'};"
        for each in relations
    )


def _listed(relations: Sequence[Relation]) -> str:
    names = [each.name for each in relations[:MOST_NAMED]]
    more = len(relations) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
