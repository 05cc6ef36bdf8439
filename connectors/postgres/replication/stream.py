"""The reading side of capture: ``connectors.capture.ChangeStream`` over a slot of ``pgoutput``.

A position is an LSN as a number. That of a change is where its transaction's commit record begins, for that is what is
known when a large transaction's first rows come; boundaries lie at the ends of records, and so behind it.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString

import numpy as np
import psycopg

from connectors.capture import Boundary, CaptureRequest, TableChanges, TableShape
from connectors.errors import BusyError, ConfigurationError, LogLostError
from connectors.postgres.config import PostgresConfig
from connectors.postgres.errors import query_error
from connectors.postgres.replication.beside import SessionBeside
from connectors.postgres.replication.changes import ChangeDecoder
from connectors.postgres.replication.pgoutput import COMMIT, HEADER_BYTES, MESSAGE, TRANSACTIONAL, Messages
from connectors.postgres.replication.relations import Relations
from connectors.postgres.replication.sender import WalSender
from connectors.postgres.replication.shapes import shapes
from connectors.postgres.replication.slots import Slot, find_slot
from connectors.postgres.session import application_name

CHUNK_MESSAGES = 65_536
CHUNK_BYTES = 8 * 1024 * 1024
"""What is decoded at once, except where a single message is larger."""
BOUNDARY_SECONDS = 1.0
"""The longest time between two boundaries while nothing happens."""
LINGER_SECONDS = 0.1
"""How long a few changes wait for more, unless the stream is at its target."""
FREE_SECONDS = 2.0
"""How long a slot that is being read is waited for."""
ASK_SECONDS = 0.02
"""How often a quiet server is asked where it is, until it is at the target."""

_LOG_END: LiteralString = """
SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0')::int8
"""


@contextmanager
def follow(config: PostgresConfig, request: CaptureRequest) -> Iterator["PostgresChangeStream"]:
    """``connectors.capture.Capturing.follow``."""
    name = application_name(request.capture_id)
    with SessionBeside.open(config, name) as beside:
        opening = _opening(beside, config, request)
        with WalSender.open(config, name, request.setup, request.after, opening.encoding) as sender:
            decoder = ChangeDecoder(Relations(beside, config, request.tables), request.after)
            yield PostgresChangeStream(sender, decoder, opening, request.after)


@dataclass(frozen=True)
class _Opening:
    target: int
    shapes: Mapping[str, TableShape]
    encoding: str
    """To ask for. Of bytes in no known encoding the server would check that they are UTF-8, and give up."""


class PostgresChangeStream:
    """An open stream: ``connectors.capture.ChangeStream``. For one thread."""

    def __init__(self, sender: WalSender, decoder: ChangeDecoder, opening: _Opening, after: int) -> None:
        self._sender = sender
        self._decoder = decoder
        self.target = opening.target
        self.shapes = opening.shapes
        self._given = after
        self._has_arrived = False
        """A boundary was given at the target or behind it."""
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._reached = after
        """As ``_given``, of what was gathered as well."""
        self._awaited = False
        self._is_open = False
        """Changes of a transaction were given whose end has not come yet."""

    def changes(self) -> Iterator[TableChanges | Boundary]:
        try:
            while True:
                self._gather()
                yield from self._decoded()
        except psycopg.Error as error:
            raise query_error(error, "the log of changes") from error

    def confirm(self, position: int) -> None:
        self._sender.confirm(position)

    @property
    def _is_whole(self) -> bool:
        """No transaction is open where the stream stands now."""
        if not self._gathered:
            return not self._is_open
        kind, flags = self._gathered[-1][HEADER_BYTES : HEADER_BYTES + 2]
        return kind == COMMIT or (kind == MESSAGE and not flags & TRANSACTIONAL)

    @property
    def _is_full(self) -> bool:
        return len(self._gathered) >= CHUNK_MESSAGES or self._gathered_bytes >= CHUNK_BYTES

    def _gather(self) -> None:
        """Until there is enough to decode, or nothing more to wait for."""
        begun = time.monotonic()
        ask_at, pause = begun, ASK_SECONDS
        while True:
            room = CHUNK_MESSAGES - len(self._gathered), CHUNK_BYTES - self._gathered_bytes
            self._gathered_bytes += self._sender.take(self._gathered, *room)
            if self._is_whole:
                self._reached = max(self._reached, self._sender.received)
            now = time.monotonic()
            if self._is_full or self._is_at_rest(now - begun):
                return
            if not self._sender.is_drained:
                continue
            if now >= ask_at:
                self._sender.ask()
                pause = 2 * pause if self._reached < self.target else BOUNDARY_SECONDS
                ask_at = now + pause
            self._sender.wait(min(ask_at, begun + self._patience) - now)

    def _is_at_rest(self, seconds: float) -> bool:
        return seconds >= self._patience or (self._is_whole and not self._has_arrived and self._reached >= self.target)

    @property
    def _patience(self) -> float:
        return LINGER_SECONDS if self._gathered and self._is_whole else BOUNDARY_SECONDS

    def _decoded(self) -> Iterator[TableChanges | Boundary]:
        """Whole transactions, and what lies behind them only where there is no room to wait for its end."""
        if self._gathered:
            messages = Messages(self._gathered)
            commits = np.flatnonzero(messages.kinds == COMMIT)
            ends = np.flatnonzero((messages.kinds == COMMIT) | messages.alone)
            if len(ends):
                end, self._is_open = int(ends[-1]) + 1, False
            elif self._is_full:
                end, self._is_open = len(messages), True
            else:
                end = 0
            del self._gathered[:end]
            self._gathered_bytes = sum(map(len, self._gathered))
            self._awaited = self._awaited or bool((messages.kinds[:end] == MESSAGE).any())
            yield from self._decoder.decode(messages, end)
            if len(commits):
                self._given = max(self._given, messages.committed(int(commits[-1])))
        if self._is_open:
            return
        self._given = max(self._given, self._reached)
        self._has_arrived = self._given >= self.target
        awaited, self._awaited = self._awaited, False
        yield Boundary(self._given, awaited)


def _opening(beside: SessionBeside, config: PostgresConfig, request: CaptureRequest) -> _Opening:
    """A look at the slot, and at all that has to be known before the stream begins."""
    setup = request.setup
    try:
        with beside.transaction() as connection:
            published = connection.execute("SELECT FROM pg_publication WHERE pubname = %s", [setup.publication])
            if published.fetchone() is None:
                raise LogLostError(f"The publication {setup.publication} is gone: the tables are read anew.")
            _check_slot(_free_slot(connection, setup.slot), request)
            row = connection.execute(_LOG_END).fetchone()
            assert row is not None
            raw = connection.info.parameter_status("server_encoding") == "SQL_ASCII"
            found = shapes(connection, config, request.tables, setup.publication)
            return _Opening(row[0], found, "SQL_ASCII" if raw else "UTF8")
    except psycopg.Error as error:
        raise query_error(error, "the log of changes") from error


def _free_slot(connection: psycopg.Connection, name: str) -> Slot | None:
    """The server gives a slot back a moment after the stream that had it was closed."""
    deadline = time.monotonic() + FREE_SECONDS
    while True:
        slot = find_slot(connection, name)
        if slot is None or slot.active_pid is None or time.monotonic() > deadline:
            return slot
        time.sleep(0.02)


def _check_slot(slot: Slot | None, request: CaptureRequest) -> None:
    name = request.setup.slot
    if slot is None:
        raise LogLostError(f"The slot {name} is gone: the tables are read anew.")
    if not slot.is_usable_here:
        raise ConfigurationError(f"The slot {name} is not one of pgoutput in this database.", attr="cdc_slot_name")
    if slot.is_lost:
        raise LogLostError(f"Postgres no longer has the log that the slot {name} was to keep.")
    if slot.active_pid is not None:
        raise BusyError(f"Another session reads the slot {name}.", retry_after_seconds=5)
    if slot.confirmed is not None and slot.confirmed > request.after:
        raise LogLostError(f"The slot {name} was read beyond what was captured: the tables are read anew.")
