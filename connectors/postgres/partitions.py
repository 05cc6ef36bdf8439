"""Reading a large table in parts: ranges of blocks, under one exported snapshot.

A row of a snapshot lies in one block for as long as the table's files are not rewritten, so ranges of blocks that
leave none out hold each row once, whatever its key, its statistics or its order. Of a partitioned table each range
takes those blocks of every leaf. What lets a part be trusted stands in ``docs/decisions/0006-parts.md``.
"""

import hashlib
import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, LiteralString

import psycopg
from psycopg.pq import ConnStatus

from connectors.base import Part, Snapshot
from connectors.errors import BusyError, NotDivisibleError, SchemaChangedError, SnapshotLostError
from connectors.postgres.catalogue import SourceTable
from connectors.postgres.config import PostgresConfig
from connectors.postgres.discovery import find
from connectors.postgres.query import ReadQuery
from connectors.postgres.session import GONE, begin, connect, session_settings
from connectors.postgres.sql import literal

MOST_PARTS = 64
"""Beyond them the parts grow: a run's history stays small."""
DIVISIBLE_VERSION = 140000
"""From here on Postgres reads a range of blocks without looking at the others."""

_LEAVES: LiteralString = """
SELECT coalesce(array_agg(relid::oid), ARRAY[%(oid)s::oid]) AS oids
FROM pg_partition_tree(%(oid)s::oid) WHERE isleaf
"""

_EXTENT: LiteralString = f"""
WITH leaves AS ({_LEAVES})
SELECT coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int8,
       coalesce(pg_relation_size(c.oid), 0) + coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0),
       c.relkind IN ('r', 'm') AND am.amname = 'heap' AND NOT c.relhassubclass
FROM leaves JOIN pg_class AS c ON c.oid = ANY(leaves.oids) LEFT JOIN pg_am AS am ON am.oid = c.relam
"""

# Read as a whole, what a policy shows may depend on anything.
_OPEN: LiteralString = "SELECT NOT row_security_active(%(oid)s::oid)"

# What was made after the snapshot has no row in it: new partitions may come while the table is read.
_FILES: LiteralString = f"""
WITH leaves AS ({_LEAVES}), files AS (
    SELECT leaf, pg_relation_filenode(leaf) AS file, c.relfilenode AS seen
    FROM leaves, unnest(leaves.oids) AS leaf JOIN pg_class AS c ON c.oid = leaf)
SELECT coalesce(string_agg(leaf || ':' || file, ',' ORDER BY leaf), '') || ' '
       || (SELECT system_identifier FROM pg_control_system()) || ' '
       || CASE WHEN pg_is_in_recovery() THEN 'standby since ' || pg_postmaster_start_time()
          ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS files,
       coalesce(bool_and(file = seen), true) AS as_in_snapshot,
       CASE WHEN pg_is_in_recovery() THEN true ELSE pg_current_wal_flush_lsn() >= %(lsn)s::pg_lsn END AS lasting,
       md5(pg_current_snapshot()::text) AS state
FROM files
"""

_TAKE: LiteralString = """
SELECT pg_export_snapshot(), pg_snapshot_xmin(pg_current_snapshot())::text,
       CASE WHEN pg_is_in_recovery() THEN '0/0' ELSE pg_current_wal_insert_lsn()::text END,
       md5(pg_current_snapshot()::text)
"""
_WITHOUT_SNAPSHOTS = ("0A000", "42501", "42883")
"""Not supported, not allowed, unknown function: what speaks Postgres' protocol need not be Postgres."""

_Extents = Sequence[tuple[int, int]]
"""Blocks and bytes of each leaf; values out of line are among the bytes."""


