"""The server's end of the stream: a session of its WAL sender, through libpq, which psycopg leaves to us.

Protocol: https://www.postgresql.org/docs/current/protocol-replication.html.
"""

import select
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import errors, pq

from connectors.capture import CaptureSetup
from connectors.errors import BusyError, LogLostError, SourceError, UnreachableError
from connectors.postgres.config import PostgresConfig
from connectors.postgres.errors import query_error
from connectors.postgres.replication.pgoutput import POSTGRES_EPOCH_MICROSECONDS
from connectors.postgres.session import connect, startup_options
from connectors.postgres.sql import identifier, literal

KEEPALIVE_BYTES = 18
"""No message of data is that short."""
SENDER_TIMEOUT = "2h"
"""Whoever reads the stream may be at something else for that long. (With 0, for ever, the server would look for an
answer from us after each message, which takes a quarter of its speed.)"""
CLOSE_SECONDS = 5
MORE_SECONDS = 0.002
"""The server sends each change by itself: after a pause, so long for more of them is less work than each alone."""
MESSAGES_VERSION = 140000
"""From here on messages of ``pg_logical_emit_message`` can come along."""

_KEEPALIVE = struct.Struct(">cqqB")
_STATUS = struct.Struct(">cqqqqB")
_COPYING = pq.ExecStatus.COPY_BOTH


class WalSender:
    """Messages as they come, and the answers. Raises ``SourceError`` only. Not safe to share between threads."""

    def __init__(self, connection: psycopg.Connection, setup: CaptureSetup) -> None:
        self._connection = connection
        self._pq = connection.pgconn
        self._setup = setup
        self._received = 0
        self._confirmed = 0
        self.is_drained = False
        """The last ``take`` ended because there was nothing more."""

    @classmethod
    @contextmanager
    def open(
        cls, config: PostgresConfig, name: str, setup: CaptureSetup, after: int, encoding: str
    ) -> Iterator["WalSender"]:
        """``encoding``: of the texts to come."""
        parameters = {
            "replication": "database",
            "client_encoding": encoding,
            "options": startup_options(wal_sender_timeout=SENDER_TIMEOUT),
        }
        with connect(config, name, **parameters) as connection:
            sender = cls(connection, setup)
            sender._start(after)
            try:
                yield sender
            finally:
                sender._stop()

    def take(self, messages: list[bytes], room_messages: int, room_bytes: int) -> int:
        """Append what is there, without waiting, until that much is; how many bytes. Ends behind a keepalive."""
        get, append, size = self._pq.get_copy_data, messages.append, 0
        self.is_drained = False
        with self._named():
            for _ in range(room_messages):
                count, data = get(1)
                if count > KEEPALIVE_BYTES:
                    # Views of so many would be looked at by Python's garbage collector, again and again.
                    append(bytes(data))
                    size += count
                    if size >= room_bytes:
                        break
                elif count == KEEPALIVE_BYTES:
                    self._keepalive(data)
                    break
                elif count == 0:
                    self.is_drained = True
                    break
                else:
                    self._ended()
        return size

    def wait(self, seconds: float) -> None:
        """Until something comes, which is taken from the network then."""
        with self._named():
            socket = [self._pq.socket]
            if not select.select(socket, [], [], 0)[0] and select.select(socket, [], [], max(seconds, 0))[0]:
                time.sleep(MORE_SECONDS)
            # What TLS holds back shows on no socket.
            self._pq.consume_input()

    @property
    def received(self) -> int:
        """How far the server has decoded, by its own word: what it sent before is all up to there."""
        return self._received

    def ask(self) -> None:
        """For a keepalive, now."""
        self._send_status(ask=True)

    def confirm(self, position: int) -> None:
        self._confirmed = max(self._confirmed, position)
        self._send_status()

    def _start(self, after: int) -> None:
        publications = literal(identifier(self._setup.publication))
        # By one of ours, somebody says that he waits for what lies before it.
        messages = ", messages 'true'" if self._pq.server_version >= MESSAGES_VERSION else ""
        command = (
            f"START_REPLICATION SLOT {identifier(self._setup.slot)} LOGICAL {after >> 32:X}/{after & 0xFFFFFFFF:X} "
            f"(proto_version '1', publication_names {publications}{messages})"
        )
        with self._named():
            result = self._pq.exec_(command.encode())
            if result.status != _COPYING:
                raise errors.error_from_result(result)
        self.ask()

    def _keepalive(self, data: memoryview) -> None:
        _, position, _, wants_answer = _KEEPALIVE.unpack(data)
        self._received = max(self._received, position)
        if wants_answer:
            self._send_status()

    def _send_status(self, *, ask: bool = False) -> None:
        """Nothing is confirmed by accident: position 0 says nothing."""
        now = time.time_ns() // 1000 - POSTGRES_EPOCH_MICROSECONDS
        confirmed = self._confirmed
        status = _STATUS.pack(b"r", max(self._received, confirmed), confirmed, confirmed, now, ask)
        with self._named():
            self._pq.put_copy_data(status)
            self._flush()

    def _flush(self) -> None:
        while self._pq.flush():
            # The server may be waiting for us to read, before it reads.
            readable, _, _ = select.select([self._pq.socket], [self._pq.socket], [])
            if readable:
                self._pq.consume_input()

    def _ended(self) -> None:
        result = self._pq.get_result()
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result)
        raise UnreachableError("Postgres ended the stream of changes.")

    def _stop(self) -> None:
        """The server takes what was confirmed last before it answers that it stops."""
        deadline = time.monotonic() + CLOSE_SECONDS
        with suppress(psycopg.Error, SourceError):
            self._pq.put_copy_end()
            self._flush()
            while self._confirmed and (left := deadline - time.monotonic()) > 0:
                count, _ = self._pq.get_copy_data(1)
                if count < 0:
                    return
                if count == 0:
                    self.wait(left)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise stream_error(error, self._setup) from error


def stream_error(error: psycopg.Error, setup: CaptureSetup) -> SourceError:
    """Why a stream could not be opened, or broke off."""
    match error.sqlstate:
        case "55006":
            return BusyError(f"Another session reads the slot {setup.slot}.", retry_after_seconds=5)
        case "42704":
            # It says in words only which of the two. Either way, changes are missing from the log.
            return LogLostError(
                f"The slot {setup.slot} or the publication {setup.publication} was dropped: the tables are read anew."
            )
        case "55000" | "58P01":
            return LogLostError(f"Postgres no longer has the log that the slot {setup.slot} was to keep.")
        case _:
            return query_error(error, "the log of changes")
