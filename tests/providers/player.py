"""What the players of all providers have in common: objects by table, and what the provider's API makes of them."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.providers.server import Asked, Provider, Reply

Object = dict[str, Any]


class Player(ABC):
    """A provider's API as its public documentation describes it: paths, pages, filters, logins, limits and errors."""

    source_type: ClassVar[str]
    page: ClassVar[int]
    """Objects in a page, as the source asks for them."""
    limited: ClassVar[Reply]
    """What it answers to too many requests: one that asks to wait for no more than a second."""
    forbidden: ClassVar[Reply]
    """What it answers where the key's rights do not reach."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.objects: dict[str, list[Object]] = defaultdict(list)
        self.route()

    @abstractmethod
    def inputs(self) -> dict[str, str]:
        """What a user types into the form, with the address of the server that plays."""

    @abstractmethod
    def wrong_login(self) -> dict[str, str]:
        """Changes of the inputs that are turned down."""

    @abstractmethod
    def route(self) -> None:
        """Have ``provider.routes`` answer."""

    @abstractmethod
    def make(self, table: str, number: int, seconds: int) -> Object:
        """An object as the API gives it, created and last changed so many seconds after the beginning."""

    def page_of(self, table: str) -> int:
        """Objects in a page of that table."""
        return self.page

    def comes_whole(self, table: str) -> bool:
        """Whether all of that table comes in one answer."""
        return False

    def pages_overlap(self, table: str) -> bool:
        """Whether a page of that table begins with objects that the one before it ends with."""
        return False

    def put(self, table: str, number: int, seconds: int) -> Object:
        """Into ``objects``; of a table of children beside the parents that are there."""
        made = self.make(table, number, seconds)
        self.objects[table].append(made)
        return made

    def key(self, table: str, found: Mapping[str, Any]) -> Any:
        """What tells an object or a row from others."""
        return str(found["id"])


def is_new(asked: Asked, name: str, value: int) -> bool:
    """Whether an object of that time passes a filter of the form ``>=``, where there is one."""
    return name not in asked.query or value >= int(asked.query[name])
