"""A large installation's metadata, in PostgreSQL within seconds: what lists, filters and figures are measured on."""

import json
import random
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from metadata.names import table_name, table_path
from metadata.vault import Vault

NEWEST = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES = ("Completed", "Completed", "Completed", "Failed", "Running", None)
COLUMNS = 20
VARIANTS = 8
Row = tuple[Any, ...]
_random = random.Random(1)  # noqa: S311 - ids need no secrecy here, but the same ones each time


@dataclass(frozen=True)
class Size:
    """The first project has half of the sources, four others share the rest."""

    sources: int = 10_000
    schemas_per_source: int = 10
    jobs_per_schema: int = 2
    """Of each schema that is enabled, which is every second one."""


@dataclass(frozen=True)
class Seeded:
    """What a load generator may ask for: ids of the first project, newest first."""

    source_ids: list[str]
    schema_ids: list[str]


def seed(dsn: str, vault: Vault, size: Size) -> Seeded:
    """Fill a migrated database whose first project exists and has no source; one transaction."""
    sources = [(number, _new_id(), _project(number)) for number in range(size.sources)]
    schemas = [
        ((parent, project, number), _new_id(), number * size.schemas_per_source + place)
        for number, parent, project in sources
        for place in range(size.schemas_per_source)
    ]
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT setval(pg_get_serial_sequence('project', 'id'), 5)")
        _copy(connection, "project", ("id", "name", "created_at"), [(n, f"project {n}", NEWEST) for n in range(2, 6)])
        _copy(connection, "source", _SOURCE, _sources(sources, vault.encrypt({"host": "db.example", "port": 5432})))
        _copy(connection, "schema", _SCHEMA, _schemas(schemas))
        enabled = [one for one in schemas if one[2] % 2 == 0]
        _copy(connection, "schema_state", _STATE, _states(schemas))
        _copy(connection, "lake_table", _TABLE, _tables(enabled))
        _copy(connection, "job", _JOB, _jobs(enabled, size.jobs_per_schema))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return Seeded(
        [str(identity) for _, identity, project in sources if project == 1],
        [str(identity) for source, identity, _ in schemas if source[1] == 1],
    )


_SOURCE = ("id", "project_id", "source_type", "prefix", "description", "access_method", "encrypted_inputs")
_SOURCE += ("include_invoiceless_charges", "created_at", "updated_at")
_SCHEMA = ("id", "project_id", "source_id", "name", "label", "should_sync", "sync_type", "sync_frequency")
_SCHEMA += ("incremental_lookback_seconds", "cdc_table_mode", "discovered", "status", "failures_in_a_row")
_SCHEMA += ("enabled_at", "last_synced_at", "created_at", "updated_at")
_STATE = ("schema_id", "generation", "fence", "erase_pending", "sequence")
_TABLE = ("id", "project_id", "schema_id", "name", "path", "row_count", "size_bytes", "columns")
_TABLE += ("created_at", "updated_at")
_JOB = ("id", "project_id", "source_id", "schema_id", "status", "trigger", "fence", "generation", "rows_synced")
_JOB += ("bytes_written", "warnings", "parts", "workflow_id", "workflow_run_id", "created_at", "finished_at")

_Source = tuple[int, uuid.UUID, int]
_Schema = tuple[tuple[uuid.UUID, int, int], uuid.UUID, int]
"""Its source's id, project and number; its own id; its number among all."""


def _new_id() -> uuid.UUID:
    return uuid.UUID(int=_random.getrandbits(128), version=4)


def _project(number: int) -> int:
    return 1 if number % 2 == 0 else 2 + number // 2 % 4


def _sources(sources: Iterable[_Source], inputs: str) -> Iterator[Row]:
    for number, identity, project in sources:
        at = NEWEST - timedelta(minutes=number)
        yield identity, project, "Postgres", f"p{number}_", f"shop {number}", "warehouse", inputs, True, at, at


def _schemas(schemas: Iterable[_Schema]) -> Iterator[Row]:
    facts = [json.dumps(_discovered(variant)) for variant in range(VARIANTS)]
    for (source, project, parent), identity, number in schemas:
        at, enabled = NEWEST - timedelta(minutes=parent), number % 2 == 0
        status = STATUSES[number // 2 % len(STATUSES)] if enabled else None
        synced = at if status else None
        yield (
            *(identity, project, source, _name(number), None, enabled, "full_refresh" if enabled else None, "6hour"),
            *(0, "consolidated", facts[number % VARIANTS], status, 0, at if enabled else None, synced, at, at),
        )


def _states(schemas: Iterable[_Schema]) -> Iterator[Row]:
    for _, identity, number in schemas:
        yield identity, 1, 1 - number % 2, False, 1 - number % 2


def _tables(schemas: Iterable[_Schema]) -> Iterator[Row]:
    columns = [json.dumps(_columns(variant)) for variant in range(VARIANTS)]
    for (_, project, parent), identity, number in schemas:
        name = table_name(f"p{parent}_", "Postgres", _name(number))
        path, at = table_path(project, name, identity), NEWEST - timedelta(minutes=parent)
        yield identity, project, identity, name, path, 1000, 2**20, columns[number % VARIANTS], at, at


def _jobs(schemas: Iterable[_Schema], each: int) -> Iterator[Row]:
    for (source, project, parent), schema, number in schemas:
        for round_ in range(each):
            at = NEWEST - timedelta(minutes=parent) + timedelta(hours=round_)
            yield (
                *(_new_id(), project, source, schema, "Completed", "schedule", round_ + 1, 1, 1000, 2**20, "[]", "{}"),
                *(f"{schema}-{round_}", f"run-{number}-{round_}", at, at + timedelta(minutes=1)),
            )


def _name(number: int) -> str:
    return f"public.table_{number}"


def _discovered(variant: int) -> dict[str, Any]:
    cursors = [{"field": "updated_at", "field_type": "timestamp", "label": "updated_at", "type": "timestamptz"}]
    return {
        "kind": "table",
        "columns": [column | {"primary_key": column["name"] == "id"} for column in _columns(variant)],
        "primary_key": ["id"],
        "unique_keys": [["id"]],
        "incremental_fields": [cursor | {"nullable": False, "is_indexed": True} for cursor in cursors],
        "row_estimate": 1000,
    }


def _columns(variant: int) -> list[dict[str, Any]]:
    names = ["id", "updated_at", *(f"attribute_{variant}_{place}" for place in range(COLUMNS - 2))]
    types = ["bigint", "timestamp with time zone", *["character varying(200)"] * (COLUMNS - 2)]
    return [{"key": n, "name": n, "type": t, "nullable": n != "id"} for n, t in zip(names, types, strict=True)]


def _copy(connection: psycopg.Connection[Any], table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor().copy(into) as copy:
        for row in rows:
            copy.write_row(row)
