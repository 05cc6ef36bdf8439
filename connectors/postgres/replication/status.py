"""What the source says of slot and publication."""

from datetime import UTC, datetime
from typing import LiteralString

import psycopg

from connectors.capture import CaptureSetup, CaptureStatus
from connectors.postgres.config import PostgresConfig
from connectors.postgres.names import public_name
from connectors.postgres.replication.control import SESSION_NAME
from connectors.postgres.session import transaction

_STATUS: LiteralString = """
WITH now AS (
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END AS lsn)
SELECT slot.slot_name IS NOT NULL,
       EXISTS (SELECT FROM pg_publication WHERE pubname = %(publication)s),
       coalesce(slot.active, false),
       slot.wal_status,
       (slot.restart_lsn - '0/0')::int8,
       (SELECT setting::int8 * 1024 * 1024 FROM pg_settings WHERE name = 'max_slot_wal_keep_size' AND setting <> '-1'),
       (slot.confirmed_flush_lsn - '0/0')::int8,
       (now.lsn - '0/0')::int8
FROM now LEFT JOIN pg_replication_slots AS slot ON slot.slot_name = %(slot)s AND slot.database = current_database()
"""

# A new history begins with each promotion and each recovery to a point in time: a timeline.
_CLUSTER: LiteralString = """
SELECT (SELECT system_identifier FROM pg_control_system()) || '/' ||
       CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
       ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int4 END
"""

_PUBLISHED: LiteralString = """
SELECT n.nspname::text, c.relname::text
FROM pg_publication AS p, LATERAL pg_get_publication_tables(p.pubname::text) AS published,
     pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE p.pubname = %(publication)s AND c.oid = published.relid AND NOT c.relispartition
  AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
"""


def capture_status(config: PostgresConfig, setup: CaptureSetup) -> CaptureStatus:
    """``connectors.capture.Capturing.capture_status``. A slot of that name in another database is none of ours."""
    names = {"slot": setup.slot, "publication": setup.publication, "schema": config.schema}
    with transaction(config, SESSION_NAME) as connection:
        row = connection.execute(_STATUS, names).fetchone()
        tables = connection.execute(_PUBLISHED, names).fetchall()
        cluster = _cluster(connection)
    assert row is not None
    slot_exists, publication_exists, active, wal_status, restart, limit, confirmed, end = row
    return CaptureStatus(
        slot_exists=slot_exists,
        publication_exists=publication_exists,
        slot_active=active,
        wal_status=wal_status,
        lag_bytes=_behind(end, confirmed),
        retained_bytes=_behind(end, restart),
        limit_bytes=limit,
        confirmed=confirmed,
        log_end=end,
        published_tables=tuple(sorted(public_name(schema, name, config.schema) for schema, name in tables)),
        cluster=cluster,
        observed_at=datetime.now(UTC),
    )


def _cluster(connection: psycopg.Connection) -> str | None:
    """None where a service that runs Postgres for others does not say."""
    try:
        with connection.transaction():
            row = connection.execute(_CLUSTER).fetchone()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction, psycopg.NotSupportedError):
        return None
    return row[0] if row else None


def _behind(end: int, position: int | None) -> int | None:
    return None if position is None else max(end - position, 0)
