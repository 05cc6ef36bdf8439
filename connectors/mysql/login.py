"""The way to the server and into it: addresses that were checked, tunnels, TLS, and a login that ends in good time."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pymysql

from connectors.deadline import remaining
from connectors.mysql.config import MySqlConfig
from connectors.mysql.errors import late_login, login_error, unreachable
from connectors.tls import Files, files
from connectors.tunnels import Endpoint, reach

CONNECT_TIMEOUT_SECONDS = 10
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""A server that is gone without a word is noticed after a minute; by themselves, systems take two hours."""


@contextmanager
def logged_in(config: MySqlConfig) -> Iterator[Any]:
    """PyMySQL's connection, closed at the end and hung up at the deadline. A login that fails is a ``SourceError``."""
    with (
        reach(config.bastion, config.outbound, config.host, config.port) as endpoint,
        files(config.sslmode, config.certificates) as pems,
        _line(config, endpoint) as line,
    ):
        connection = _connection(config, pems)
        try:
            _log_in(connection, line, config, endpoint)
            with _hung_up_after(line, remaining()):
                yield connection
        finally:
            if connection.open:
                with suppress(pymysql.Error):
                    connection.close()


@contextmanager
def _line(config: MySqlConfig, endpoint: Endpoint) -> Iterator[socket.socket]:
    """An open connection to the first of the addresses that takes one. They share the time."""
    left = remaining()
    until = time.monotonic() + (CONNECT_TIMEOUT_SECONDS if left is None else min(left, CONNECT_TIMEOUT_SECONDS))
    failure = OSError("no time was left")
    for place, address in enumerate(endpoint.addresses):
        share = (until - time.monotonic()) / (len(endpoint.addresses) - place)
        try:
            line = socket.create_connection((address, endpoint.port), timeout=max(share, 0.001))
            break
        except OSError as error:
            failure = error
    else:
        why = late_login(config) if isinstance(failure, TimeoutError) else unreachable(config)
        raise endpoint.failure or why from failure
    with line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            # Not every system has all of them.
            if option := getattr(socket, name, None):
                line.setsockopt(socket.IPPROTO_TCP, option, value)
        yield line


def _connection(config: MySqlConfig, pems: Files) -> Any:
    tls: dict[str, Any] = {}
    if config.sslmode == "disable":
        tls = {"ssl_disabled": True}
    elif config.sslmode != "prefer":
        tls = {"ssl": _tls(config, pems)}
    connection: Any = pymysql.Connection(
        host=config.host,
        port=config.port,
        user=config.user,
        # The driver would write a text in latin1.
        password=config.password.encode(),
        database=config.database,
        charset="utf8mb4",
        autocommit=True,
        defer_connect=True,
        **tls,
    )
    if config.sslmode == "prefer":
        # Told nothing, the driver encrypts where the server offers it.
        connection.ctx = _tls(config, pems)
    return connection


def _tls(config: MySqlConfig, pems: Files) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = config.sslmode == "verify-full"
    if pems.authority is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(pems.authority)
    if pems.own is not None:
        context.load_cert_chain(pems.own, pems.key)
    return context


def _log_in(connection: Any, line: socket.socket, config: MySqlConfig, endpoint: Endpoint) -> None:
    left = remaining()
    seconds = CONNECT_TIMEOUT_SECONDS if left is None else min(left, CONNECT_TIMEOUT_SECONDS)
    with _hung_up_after(line, seconds) as late:
        try:
            # The driver closes what it is given at times of its own.
            connection.connect(line.dup())
        except Exception as error:
            # Whatever answers there may be no MySQL at all, and confuse the driver in any way.
            why = late_login(config) if late.is_set() else login_error(error, config)
            raise endpoint.failure or why from error


@contextmanager
def _hung_up_after(line: socket.socket, seconds: float | None) -> Iterator[threading.Event]:
    """Whoever waits for the server in the block waits no longer than that. The event tells that it came to it."""
    late = threading.Event()
    if seconds is None:
        yield late
        return

    def hang_up() -> None:
        late.set()
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()