def divide(connection: psycopg.Connection, table: SourceTable, part_bytes: int) -> tuple[Part, ...]:
    """Ranges of blocks that cover the table; none where it is small, or must be read as a whole."""
    version = connection.info.server_version
    if version < DIVISIBLE_VERSION or table.kind not in ("table", "partitioned_table", "materialized_view"):
        return ()
    names = {"oid": table.oid}
    leaves = connection.execute(_EXTENT, names).fetchall()
    extents = [(int(blocks), int(size)) for blocks, size, _ in leaves]
    total = sum(size for _, size in extents)
    if total <= part_bytes or not all(fit for *_, fit in leaves):
        return ()
    if connection.execute(_OPEN, names).fetchone() != (True,):
        return ()
    bounds = _bounds(extents, min(-(-total // part_bytes), MOST_PARTS))
    edges = [None, *(str(bound) for bound in bounds), None]
    return tuple(Part(lower, upper) for lower, upper in pairwise(edges)) if bounds else ()


def _bounds(extents: _Extents, parts: int) -> list[int]:
    """Blocks at which to cut, so that each part holds about as many bytes."""
    target = sum(size for _, size in extents) / parts
    bounds: list[int] = []
    for number in range(1, parts):
        low, high = 0, max(blocks for blocks, _ in extents)
        while low < high:
            middle = (low + high) // 2
            if _bytes_below(extents, middle) < target * number:
                low = middle + 1
            else:
                high = middle
        if low > (bounds[-1] if bounds else 0):
            bounds.append(low)
    return bounds


def _bytes_below(extents: _Extents, block: int) -> float:
    return sum(size * min(block, blocks) / blocks for blocks, size in extents if blocks)


def condition(part: Part) -> str:
    """True for the rows of a part, over the table's alias ``t``."""
    lower = "t.ctid >= " + _place(part.lower or "0")
    return f"{lower} AND t.ctid < {_place(part.upper)}" if part.upper is not None else lower


def _place(block: str) -> str:
    return f"'({int(block)},0)'::tid"


@dataclass(frozen=True)
class _Horizon:
    """Transactions before ``xmin`` had ended when the snapshot was taken, and the log up to ``lsn`` has their ends.

    ``state`` tells snapshots apart: their names are used again after a crash of the server.
    """

    xmin: str
    lsn: str
    state: str

    @classmethod
    def of(cls, snapshot: Snapshot) -> "_Horizon":
        return cls(*snapshot.horizon.split(" "))


def state_query(table: SourceTable, snapshot: Snapshot) -> str:
    """What a transaction that joined the snapshot asks, for ``check_state``."""
    return _FILES.replace("%(oid)s", str(table.oid)).replace("%(lsn)s", literal(_Horizon.of(snapshot).lsn))


def check_state(table: SourceTable, snapshot: Snapshot, answer: Sequence[Any]) -> bool:
    """Asked after the last row: the lock that reading took keeps the files in place from then on.

    ``SnapshotLostError`` where the rows were not those of the snapshot. True where no crash of the server can take
    back what it shows.
    """
    files, as_in_snapshot, lasting, state = answer
    if state != _Horizon.of(snapshot).state:
        raise SnapshotLostError(GONE)
    if not as_in_snapshot or _fingerprint(table, files) != snapshot.fingerprint:
        raise SnapshotLostError(f"{table.name} was rewritten or changed its columns while it was read.")
    return bool(lasting)


def _fingerprint(table: SourceTable, files: str) -> str:
    shape = [asdict(column) for column in table.columns]
    return hashlib.sha256(repr((table.oid, shape, files)).encode()).hexdigest()


@contextmanager
def hold(config: PostgresConfig, name: str, table_name: str) -> Iterator["HeldSnapshot"]:
    """A session of that name whose transaction keeps an exported snapshot alive, and no lock on a table."""
    with connect(config, name) as connection:
        begin(connection)
        connection.execute(session_settings().encode())
        yield HeldSnapshot(connection, _taken(connection, config, table_name))


def _taken(connection: psycopg.Connection, config: PostgresConfig, table_name: str) -> Snapshot:
    try:
        taken = connection.execute(_TAKE).fetchone()
        assert taken is not None
        snapshot = Snapshot(taken[0], " ".join(taken[1:]), "")
        # Looking at partitions locks them, for as long as the snapshot is held: rolling back lets go of them.
        with connection.transaction(force_rollback=True):
            found = find(connection, config, [table_name])
            state = connection.execute(state_query(found[0], snapshot).encode()).fetchone() if found else None
    except psycopg.Error as error:
        if error.sqlstate in _WITHOUT_SNAPSHOTS:
            raise NotDivisibleError("The source has no snapshots that sessions can share.") from error
        raise
    if state is None:
        raise SchemaChangedError(f"{table_name} is gone from the source, or the user may no longer read it.")
    files, as_in_snapshot, *_ = state
    if not as_in_snapshot:
        raise BusyError(f"{table_name} is being rewritten at the source.", retry_after_seconds=1)
    return replace(snapshot, fingerprint=_fingerprint(found[0], files))


class HeldSnapshot:
    """``connectors.base.HeldSnapshot``."""

    def __init__(self, connection: psycopg.Connection, snapshot: Snapshot) -> None:
        self._connection = connection
        self.snapshot = snapshot

    def is_held(self, wait_seconds: float) -> bool:
        """Nothing is sent, so that nothing can hang: a session that ends says so, or its socket does."""
        waiting = select.poll()
        waiting.register(self._connection.fileno(), select.POLLIN)
        if not waiting.poll(int(wait_seconds * 1000)):
            return True
        try:
            self._connection.pgconn.consume_input()
        except psycopg.Error:
            return False
        return self._connection.pgconn.status == ConnStatus.OK


def is_unchanged(
    config: PostgresConfig, name: str, query: ReadQuery, snapshot: Snapshot, since: Snapshot, rows: int
) -> bool:
    """Whether the query gives in ``snapshot`` the very rows that it gave in ``since``, when they were so many.

    It does where none was written after ``since`` and there are as many of them: then none is gone either.
    """
    if snapshot.fingerprint != since.fingerprint:
        return False
    new = f"age(t.xmin) <= age({literal(_Horizon.of(since).xmin, 'xid')})"
    counts = query.aggregate(["count(*)", f"count(*) FILTER (WHERE {new})"])
    with connect(config, name) as connection:
        begin(connection, snapshot)
        connection.execute(session_settings().encode())
        found = connection.execute(counts.encode()).fetchone()
        state = connection.execute(state_query(query.table, snapshot).encode()).fetchone()
    assert state is not None
    check_state(query.table, snapshot, state)
    return found == (rows, 0)
