"""How much one key or one address may ask of this process, and how large a body may be.

The counts are of this process alone: behind several API processes each has its own.
"""

import hashlib
import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError, http_error

MOST_BODY_BYTES = 32 * 2**20
MOST_BUCKETS = 20_000
"""How many keys or addresses are remembered; the one that has been quiet longest is forgotten first."""


class ThrottledError(ApiError):
    """Too much was asked for. ``Retry-After`` says when there is room again."""

    status, type, code = 429, "throttled", "throttled"

    def __init__(self, detail: str, wait_seconds: float, limit: str) -> None:
        super().__init__(detail)
        self.limit = limit
        self.headers = {"Retry-After": str(max(1, math.ceil(wait_seconds)))}


class TokenBuckets:
    """A bucket per name, full at first. Thread-safe; bounded, whatever names come in. A ``rate`` of 0 never waits."""

    def __init__(
        self, rate: float, burst: float, most: int = MOST_BUCKETS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._most, self._clock = rate, max(burst, 1.0), most, clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By name: the tokens that were there, and when. The one used last stands at the end."""

    def take(self, name: str) -> float:
        """Take a token, making the bucket where there is none; else how many seconds until there is one."""
        with self._lock:
            tokens, wait = self._tokens(name)
            self._buckets[name] = (tokens if wait else tokens - 1, self._clock())
            self._buckets.move_to_end(name)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
            return wait

    def wait(self, name: str) -> float:
        """How many seconds until there is a token; takes and remembers nothing."""
        with self._lock:
            return self._tokens(name)[1]

    def knows(self, name: str) -> bool:
        with self._lock:
            return name in self._buckets

    def _tokens(self, name: str) -> tuple[float, float]:
        if self._rate == 0 or name not in self._buckets:
            return self._burst, 0.0
        left, at = self._buckets[name]
        tokens = min(self._burst, left + (self._clock() - at) * self._rate)
        return tokens, 0.0 if tokens >= 1 else (1 - tokens) / self._rate


class LoginLimits:
    """What stands around every look for a key.

    A key's own limit is looked at before the database is asked. An address that tried too many wrong keys is
    heard no more, but for the keys that were good here before: others behind the same address go on working.
    """

    def __init__(self, requests: TokenBuckets, failures: TokenBuckets) -> None:
        self._requests, self._failures = requests, failures

    @classmethod
    def per(cls, *, requests_per_second: float, burst: int, failures_per_minute: float) -> "LoginLimits":
        return cls(
            TokenBuckets(requests_per_second, burst), TokenBuckets(failures_per_minute / 60, failures_per_minute)
        )

    def before(self, secret: str, address: str) -> None:
        """``ThrottledError`` where the database should not even be asked for this key."""
        name = _name(secret)
        if wait := self._requests.wait(name):
            raise _too_many_requests(wait)
        if not self._requests.knows(name) and (wait := self._failures.wait(network(address))):
            raise ThrottledError("Too many wrong API keys came from this address: try again later.", wait, "address")

    def succeeded(self, secret: str) -> None:
        """Count a request with a good key; ``ThrottledError`` where it is one too many."""
        if wait := self._requests.take(_name(secret)):
            raise _too_many_requests(wait)

    def failed(self, address: str) -> None:
        """Count a wrong key."""
        self._failures.take(network(address))


class BodyLimit:
    """Refuses a body that says that it is too large, and stops reading one that turns out to be.

    What a call does not read is never held: a call that takes no body is not kept waiting for one.
    """

    def __init__(self, app: ASGIApp, most_bytes: int = MOST_BODY_BYTES) -> None:
        self._app, self._most = app, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if said.isdigit() and int(said) > self._most:
            await http_error(HTTPException(413))(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most:
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)


def network(address: str) -> str:
    """Who an address belongs to: itself, or with IPv6 the network of 64 bits that one customer gets."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))


def _too_many_requests(wait: float) -> ThrottledError:
    return ThrottledError("This API key asks too much: try again later.", wait, "key")


def _name(secret: str) -> str:
    """Not the secret itself, which need not stay in memory."""
    return hashlib.sha256(secret.encode()).hexdigest()
