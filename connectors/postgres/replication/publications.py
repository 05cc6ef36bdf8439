"""The publication: which tables' changes the log gives us. Only those that we made are changed or dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from connectors.capture import CaptureSetup
from connectors.errors import AccessError, BusyError, ConfigurationError, SourceError
from connectors.postgres.config import PostgresConfig
from connectors.postgres.names import parse_name, public_name
from connectors.postgres.replication.control import alone, changing, meaning
from connectors.postgres.replication.identities import Family, families
from connectors.postgres.sql import identifier, literal, relation

MARK = "Made by Syncline, which changes and drops it."
"""The comment by which we know our own."""
OPTIONS = "publish_via_partition_root = true"
OPTIONS_WITH_GENERATED = f"{OPTIONS}, publish_generated_columns = stored"
GENERATED_VERSION = 180000
"""From here on the log can carry generated columns, stored ones."""
NAME_BYTES = 63
"""Postgres would cut a longer one."""

_FIND: LiteralString = """
SELECT oid::int8, coalesce(obj_description(oid, 'pg_publication') LIKE %(mark)s, false), pg_has_role(pubowner, 'USAGE')
FROM pg_publication WHERE pubname = %(name)s
"""

# Those of which only one of both is true: wanted, and in the publication.
_DIFFERENCE: LiteralString = """
WITH wanted AS (
    SELECT DISTINCT c.oid
    FROM unnest(%(schemas)s::text[], %(tables)s::text[]) AS named(schema, name)
    JOIN pg_namespace AS n ON n.nspname = named.schema
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = named.name
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'),
present AS (
    SELECT member.prrelid AS oid FROM pg_publication_rel AS member JOIN pg_publication AS p ON p.oid = member.prpubid
    WHERE p.pubname = %(publication)s)
SELECT c.oid::int8, n.nspname::text, c.relname::text, wanted.oid IS NOT NULL, present.oid IS NOT NULL,
       pg_has_role(c.relowner, 'USAGE'), pg_get_userbyid(c.relowner)::text
FROM wanted FULL JOIN present USING (oid)
JOIN pg_class AS c USING (oid) JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY n.nspname, c.relname
"""


@dataclass(frozen=True)
class Publication:
    oid: int
    ours: bool
    may_change: bool


def find_publication(connection: psycopg.Connection, name: str) -> Publication | None:
    row = connection.execute(_FIND, {"name": name, "mark": f"{MARK}%"}).fetchone()
    return Publication(*row) if row else None


def own_publication(connection: psycopg.Connection, name: str) -> Publication | None:
    """Ours of that name; ``ConfigurationError`` where another's is in its place."""
    found = find_publication(connection, name)
    if found and not found.ours:
        raise ConfigurationError(
            f"The publication {name} was not made by Syncline: choose another name, or let its owner manage it.",
            attr="cdc_publication_name",
        )
    return found


def name_problem(name: str) -> str | None:
    if 1 <= len(name.encode()) <= NAME_BYTES and "\0" not in name:
        return None
    return f"The name of a publication has 1 to {NAME_BYTES} bytes."


def make_publication(connection: psycopg.Connection, config: PostgresConfig, name: str) -> None:
    """An empty one. Partitions go by the names of their roots, and stored generated columns are in it, if ever."""
    options = OPTIONS_WITH_GENERATED if connection.info.server_version >= GENERATED_VERSION else OPTIONS
    denied = AccessError(
        f"The user {config.user} may not make a publication: run {grant_create(config)};", attr="cdc_publication_name"
    )
    with meaning({"42501": lambda: denied}):
        connection.execute(f"CREATE PUBLICATION {identifier(name)} WITH ({options})".encode())
        connection.execute(f"COMMENT ON PUBLICATION {identifier(name)} IS {literal(MARK)}".encode())


def drop_publication(connection: psycopg.Connection, name: str) -> None:
    denied = AccessError(f"The publication {name} belongs to another user, who must drop it.")
    with meaning({"42501": lambda: denied}):
        connection.execute(f"DROP PUBLICATION IF EXISTS {identifier(name)}".encode())


def grant_create(config: PostgresConfig) -> str:
    return f"GRANT CREATE ON DATABASE {identifier(config.database)} TO {identifier(config.user)}"


def publish_tables(config: PostgresConfig, setup: CaptureSetup, tables: Sequence[str]) -> None:
    """``connectors.capture.Capturing.publish_tables``.

    Tables that do not exist are left out. What stands in the way of one keeps no other one out: the rest is published,
    and only then the error is raised.
    """
    if not setup.managed:
        return
    with alone(config, setup), changing(config) as connection:
        if own_publication(connection, setup.publication) is None:
            raise ConfigurationError(
                f"The publication {setup.publication} is gone from the source.", attr="cdc_publication_name"
            )
        refused = put_tables(connection, config, setup.publication, tables)
    if refused:
        raise refused


def put_tables(
    connection: psycopg.Connection, config: PostgresConfig, publication: str, tables: Sequence[str]
) -> SourceError | None:
    """What stands in the way of some of them, the others being published.

    A table whose UPDATEs would fail is not published, and no longer where it is already. The locks that are taken, and
    waited for, do not conflict with those of who writes rows.
    """
    parsed = [each for name in tables if (each := parse_name(name, config.schema))]
    names = {
        "schemas": [schema for schema, _ in parsed],
        "tables": [name for _, name in parsed],
        "publication": publication,
    }
    found = [_Place(*row) for row in connection.execute(_DIFFERENCE, names)]
    all_families = families(connection, [each.oid for each in found if each.wanted])
    failing = {oid for oid, family in all_families.items() if family.without_identity}
    foreign = [each for each in found if each.wanted and not each.present and not each.owned]
    leave = [each for each in found if each.present and (not each.wanted or each.oid in failing)]
    join = [each for each in found if each.wanted and not each.present and each.owned and each.oid not in failing]
    for verb, places in (("DROP", leave), ("ADD", join)):
        if places:
            _alter(connection, publication, verb, places)
    if failing:
        return _without_identity([all_families[oid] for oid in failing], config)
    return _not_owned(foreign, config) if foreign else None


@dataclass(frozen=True)
class _Place:
    """A table, and whether it should be and is in the publication."""

    oid: int
    schema: str
    name: str
    wanted: bool
    present: bool
    owned: bool
    owner: str

    @property
    def sql(self) -> str:
        return relation(self.schema, self.name)


def _alter(connection: psycopg.Connection, publication: str, verb: str, places: Sequence[_Place]) -> None:
    """``ONLY``, for what inherits from a table is a table of its own; partitions come along all the same."""
    listed = ", ".join(f"ONLY {each.sql}" for each in places)
    changed = BusyError("The tables of the source change at the moment.", retry_after_seconds=1)
    denied = AccessError(f"The publication {publication} belongs to another user, who must give it to Syncline's.")
    meanings = {state: lambda: changed for state in ("42P01", "42704", "42710", "3F000")}
    with meaning({**meanings, "42501": lambda: denied}):
        connection.execute(f"ALTER PUBLICATION {identifier(publication)} {verb} TABLE {listed}".encode())


def _without_identity(refused: Sequence[Family], config: PostgresConfig) -> SourceError:
    tables = sorted(public_name(each.table.schema, each.table.name, config.schema) for each in refused)
    return ConfigurationError(
        "UPDATE and DELETE would fail at the source if these tables were published, for they have no replica "
        f"identity: {', '.join(tables)}. Give each a primary key, or run ALTER TABLE … REPLICA IDENTITY FULL."
    )


def _not_owned(refused: Sequence[_Place], config: PostgresConfig) -> SourceError:
    tables = ", ".join(public_name(each.schema, each.name, config.schema) for each in refused)
    grants = " ".join(
        f"GRANT {identifier(owner)} TO {identifier(config.user)};" for owner in sorted({each.owner for each in refused})
    )
    return AccessError(
        f"Only their owner can publish these tables: {tables}. Run {grants} or let their owner manage the publication."
    )
