"""Where the log ends, and who has written what is not in it yet as a whole."""

from typing import LiteralString

import psycopg

from connectors.errors import ConfigurationError, SchemaChangedError
from connectors.postgres.config import PostgresConfig
from connectors.postgres.names import parse_name
from connectors.postgres.replication.control import SESSION_NAME
from connectors.postgres.session import connect, transaction

_NOT_HERE = ("42501", "42883")
"""The function may not be called, or there is none: what speaks Postgres' protocol need not be Postgres."""

# Who writes rows has RowExclusive; what rewrites or empties a whole table has AccessExclusive. The oldest of a
# transaction's own numbers is that of the whole; the others are its savepoints'.
_WRITERS: LiteralString = """
WITH RECURSIVE part(oid) AS (
    SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND c.relkind IN ('r', 'p')
    UNION
    SELECT i.inhrelid FROM part JOIN pg_inherits AS i ON i.inhparent = part.oid),
held AS MATERIALIZED (SELECT * FROM pg_locks WHERE granted)
SELECT pg_is_in_recovery(), (SELECT count(*) FROM part), (
    SELECT array_agg(DISTINCT writer.xid) FROM (
        SELECT (array_agg(own.transactionid::text ORDER BY age(own.transactionid) DESC))[1] AS xid
        FROM held AS own
        WHERE own.locktype = 'transactionid' AND own.mode = 'ExclusiveLock' AND own.virtualtransaction IN (
            SELECT lock.virtualtransaction FROM held AS lock JOIN part ON part.oid = lock.relation
            WHERE lock.locktype = 'relation' AND lock.mode IN ('RowExclusiveLock', 'AccessExclusiveLock')
              AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
        GROUP BY own.virtualtransaction) AS writer)
"""


def writers(config: PostgresConfig, table: str) -> frozenset[str]:
    """``connectors.capture.Capturing.writers``: by the numbers of their transactions, which stay when one is prepared.

    That the locks tell suffices: a transaction that has written rows holds a lock on each table and partition that it
    wrote to until after others see it as ended, and when it commits, the log has it before. So what the log holds at
    the time of the call was written by one of these, or is visible. One without a number yet has nothing in the log.
    """
    parsed = parse_name(table, config.schema)
    if parsed is None:
        raise _gone(table)
    with transaction(config, SESSION_NAME) as connection:
        row = connection.execute(_WRITERS, {"schema": parsed[0], "table": parsed[1]}).fetchone()
    assert row is not None
    in_recovery, found, numbers = row
    if in_recovery:
        raise ConfigurationError("A read replica does not tell who writes to its primary.", attr="host")
    if not found:
        raise _gone(table)
    return frozenset(numbers or ())


def _gone(table: str) -> SchemaChangedError:
    return SchemaChangedError(f"{table} is gone from the source.")


def log_end(config: PostgresConfig) -> int:
    """``connectors.capture.Capturing.log_end``. A message of our own is written behind it and made to last, so that
    the stream gets there on an idle server, too. Anybody may write one.
    """
    with connect(config, SESSION_NAME) as connection:
        if _one(connection, "SELECT pg_is_in_recovery()::int4"):
            return _one(connection, "SELECT (pg_last_wal_replay_lsn() - '0/0')::int8")
        connection.read_only = False
        try:
            # Not for a standby to have it, which may be gone: the log of this server is what is read.
            return _in_transaction(connection, "pg_logical_emit_message(true, 'syncline', '')")
        except psycopg.Error as error:
            if error.sqlstate not in _NOT_HERE:
                raise
        # The end of a transaction that has a number is written to the log, behind this.
        return _in_transaction(connection, "pg_current_wal_insert_lsn()")


def _in_transaction(connection: psycopg.Connection, position: LiteralString) -> int:
    with connection.transaction():
        connection.execute("SELECT set_config('synchronous_commit', 'local', true)")
        return _one(connection, f"SELECT ({position} - '0/0')::int8 FROM txid_current()")


def _one(connection: psycopg.Connection, query: LiteralString) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
