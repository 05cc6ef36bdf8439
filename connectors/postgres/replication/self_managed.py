"""Slot and publication that their owner keeps: what is wrong with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from connectors.capture import CaptureProblem, CaptureSetup
from connectors.postgres.replication.publications import GENERATED_VERSION, OPTIONS, OPTIONS_WITH_GENERATED
from connectors.postgres.replication.slots import PLUGIN, Slot, find_slot
from connectors.postgres.replication.table_prerequisites import Candidate
from connectors.postgres.sql import identifier, literal

_PUBLICATION: LiteralString = """
SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot FROM pg_publication WHERE pubname = %s
"""

# Row filters and lists of columns came with Postgres 15: before, JSON has nothing under their names.
_PUBLISHED: LiteralString = """
SELECT published.relid::int8, to_jsonb(published) ->> 'qual' IS NOT NULL,
       CASE WHEN to_jsonb(published) ->> 'attrs' IS NOT NULL THEN ARRAY(
           SELECT a.attname::text FROM pg_attribute AS a
           WHERE a.attrelid = published.relid AND to_jsonb(published) -> 'attrs' @> to_jsonb(a.attnum)) END
FROM pg_publication AS p, LATERAL pg_get_publication_tables(p.pubname::text) AS published WHERE p.pubname = %s
"""


@dataclass(frozen=True)
class _Published:
    filtered: bool
    columns: frozenset[str] | None
    """None: all."""


def self_managed_problems(
    connection: psycopg.Connection, setup: CaptureSetup, tables: Sequence[Candidate], existing: bool
) -> Iterator[CaptureProblem]:
    """The publication first: a slot must be younger than it."""
    publication = connection.execute(_PUBLICATION, [setup.publication]).fetchone()
    slot = find_slot(connection, setup.slot)
    if publication is None:
        yield _no_publication(connection, setup, tables, slot)
    if slot is None:
        yield CaptureProblem("slot_missing", f"There is no slot {setup.slot}.", _make(setup))
    else:
        yield from _slot_problems(slot, setup, existing)
    if publication is not None:
        all_operations, via_root = publication
        yield from _publication_problems(connection, setup, tables, all_operations, via_root)


def _no_publication(
    connection: psycopg.Connection, setup: CaptureSetup, tables: Sequence[Candidate], slot: Slot | None
) -> CaptureProblem:
    options = OPTIONS_WITH_GENERATED if connection.info.server_version >= GENERATED_VERSION else OPTIONS
    listed = ", ".join(f"ONLY {table.sql}" for table in tables if table.kind in ("r", "p"))
    of = f" FOR TABLE {listed}" if listed else ""
    fix = f"CREATE PUBLICATION {identifier(setup.publication)}{of} WITH ({options});"
    if slot and slot.is_usable_here:
        fix += f" {_drop(setup)} {_make(setup)} -- for a slot must be younger than its publication"
    return CaptureProblem("publication_missing", f"There is no publication {setup.publication}.", fix)


def _slot_problems(slot: Slot, setup: CaptureSetup, existing: bool) -> Iterator[CaptureProblem]:
    if not slot.is_here:
        yield CaptureProblem(
            "slot_database",
            f"The slot {setup.slot} belongs to {f'the database {slot.database}' if slot.database else 'no database'}.",
            "Make a slot of another name in this database.",
        )
    elif slot.plugin != PLUGIN:
        yield CaptureProblem(
            "slot_plugin",
            f"The slot {setup.slot} is of the plugin {slot.plugin}, and must be of {PLUGIN}.",
            f"{_drop(setup)} {_make(setup)}",
        )
    elif slot.is_lost:
        yield CaptureProblem(
            "slot_lost",
            f"The source has given up the slot {setup.slot}: the log that it stood for is gone.",
            f"{_drop(setup)} {_make(setup)}",
        )
    elif slot.active_pid is not None and not existing:
        yield CaptureProblem(
            "slot_in_use", f"Another session reads the slot {setup.slot}.", "End it, or make a slot of another name."
        )


def _publication_problems(
    connection: psycopg.Connection,
    setup: CaptureSetup,
    tables: Sequence[Candidate],
    all_operations: bool,
    via_root: bool,
) -> Iterator[CaptureProblem]:
    name, alter = setup.publication, f"ALTER PUBLICATION {identifier(setup.publication)}"
    if not all_operations:
        yield CaptureProblem(
            "publication_operations",
            f"The publication {name} leaves out some of insert, update, delete and truncate.",
            f"{alter} SET (publish = 'insert, update, delete, truncate');",
        )
    partitioned = [table for table in tables if table.kind == "p"]
    if partitioned and not via_root:
        yield CaptureProblem(
            "publication_via_root",
            f"The publication {name} has partitions under their own names.",
            f"{alter} SET (publish_via_partition_root = true);",
        )
        tables = [table for table in tables if table.kind != "p"]
    published = {
        oid: _Published(filtered, None if columns is None else frozenset(columns))
        for oid, filtered, columns in connection.execute(_PUBLISHED, [name])
    }
    for table in tables:
        if table.kind in ("r", "p") and not table.is_partition:
            yield from _membership_problems(table, published.get(table.oid), name, alter)


def _membership_problems(
    table: Candidate, published: _Published | None, name: str, alter: str
) -> Iterator[CaptureProblem]:
    add = f"{alter} ADD TABLE ONLY {table.sql};"
    again = f"{alter} DROP TABLE ONLY {table.sql}; {add}"
    if published is None:
        if table.persistence == "p":
            yield CaptureProblem(
                "publication_lacks_table", f"The publication {name} does not have the table {table.followed.name}.", add
            )
    elif published.filtered:
        yield CaptureProblem(
            "publication_row_filter", f"The publication {name} leaves out rows of {table.followed.name}.", again
        )
    elif published.columns is not None and not set(table.key) & table.columns <= published.columns:
        yield CaptureProblem(
            "publication_columns",
            f"The publication {name} leaves out columns of the key of {table.followed.name}.",
            again,
        )


def _make(setup: CaptureSetup) -> str:
    return f"SELECT pg_create_logical_replication_slot({literal(setup.slot)}, {literal(PLUGIN)});"


def _drop(setup: CaptureSetup) -> str:
    return f"SELECT pg_drop_replication_slot({literal(setup.slot)});"
