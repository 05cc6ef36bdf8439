"""Free TCP ports of this machine's loopback.

Chosen below the range from which the kernel takes ports for outgoing connections, so that a port that was
free once is most likely free again after a restart.
"""

import random
import socket
from collections.abc import Iterable, Mapping

from local.errors import NoFreePortError

LOOPBACK = "127.0.0.1"
TWIN_OFFSET = 10_000
"""SeaweedFS expects the gRPC twin of a port here above it; a chosen port's twin is free as well."""

_FIRST, _LAST = 15_000, 21_999
_random = random.SystemRandom()


def is_free(port: int) -> bool:
    """Nobody listens on the port. Connections that are just closing do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
            candidate.listen(1)
        except OSError:
            return False
    return True


def choose_ports(
    names: Iterable[str], preferred: Mapping[str, int] | None = None, avoid: Iterable[int] = ()
) -> dict[str, int]:
    """A port for each name, all distinct: the preferred one while it is free, else any free one."""
    chosen: dict[str, int] = {}
    taken = set(avoid)
    for name in names:
        remembered = (preferred or {}).get(name)
        port = remembered if remembered is not None and _usable(remembered, taken) else _any_port(taken)
        chosen[name] = port
        taken |= {port, port + TWIN_OFFSET}
    return chosen


def _any_port(taken: set[int]) -> int:
    for _ in range(500):
        port = _random.randint(_FIRST, _LAST)
        if _usable(port, taken):
            return port
    raise NoFreePortError(f"No free TCP port between {_FIRST} and {_LAST} was found on this machine.")


def _usable(port: int, taken: set[int]) -> bool:
    twin = port + TWIN_OFFSET
    return port not in taken and twin not in taken and is_free(port) and is_free(twin)
