"""How a driver gets to a database: straight there, or through a tunnel that all who need the same one share."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.deadline import remaining
from connectors.errors import SourceError, UnreachableError
from connectors.outbound import OutboundPolicy, resolve
from connectors.tunnels.bastion import Bastion

if TYPE_CHECKING:
    from connectors.tunnels.connection import Route, Tunnel


@dataclass(frozen=True)
class Endpoint:
    """Where to connect to: one of the addresses, which were checked, at a port."""

    addresses: tuple[str, ...]
    port: int
    _route: "Route | None" = None

    @property
    def failure(self) -> SourceError | None:
        """Why a connection ended that a driver had just begun, where the tunnel knows it."""
        return self._route.failure if self._route else None


@contextmanager
def reach(bastion: Bastion | None, outbound: OutboundPolicy, host: str, port: int) -> Iterator[Endpoint]:
    """The way to a host and port, open for as long as the context lasts. ``SourceError`` where there is none.

    Behind a bastion the host is a name of the user's own network: the bastion resolves it, and nothing here is reached
    by it. The certificate of a server is that of ``host`` on either way.
    """
    if bastion is None:
        yield Endpoint(tuple(resolve(outbound, host, port)), port)
        return
    with _shared(bastion) as tunnel, tunnel.route(host, port) as route:
        yield Endpoint((route.host,), route.port, route)


@dataclass
class _Place:
    """Of a tunnel in this process, and how many use it or wait for it."""

    opening: threading.Lock = field(default_factory=threading.Lock)
    tunnel: "Tunnel | None" = None
    users: int = 0

    @property
    def is_broken(self) -> bool:
        return self.tunnel is not None and not self.tunnel.is_open


_places: dict[Bastion, _Place] = {}
_counting = threading.Lock()


@contextmanager
def _shared(bastion: Bastion) -> Iterator["Tunnel"]:
    """The process' tunnel to that bastion, closed by the last who leaves. Who comes to a broken one makes a new one."""
    with _counting:
        place = _places.get(bastion)
        if place is None or place.is_broken:
            place = _places[bastion] = _Place()
        place.users += 1
    try:
        yield _opened(place, bastion)
    finally:
        with _counting:
            place.users -= 1
            last = not place.users
            if last and _places.get(bastion) is place:
                del _places[bastion]
        if last and place.tunnel:
            place.tunnel.close()


def _opened(place: _Place, bastion: Bastion) -> "Tunnel":
    # Who never uses a tunnel need not load what makes one.
    from connectors.tunnels.connection import Tunnel

    left = remaining()
    if not place.opening.acquire(timeout=-1 if left is None else left):
        raise UnreachableError(f"The SSH server {bastion.host} did not answer in time.", attr="ssh_host")
    try:
        if place.tunnel is None:
            place.tunnel = Tunnel(bastion)
        return place.tunnel
    finally:
        place.opening.release()
