"""The publication: which tables' changes the log gives us. Only those that we made are changed or dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from connectors.capture import CaptureSetup
from connectors.errors import AccessError, BusyError, ConfigurationError, LogLostError, SourceError
from connectors.postgres.config import PostgresConfig
from connectors.postgres.names import parse_name, public_name
from connectors.postgres.replication.control import (
    LOCK_PATIENCE_SECONDS,
    Meanings,
    changing,
    claim,
    meaning,
    wait_for_locks,
)
from connectors.postgres.replication.identities import Family, families
from connectors.postgres.sql import identifier, literal, relation

MARK = "Made by Syncline, which changes and drops it."
"""The comment by which we know our own."""
OPTIONS = "publish_via_partition_root = true"
OPTIONS_WITH_GENERATED = f"{OPTIONS}, publish_generated_columns = stored"
GENERATED_VERSION = 180000
"""From here on the log can carry generated columns, stored ones."""
MOST_NAMED = 5
NAME_BYTES = 63
"""Postgres would cut a longer one."""

_FIND: LiteralString = """
SELECT oid::int8, coalesce(obj_description(oid, 'pg_publication') LIKE %(mark)s, false), pg_has_role(pubowner, 'USAGE')
FROM pg_publication WHERE pubname = %(name)s
"""

# All that are wanted, or in the publication.
_PLACES: LiteralString = """
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


_MENDED = {14: 140018, 15: 150013, 16: 160009, 17: 170005}


def needs_quiet(version: int) -> bool:
    """Whether a table must not be written to while it joins a publication.

    Decoding a transaction that was under way then, such a server takes the table for unpublished, and does so for later
    transactions, too (release notes of PostgreSQL 17.5: data loss when DDL does not take a strong lock). So the table
    is locked at once or not at all: nobody who writes ever waits for us to get the lock.
    """
    major = version // 10000
    return version < _MENDED.get(major, version) or major < min(_MENDED)


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


def publish_tables(config: PostgresConfig, setup: CaptureSetup, tables: Sequence[str]) -> dict[str, SourceError]:
    """``connectors.capture.Capturing.publish_tables``."""
    if not setup.managed:
        return {}
    with changing(config) as connection:
        claim(connection, setup)
        if own_publication(connection, setup.publication) is None:
            raise LogLostError(f"The publication {setup.publication} is gone from the source.")
        return put_tables(connection, config, setup.publication, tables)


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


def put_tables(
    connection: psycopg.Connection, config: PostgresConfig, publication: str, tables: Sequence[str]
) -> dict[str, SourceError]:
    """Have just these in it; what keeps some of them out, by their names.

    A table whose UPDATEs would fail, or of which the log has not all, is not published, and no longer where it is
    already. The locks that are waited for do not conflict with those of who writes rows.
    """
    parsed = [each for name in tables if (each := parse_name(name, config.schema))]
    names = {
        "schemas": [schema for schema, _ in parsed],
        "tables": [name for _, name in parsed],
        "publication": publication,
    }
    found = [_Place(*row) for row in connection.execute(_PLACES, names)]
    related = families(connection, [each.oid for each in found if each.wanted])
    unfit = {each: error for each in found if each.wanted and (error := _unfit(each, related[each.oid]))}
    foreign = [each for each in found if each.wanted and not each.present and not each.owned]
    leave = [each for each in found if each.present and (not each.wanted or each in unfit)]
    join = [each for each in found if each.wanted and not each.present and each.owned and each not in unfit]
    _alter(connection, publication, "DROP", leave)
    refused = _alter(connection, publication, "ADD", join)
    refused.update((each, _not_owned(each, config)) for each in foreign)
    refused.update(unfit)
    return {public_name(each.schema, each.name, config.schema): error for each, error in refused.items()}


def _alter(
    connection: psycopg.Connection, publication: str, verb: str, places: Sequence[_Place]
) -> dict[_Place, SourceError]:
    """In one statement, or in one for each where some table is locked or goes at the moment: it keeps no other out."""
    if not places:
        return {}
    try:
        _alter_at_once(connection, publication, verb, places)
    except BusyError as error:
        if len(places) == 1:
            return {places[0]: error}
        wait_for_locks(connection, LOCK_PATIENCE_SECONDS / len(places))
        alone = [_alter(connection, publication, verb, [each]) for each in places]
        wait_for_locks(connection, LOCK_PATIENCE_SECONDS)
        return {each: error for refused in alone for each, error in refused.items()}
    return {}


def _alter_at_once(connection: psycopg.Connection, publication: str, verb: str, places: Sequence[_Place]) -> None:
    """``ONLY``, for what inherits from a table is a table of its own; partitions come along all the same."""
    listed = ", ".join(f"ONLY {each.sql}" for each in places)
    changing = BusyError("The table is being changed at the source.", retry_after_seconds=1)
    locked = BusyError("The table is locked at the source by somebody who changes or maintains it, or writes to it.")
    denied = AccessError(f"The publication {publication} belongs to another user, who must give it to Syncline's.")
    meanings: Meanings = {
        "55P03": lambda: locked,
        "42501": lambda: denied,
        **dict.fromkeys(("42P01", "42704", "42710", "3F000", "22023", "40P01"), lambda: changing),
    }
    with meaning(meanings), connection.transaction():
        if verb == "ADD" and needs_quiet(connection.info.server_version):
            tables = ", ".join(each.sql for each in places)
            connection.execute(f"LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE NOWAIT".encode())
        connection.execute(f"ALTER PUBLICATION {identifier(publication)} {verb} TABLE {listed}".encode())


def _unfit(place: _Place, family: Family) -> SourceError | None:
    if family.not_logged:
        names = ", ".join(each.name for each in family.not_logged[:MOST_NAMED])
        return ConfigurationError(
            f"Rows of the table {place.name} lie where changes are not logged with it, in foreign, unlogged or "
            f"inheriting tables: {names}."
        )
    if not family.without_identity:
        return None
    return ConfigurationError(
        f"The table {place.name} has no replica identity, so that its UPDATE and DELETE would fail at the source once "
        f"it is published: give it a primary key, or run ALTER TABLE {place.sql} REPLICA IDENTITY FULL;"
    )


def _not_owned(place: _Place, config: PostgresConfig) -> SourceError:
    return AccessError(
        f"The table {place.name} belongs to {place.owner}, and only its owner can publish it: run "
        f"GRANT {identifier(place.owner)} TO {identifier(config.user)};"
    )
