"""A child process that answers one query and ends: ``python -m query.child <fd of its connection>``.

It is started without the environment of its parent, limits itself before it hears of any SQL, and is killed by its
parent when it must stop. When the parent dies, it ends.
"""

import json
import os
import pickle
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

import pyarrow as pa

from query.engine import THREADS, Engine
from query.errors import InvalidQueryError, QueryError
from query.formats import Pieces, write_result
from query.guard import check
from query.messages import Kind, NamedTable, Order, Summary

BATCH_ROWS = 8192
_ADDRESS_SPACE_SHARE = 4
"""Threads and allocators reserve far more addresses than they use memory; the parent watches what is used."""
_MOST_FILE_BYTES = 2**20
_GRACE_SECONDS = 30


class _Parent:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def order(self) -> Order:
        order = pickle.loads(self._connection.recv_bytes())  # noqa: S301 - from our own parent
        assert isinstance(order, Order)
        return order

    def tables(self, names: set[str]) -> list[NamedTable]:
        if not names:
            return []
        self.send(Kind.TABLES, sorted(names))
        tables: list[NamedTable] = pickle.loads(self._connection.recv_bytes())  # noqa: S301 - from our own parent
        return tables

    def send(self, kind: Kind, content: Any) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self._connection.send_bytes(kind.encode() + body)

    def die_with(self) -> None:
        """From now on the parent says nothing: the end of the connection is the end of the parent."""

        def wait() -> None:
            with suppress(OSError, EOFError):
                self._connection.recv_bytes()
            os._exit(1)

        threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    parent = _Parent(Connection(int(sys.argv[1])))
    try:
        order = parent.order()
    except EOFError:
        os._exit(0)
    _limit(order)
    engine = Engine.start(order.limits)
    try:
        summary = _answer(order, engine, parent)
        parent.send(Kind.END, asdict(summary))
    except Exception as error:
        failure = error if isinstance(error, QueryError) else engine.explained(error)
        # What is wrong with the SQL itself may quote values of it, which are nothing for a log.
        cause = None if isinstance(failure, InvalidQueryError) else f"{error!r} from {error.__cause__!r}"[:2000]
        parent.send(Kind.FAILURE, {"code": failure.code, "message": failure.message, "cause": cause})
    # What still streams from a source ends with its socket; waiting for it helps nobody.
    os._exit(0)


def _answer(order: Order, engine: Engine, parent: _Parent) -> Summary:
    began = time.monotonic()
    checked = check(engine.connection, order.sql)
    tables = parent.tables(checked.tables)
    parent.die_with()
    engine.give(tables, checked.tree, order.store, order.limits.seconds)
    types, reader = engine.run(order.sql, min(BATCH_ROWS, order.rows + 1))
    counted = _Counted(reader, order.rows)

    def summary() -> Summary:
        return Summary(counted.rows, counted.truncated, round((time.monotonic() - began) * 1000))

    pieces = Pieces(lambda piece: parent.send(Kind.DATA, piece), order.limits.result_bytes)
    write_result(order.format, types, reader.schema, counted, summary, pieces)
    return summary()


class _Counted:
    """The first so many rows of a result, and whether there are more."""

    def __init__(self, reader: pa.RecordBatchReader, most_rows: int) -> None:
        self._reader = reader
        self._most_rows = most_rows
        self.rows = 0
        self.truncated = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._reader:
            left = self._most_rows - self.rows
            self.truncated = batch.num_rows > left
            kept = batch.slice(0, left)
            self.rows += kept.num_rows
            if kept.num_rows:
                yield kept
            if self.truncated:
                return


def _limit(order: Order) -> None:
    """The parent watches time and memory; these hold where it cannot look often enough, or is gone."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    space = _address_space() + _ADDRESS_SPACE_SHARE * order.limits.memory_mb * 2**20
    seconds = int(order.limits.seconds) * THREADS + _GRACE_SECONDS
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_FILE_BYTES, _MOST_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    pa.set_cpu_count(THREADS)
    pa.set_io_thread_count(2 * THREADS)


def _address_space() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main()
