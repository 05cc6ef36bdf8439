"""Whether a table still is what the catalogue said, once a reading transaction has its lock on it.

A snapshot does not protect from changes of the table itself: rows that ALTER TABLE wrote anew or TRUNCATE took away
after it are gone for it, silently, and names mean the columns of today. The lock that reading takes keeps the table as
it is from then on, so one look after it tells whether the plan of the read holds.
"""

import psycopg

from connectors.base import ReadRequest
from connectors.errors import BusyError, SnapshotLostError
from connectors.postgres.catalogue import SourceTable
from connectors.postgres.config import PostgresConfig
from connectors.postgres.discovery import find
from connectors.postgres.session import settled


def rewritten_query(source: str) -> str:
    """How many relations that reading takes a lock on have other files than in the transaction's snapshot.

    Naming ``source`` here takes the locks, on partitions and the tables below views as well. ``pg_class`` is read in
    the snapshot, the function answers for now.
    """
    return (
        "SELECT count(*) AS c0 FROM pg_locks AS held JOIN pg_class AS c ON c.oid = held.relation "
        "WHERE held.locktype = 'relation' AND held.pid = pg_backend_pid() AND c.relfilenode <> 0 "
        "AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        f"AND c.relfilenode <> pg_relation_filenode(c.oid) AND NOT EXISTS (SELECT FROM {source} LIMIT 0)"
    )


def check_steady(
    connection: psycopg.Connection, config: PostgresConfig, request: ReadRequest, table: SourceTable, rewritten: int
) -> SourceTable:
    """The table as it is now, asked once the locks are there, on another session, which sees what holds now.

    Where the table is not what was planned for, ``BusyError``: plan again. ``SnapshotLostError`` where the read is of a
    snapshot from before the change: no plan reads that one any more.
    """
    with settled(connection):
        now = find(connection, config, [request.table])
    if rewritten or not now or (now[0].oid, now[0].columns) != (table.oid, table.columns):
        if request.snapshot is not None:
            raise SnapshotLostError(f"{request.table} was rewritten or changed its columns while it was read.")
        raise BusyError(f"{request.table} was changed just as it was to be read.", retry_after_seconds=1)
    return now[0]
