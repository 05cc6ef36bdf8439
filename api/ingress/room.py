"""How much may wait in this process: bodies that are being read, and events that are not safe yet."""

from collections import Counter
from contextlib import AbstractContextManager

from api.ingress.answers import BUSY, AnswerError

LEAST_BYTES = 4096
"""What each request counts at the least."""


class Room:
    """Of the event loop's thread. One endpoint gets half of it at the most, so that no sender shuts out the others."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._share = most_bytes // 2
        self._taken: Counter[str] = Counter()

    def take(self, endpoint: str, size: int) -> None:
        if size > self._left or self._taken[endpoint] + size > self._share:
            raise AnswerError(BUSY)
        self._left -= size
        self._taken[endpoint] += size

    def give_back(self, endpoint: str, size: int) -> None:
        self._left += size
        self._taken[endpoint] -= size
        if not self._taken[endpoint]:
            del self._taken[endpoint]


class Place(AbstractContextManager["Place"]):
    """What one request has of the room, until it gives that back or hands it over."""

    __slots__ = ("_endpoint", "_left", "_room", "_taken")

    def __init__(self, room: Room, endpoint: str) -> None:
        self._room, self._endpoint = room, endpoint
        self._taken = 0
        self._left = 0

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def read(self, size: int) -> None:
        """So many bytes have come. ``AnswerError`` where there is no room for them."""
        self._left -= size
        if self._left < 0:
            more = max(LEAST_BYTES, -self._left)
            self._room.take(self._endpoint, more)
            self._taken += more
            self._left += more

    def give_back(self) -> None:
        if self._taken:
            self._room.give_back(self._endpoint, self._taken)
            self._taken = self._left = 0

    def handed_over(self) -> "Place":
        """All that this one has, to be given back by somebody else."""
        other = Place(self._room, self._endpoint)
        other._taken, other._left = self._taken, self._left
        self._taken = self._left = 0
        return other
