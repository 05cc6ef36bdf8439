"""What stands in the way of capturing, and the fix of each: SQL where SQL mends it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from connectors.capture import CaptureProblem, CaptureSetup, FollowedTable
from connectors.postgres.config import PostgresConfig
from connectors.postgres.replication.control import SESSION_NAME
from connectors.postgres.replication.publications import find_publication, grant_create, name_problem
from connectors.postgres.replication.self_managed import self_managed_problems
from connectors.postgres.replication.slots import conflict, find_slot, slot_name_problem
from connectors.postgres.replication.table_prerequisites import candidates, table_problems
from connectors.postgres.session import MINIMUM_VERSION, connect, settled
from connectors.postgres.sql import identifier

# Amazon lends the right by membership in a role of its own; elsewhere it is the role's attribute.
_SERVER: LiteralString = """
SELECT current_setting('wal_level'), pg_is_in_recovery(),
       EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolreplication))
           OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication' AND pg_has_role(oid, 'MEMBER')),
       EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication'),
       has_database_privilege(current_database(), 'CREATE'),
       current_setting('max_replication_slots')::int8, (SELECT count(*) FROM pg_replication_slots),
       current_setting('max_wal_senders')::int8, (SELECT count(*) FROM pg_stat_replication)
"""

_WAL_LEVEL_FIX = (
    "ALTER SYSTEM SET wal_level = 'logical'; -- and restart the server. Amazon RDS and Aurora: the parameter "
    "rds.logical_replication = 1, and a reboot; Google Cloud SQL: the flag cloudsql.logical_decoding = on (AlloyDB: "
    "alloydb.logical_decoding); Azure: the server parameter wal_level = LOGICAL; Neon: switch logical replication on "
    "in the project's settings; Supabase has it on"
)
_STANDBY_FIX = "Give the address of the primary."


@dataclass(frozen=True)
class _Server:
    wal_level: str
    in_recovery: bool
    may_replicate: bool
    is_amazon: bool
    may_create: bool
    slots: int
    used_slots: int
    senders: int
    used_senders: int


def capture_problems(
    config: PostgresConfig, setup: CaptureSetup, tables: Sequence[FollowedTable], existing: bool = False
) -> list[CaptureProblem]:
    """``connectors.capture.Capturing.capture_problems``, in the order in which they are best mended.

    A read replica is refused whatever its version: it can have no publication of its own, does not tell who writes to
    its primary, so that a first load could not know when it has all, and may lose the slot by what its primary does.
    """
    with connect(config, SESSION_NAME) as connection:
        version = connection.info.server_version
        if version < MINIMUM_VERSION:
            wanted = MINIMUM_VERSION // 10000
            return [
                CaptureProblem(
                    "version",
                    f"The server is PostgreSQL {version // 10000}; changes are captured from version {wanted} on.",
                    f"Upgrade the server to PostgreSQL {wanted} or later.",
                )
            ]
        with settled(connection):
            return list(_problems(connection, config, setup, tables, existing))


def _problems(
    connection: psycopg.Connection,
    config: PostgresConfig,
    setup: CaptureSetup,
    tables: Sequence[FollowedTable],
    existing: bool,
) -> Iterator[CaptureProblem]:
    row = connection.execute(_SERVER).fetchone()
    assert row is not None
    server = _Server(*row)
    yield from _server_problems(server, config)
    if not existing:
        yield from _room_problems(server, find_slot(connection, setup.slot) is not None)
    found = candidates(connection, config, setup, tables)
    if not setup.managed:
        yield from self_managed_problems(connection, setup, list(found.values()), existing)
    else:
        yield from _managed_problems(connection, config, setup, server, existing)
    yield from table_problems(connection, config, setup, tables, found)


def _server_problems(server: _Server, config: PostgresConfig) -> Iterator[CaptureProblem]:
    if server.in_recovery:
        yield CaptureProblem(
            "standby", "This server is a read replica, on which nothing can be captured.", _STANDBY_FIX
        )
    if server.wal_level != "logical":
        yield CaptureProblem(
            "wal_level", f"The server's wal_level is {server.wal_level}, and must be logical.", _WAL_LEVEL_FIX
        )
    if not server.may_replicate:
        user = identifier(config.user)
        yield CaptureProblem(
            "no_replication",
            f"The user {config.user} may not read the log: the role has no REPLICATION.",
            f"GRANT rds_replication TO {user};" if server.is_amazon else f"ALTER ROLE {user} REPLICATION;",
        )


def _room_problems(server: _Server, has_slot: bool) -> Iterator[CaptureProblem]:
    if not has_slot and server.used_slots >= server.slots:
        yield CaptureProblem(
            "no_free_slot",
            f"All {server.slots} replication slots of the server are in use.",
            f"ALTER SYSTEM SET max_replication_slots = {server.used_slots + 5}; -- and restart the server; or drop "
            "a slot that nobody needs",
        )
    if server.used_senders >= server.senders:
        yield CaptureProblem(
            "no_free_sender",
            f"All {server.senders} WAL senders of the server are in use.",
            f"ALTER SYSTEM SET max_wal_senders = {server.used_senders + 5}; -- and restart the server",
        )


def _managed_problems(
    connection: psycopg.Connection, config: PostgresConfig, setup: CaptureSetup, server: _Server, existing: bool
) -> Iterator[CaptureProblem]:
    for code, reason in (
        ("slot_name", slot_name_problem(setup.slot)),
        ("publication_name", name_problem(setup.publication)),
    ):
        if reason:
            yield CaptureProblem(code, reason, "Choose another name.")
    publication = find_publication(connection, setup.publication)
    if publication and not publication.ours:
        yield CaptureProblem(
            "publication_taken",
            f"The publication {setup.publication} was not made by Syncline.",
            "Choose another name for the publication, or let its owner manage it: self-managed.",
        )
    elif publication and not publication.may_change:
        yield CaptureProblem(
            "publication_taken",
            f"The publication {setup.publication} belongs to another user.",
            f"ALTER PUBLICATION {identifier(setup.publication)} OWNER TO {identifier(config.user)};",
        )
    elif publication is None and not server.may_create:
        yield CaptureProblem(
            "no_create",
            f"The user {config.user} may not make a publication in the database {config.database}.",
            f"{grant_create(config)};",
        )
    slot = None if existing else find_slot(connection, setup.slot)
    reason = conflict(slot, setup.slot, bool(publication and publication.ours)) if slot else None
    if reason:
        yield CaptureProblem("slot_taken", reason, "Choose another name for the slot.")
