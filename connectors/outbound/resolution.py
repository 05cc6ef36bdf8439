"""From a host's name to addresses that may be connected to, and to a connection with one of them.

A name is resolved once for each connection, and what was checked is what is connected to: a name that changes its
address in between gains nothing.
"""

import socket
import threading
import time
from concurrent.futures import Future

from connectors.deadline import remaining
from connectors.errors import UnreachableError
from connectors.outbound.policy import OutboundPolicy

MOST_ADDRESSES = 3
"""How many addresses of one name are tried where somebody waits."""


def resolve(policy: OutboundPolicy, host: str, port: int, *, attr: str | None = "host") -> list[str]:
    """The addresses of a host, all of which the policy lets through, in the order to try them.

    ``ForbiddenHostError`` where one of them is not let through: a name that has both kinds is no honest one.
    ``UnreachableError`` where the name has none, or nobody says so in the time that somebody waits.
    """
    try:
        addresses = _looked_up(host, port)
    except TimeoutError as error:
        raise UnreachableError(
            f"The host {host} was not found in time: nobody answers for its name.", attr=attr
        ) from error
    except (OSError, UnicodeError) as error:
        raise UnreachableError(f"The host {host} is unknown: check its name.", attr=attr) from error
    for address in addresses:
        policy.check(host, address, port, attr=attr)
    return addresses if remaining() is None else addresses[:MOST_ADDRESSES]


def connect_to(
    policy: OutboundPolicy, host: str, port: int, timeout_seconds: float, *, attr: str | None = "host"
) -> socket.socket:
    """An open TCP connection. The time is shared by the addresses. ``ForbiddenHostError``, ``UnreachableError``."""
    addresses = resolve(policy, host, port, attr=attr)
    left = remaining()
    seconds = timeout_seconds if left is None else min(timeout_seconds, left)
    until, failure = time.monotonic() + seconds, OSError("no time was left")
    for number, address in enumerate(addresses):
        share = (until - time.monotonic()) / (len(addresses) - number)
        if share <= 0:
            break
        try:
            return socket.create_connection((address, port), timeout=share)
        except OSError as error:
            failure = error
    raise UnreachableError(f"The host {host} does not answer at port {port}.", attr=attr) from failure


def _looked_up(host: str, port: int) -> list[str]:
    """As the system knows the host. ``TimeoutError`` when somebody's patience is over: the system itself asks on for a
    while, and is left to it.
    """
    left = remaining()
    if left is None:
        return _found(host, port)
    answer: Future[list[str]] = Future()

    def look() -> None:
        try:
            answer.set_result(_found(host, port))
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=look, name="looking up a host", daemon=True).start()
    return answer.result(left)


def _found(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
