"""One end of a tunnel: a listener of the loopback, each connection of which goes on behind the bastion.

Whoever shares the machine could connect to it too: a connection that does not come from this very process is hung up.
Drivers close a connection in both directions at once, and so it is here: what was written is sent before.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import asyncssh
import psutil

LOOPBACK = "127.0.0.1"


class Forwarding:
    """Where connections come from, and where they lead. Of one event loop."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, host: str, port: int, refused: Callable[[Exception], None]
    ) -> None:
        """``refused`` hears why the bastion did not lead on, before the driver sees its connection end."""
        self._connection = connection
        self._host = host
        self._port = port
        self._refused = refused
        self._openings: set[asyncio.Task[None]] = set()

    async def listen(self) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(lambda: NearEnd(self._accept), LOOPBACK, 0)

    def _accept(self, near: "NearEnd") -> None:
        opening = asyncio.get_running_loop().create_task(self._lead_on(near))
        self._openings.add(opening)
        opening.add_done_callback(self._openings.discard)

    async def _lead_on(self, near: "NearEnd") -> None:
        try:
            await self._connection.create_connection(lambda: FarEnd(near), self._host, self._port)
        except (asyncssh.Error, OSError) as error:
            self._refused(error)
            near.hang_up()


class NearEnd(asyncio.Protocol):
    """The driver's connection. Nothing is read of it before the far end is there."""

    def __init__(self, accept: Callable[["NearEnd"], None]) -> None:
        self._accept = accept
        self._transport: asyncio.Transport | None = None
        self._far: FarEnd | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if not _is_ours(transport):
            transport.abort()
            return
        transport.pause_reading()
        self._transport = transport
        self._accept(self)

    def meet(self, far: "FarEnd") -> None:
        self._far = far
        if self._transport is None:
            far.hang_up()
        else:
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._far is None:
            return
        if error is None:
            self._far.close()
        else:
            self._far.hang_up()

    def data_received(self, data: bytes) -> None:
        if self._far is not None:
            self._far.write(data)

    def pause_writing(self) -> None:
        if self._far is not None:
            self._far.pause_reading()

    def resume_writing(self) -> None:
        if self._far is not None:
            self._far.resume_reading()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause_reading(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """Once all is written."""
        if self._transport is not None:
            self._transport.close()

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class FarEnd(asyncssh.SSHTCPSession[bytes]):
    """The bastion's connection to the database. An error of a callback would end the whole tunnel: there is none."""

    def __init__(self, near: NearEnd) -> None:
        self._near = near
        self._channel: asyncssh.SSHTCPChannel[bytes] | None = None

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        self._channel = chan
        self._near.meet(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel = None
        if exc is None:
            self._near.close()
        else:
            self._near.hang_up()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self._near.write(data)

    def pause_writing(self) -> None:
        self._near.pause_reading()

    def resume_writing(self) -> None:
        self._near.resume_reading()

    def write(self, data: bytes) -> None:
        if self._channel is not None:
            with suppress(BrokenPipeError):
                self._channel.write(data)

    def pause_reading(self) -> None:
        if self._channel is not None:
            self._channel.pause_reading()

    def resume_reading(self) -> None:
        if self._channel is not None:
            self._channel.resume_reading()

    def close(self) -> None:
        """Once all is sent."""
        if self._channel is not None:
            self._channel.close()

    def hang_up(self) -> None:
        if self._channel is not None:
            self._channel.abort()


def _is_ours(transport: asyncio.Transport) -> bool:
    """Whether the other end of a connection of the loopback is a socket of this process."""
    ends = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    try:
        ours = psutil.Process().net_connections("tcp4")
    except (psutil.Error, OSError):
        return False
    return any((each.laddr, each.raddr) == ends for each in ours)
