"""A connection to a bastion: the login, and the thread whose event loop it lives in."""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncssh

from connectors.deadline import remaining
from connectors.errors import SourceError, UnreachableError
from connectors.outbound import connect_to
from connectors.tunnels.bastion import Bastion
from connectors.tunnels.errors import channel_error, login_error, unreachable
from connectors.tunnels.forwarding import LOOPBACK, Forwarding
from connectors.tunnels.keys import EVERY_ALGORITHM, HostKey

CONNECT_SECONDS = 10.0
LOGIN_SECONDS = 15.0
CLOSE_SECONDS = 1.0
KEEPALIVE_SECONDS = 15
KEEPALIVES = 3
"""So many without an answer, and the tunnel has broken."""
FASTEST_FIRST = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""Before the library's other ciphers: processors have instructions for it, and it takes half their time."""

T = TypeVar("T")

# Below a warning it tells of every connection and packet.
logging.getLogger("asyncssh").setLevel(logging.WARNING)


@dataclass
class Route:
    """An address of this machine that leads to one host and port behind the bastion."""

    host: str = LOOPBACK
    port: int = 0
    failure: SourceError | None = None
    """Why the bastion did not lead on, when it last did not."""


class Tunnel:
    """Logged in, until it is closed or breaks. Safe to share between threads."""

    def __init__(self, bastion: Bastion) -> None:
        """``SourceError`` where there is no way in. Takes no longer than the thread's deadline, where it has one."""
        self._bastion = bastion
        line = _dial(bastion)
        seconds = _patience(LOGIN_SECONDS)
        self._opened: Future[asyncssh.SSHClientConnection] = Future()
        self._thread = threading.Thread(target=self._run, args=(line, seconds), name="ssh-tunnel", daemon=True)
        self._thread.start()
        self._connection = self._opened.result()

    @property
    def is_open(self) -> bool:
        return not self._connection.is_closed()

    @contextmanager
    def route(self, host: str, port: int) -> Iterator[Route]:
        """For as long as the context lasts. The bastion is asked for the host when something connects."""
        route = Route()

        def refused(error: Exception) -> None:
            route.failure = channel_error(error, self._bastion, host, port)

        listener = self._do(Forwarding(self._connection, host, port, refused).listen())
        route.port = listener.sockets[0].getsockname()[1]
        try:
            yield route
        finally:
            self._loop.call_soon_threadsafe(listener.close)

    def close(self) -> None:
        """Whatever still goes through it breaks."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _run(self, line: socket.socket, seconds: float) -> None:
        with line:
            try:
                # Whatever loop the rest of the process runs on.
                with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                    runner.run(self._live(line, seconds))
            except BaseException as error:
                if not self._opened.done():
                    self._opened.set_exception(error)

    async def _live(self, line: socket.socket, seconds: float) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        connection = await _logged_in(self._bastion, line, seconds)
        self._opened.set_result(connection)
        await self._over.wait()
        connection.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(connection.wait_closed(), CLOSE_SECONDS)
        connection.abort()


class _Client(asyncssh.SSHClient):
    """What the server showed and asked for."""

    def __init__(self, bastion: Bastion) -> None:
        self._bastion = bastion
        self.shown: HostKey | None = None
        self.key_asked = False
        self.password_asked = False

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.shown = HostKey(key.get_fingerprint(), key.get_algorithm())
        known = self._bastion.host_key
        return known is not None and known.fingerprint == self.shown.fingerprint

    def public_key_auth_requested(self) -> list[asyncssh.SSHKey] | None:
        """Once: a key that was turned down is not offered again."""
        if self.key_asked or not self._bastion.private_key:
            return None
        self.key_asked = True
        return [asyncssh.import_private_key(self._bastion.private_key)]

    def password(self) -> str:
        self.password_asked = True
        return self._bastion.password


def _dial(bastion: Bastion) -> socket.socket:
    try:
        return connect_to(bastion.outbound, bastion.host, bastion.port, CONNECT_SECONDS, attr="ssh_host")
    except UnreachableError as error:
        raise unreachable(bastion, error) from error.__cause__


def _patience(seconds: float) -> float:
    left = remaining()
    return seconds if left is None else min(seconds, left)


async def _logged_in(bastion: Bastion, line: socket.socket, seconds: float) -> asyncssh.SSHClientConnection:
    """By what the bastion's configuration has, and by nothing that the account of this process has.

    The server proves itself first: until its key is found right it is sent no name, no key and no password.
    """
    client = _Client(bastion)
    # It wants to know the account's name, though it tells nobody; in a container the account may have none.
    os.environ.setdefault("LOGNAME", "syncline")
    try:
        connection, _ = await asyncio.wait_for(
            asyncssh.create_connection(
                lambda: client,
                bastion.host,
                bastion.port,
                sock=line,
                config=None,
                known_hosts=([], [], []),
                server_host_key_algs=bastion.host_key.algorithms if bastion.host_key else EVERY_ALGORITHM,
                x509_trusted_certs=None,
                x509_trusted_cert_paths=[],
                username=bastion.user,
                password=client.password if bastion.password else None,
                # The client has it; with any here, an agent would be asked for more.
                client_keys=None,
                client_host_keysign=False,
                agent_path=None,
                pkcs11_provider=None,
                gss_host=None,
                encryption_algs=FASTEST_FIRST,
                disable_trivial_auth=True,
                keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=KEEPALIVES,
            ),
            seconds,
        )
    except (asyncssh.Error, OSError, ValueError, TimeoutError) as error:
        asked = {"key_asked": client.key_asked, "password_asked": client.password_asked}
        raise login_error(error, bastion, client.shown, **asked) from error
    return connection
