"""The slot: from where on the source keeps its log for us."""

import re
import time
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from connectors.errors import AccessError, BusyError, ConfigurationError
from connectors.postgres.config import PostgresConfig
from connectors.postgres.replication.control import meaning
from connectors.postgres.sql import identifier

PLUGIN = "pgoutput"
OUR_PREFIX = "syncline_"
"""A slot of such a name is ours even where no publication of ours says so any more."""
END_PATIENCE_SECONDS = 10

_NAME = re.compile(r"[a-z0-9_]{1,63}")

_FIND: LiteralString = """
SELECT coalesce(plugin::text, ''), coalesce(database::text, ''), database = current_database() IS TRUE, active_pid,
       wal_status, (confirmed_flush_lsn - '0/0')::int8
FROM pg_replication_slots WHERE slot_name = %s
"""


@dataclass(frozen=True)
class Slot:
    """``confirmed``: up to there its reader has all."""

    plugin: str
    database: str
    is_here: bool
    active_pid: int | None
    wal_status: str | None
    confirmed: int | None

    @property
    def is_lost(self) -> bool:
        return self.wal_status == "lost"

    @property
    def is_usable_here(self) -> bool:
        return self.plugin == PLUGIN and self.is_here


def slot_name_problem(name: str) -> str | None:
    return None if _NAME.fullmatch(name) else "The name of a slot has 1 to 63 characters, each of them a-z, 0-9 or _."


def is_ours(name: str, publication_is_ours: bool) -> bool:
    """As far as can be told: a slot cannot be marked, but the publication that goes with it is."""
    return publication_is_ours or name.startswith(OUR_PREFIX)


def conflict(slot: Slot, name: str, publication_is_ours: bool) -> str | None:
    """Why it is not for us to use: reading it would take the changes away from somebody else."""
    if slot.plugin != PLUGIN:
        reason = f"is of the plugin {slot.plugin}" if slot.plugin else "is of physical replication"
    elif not slot.is_here:
        reason = f"belongs to the database {slot.database}"
    elif slot.active_pid is not None:
        reason = "is being read by another session"
    elif not is_ours(name, publication_is_ours):
        reason = "was not made by Syncline"
    else:
        return None
    return f"There is a slot {name} already, which {reason}."


def find_slot(connection: psycopg.Connection, name: str) -> Slot | None:
    row = connection.execute(_FIND, [name]).fetchone()
    return Slot(*row) if row else None


def make_slot(connection: psycopg.Connection, config: PostgresConfig, name: str) -> int:
    """Its position. Waits for the transactions that write at the moment; nothing is left of it where that takes long.

    Not two-phase: what is prepared comes when it is committed. No failover slot either: a standby that takes over may
    lack what was captured before, so that capture begins anew on it in any case, and until then such a slot would have
    our stream wait for standbys.
    """
    meanings = {
        "42501": lambda: AccessError(
            f"The user {config.user} may not make a replication slot: run "
            f"ALTER ROLE {identifier(config.user)} REPLICATION;",
            attr="user",
        ),
        "53400": lambda: ConfigurationError("The source has no free replication slot: raise max_replication_slots."),
        "55000": lambda: ConfigurationError("The source has no logical log: set wal_level to logical and restart it."),
        "57014": lambda: BusyError(
            "The slot could not be made, because transactions that were under way at the source did not end in time."
        ),
        "42710": lambda: BusyError(f"Somebody else has just made a slot {name}.", retry_after_seconds=1),
    }
    with meaning(meanings):
        row = connection.execute(
            "SELECT (lsn - '0/0')::int8 FROM pg_create_logical_replication_slot(%s, %s)", [name, PLUGIN]
        ).fetchone()
    assert row is not None
    return int(row[0])


def end_reader(connection: psycopg.Connection, name: str) -> None:
    """End the session that has the slot, and wait until it is gone."""
    denied = AccessError(f"The slot {name} is being read by another user, whose session must end first.")
    deadline = time.monotonic() + END_PATIENCE_SECONDS
    while True:
        with meaning({"42501": lambda: denied}):
            ended = connection.execute(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                "WHERE slot_name = %s AND database = current_database() AND active_pid <> pg_backend_pid()",
                [name],
            ).fetchone()
        if ended is None:
            return
        if time.monotonic() > deadline:
            raise BusyError(f"The session that reads the slot {name} does not end.")
        time.sleep(0.02)


def drop_slot(connection: psycopg.Connection, config: PostgresConfig, name: str) -> None:
    meanings = {
        "42501": lambda: AccessError(
            f"The user {config.user} may not drop the slot {name}: run "
            f"ALTER ROLE {identifier(config.user)} REPLICATION;",
            attr="user",
        ),
        "55006": lambda: BusyError(f"The slot {name} is being read.", retry_after_seconds=1),
    }
    with meaning(meanings):
        connection.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
            "WHERE slot_name = %s AND database = current_database()",
            [name],
        )
