"""Objects that come, change and go while somebody turns the pages."""

import random
import threading
from collections.abc import Callable
from typing import Any

from tests.providers.player import Object, Player
from tests.providers.server import Asked, Reply, Route

BEGIN = 1_780_000_000.0
"""The API's clock at first; what was there before is older."""
MOST_AT_ONCE = 6
PAUSES = (0, 0, 0, 1, 1, 3, 90)
"""Seconds between changes: many bear the same."""


class Life:
    """Of one table: before each answer of the API, by a seed, until it is ``quiet``."""

    def __init__(self, player: Player, table: str, seed: int) -> None:
        self._player = player
        self._table = table
        self._random = random.Random(seed)  # noqa: S311
        self._lock = threading.Lock()
        self._next = 1 + max(int(number) for number in range(len(player.objects[table])))
        self.now = BEGIN
        self.quiet = False
        self.deleted: set[Any] = set()
        self._changed: dict[Any, float] = {}
        player.provider.clock = lambda: self.now
        for path, route in list(player.provider.routes.items()):
            player.provider.routes[path] = self._between(route)

    def there(self) -> set[Any]:
        return {self._player.key(self._table, each) for each in self._player.objects[self._table]}

    def unseen(self) -> set[Any]:
        """What has changed so lately that the API does not give it yet."""
        since = self.now - self._player.unseen_seconds(self._table)
        return {key for key, at in self._changed.items() if at > since}

    def pass_by(self, seconds: float) -> None:
        self.now += seconds

    def _between(self, route: Route) -> Callable[[Asked], Reply]:
        def answer(asked: Asked) -> Reply:
            with self._lock:
                for _ in range(0 if self.quiet else self._random.randint(0, MOST_AT_ONCE)):
                    self._happen()
                return route(asked)

        return answer

    def _happen(self) -> None:
        self.now += self._random.choice(PAUSES)
        seconds = int(self.now - self._player.begin)
        match self._random.choice(("come", "change", "change", "go")):
            case "come":
                self._player.put(self._table, self._next, seconds)
                self._next += 1
            case "change":
                changed = self._player.change(self._table, self._any(), seconds)
                self._changed[self._player.key(self._table, changed)] = self.now
            case _:
                found = self._any()
                key = self._player.key(self._table, found)
                self._player.delete(self._table, found, seconds)
                if key not in self.there():
                    self.deleted.add(key)
                self._changed[key] = self.now

    def _any(self) -> Object:
        """Those at the edges of pages more often."""
        listed, size = self._player.objects[self._table], self._player.page_of(self._table)
        edges = [place for edge in range(size, len(listed), size) for place in (edge - 1, edge, -edge, -edge - 1)]
        place = self._random.choice(edges) if edges and self._random.random() < 0.5 else None
        return listed[self._random.randrange(len(listed)) if place is None else place]
