"""Pages of a list: ``limit`` and ``offset`` in, ``{count, next, previous, results}`` out."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from api.bodies.reading import storable

T = TypeVar("T", bound=BaseModel)

DEFAULT_LIMIT = 100
MOST_LIMIT = 1000
MOST_OFFSET = 2**31 - 1
MOST_WAIT_SECONDS = 0.1

_making_a_list = threading.Lock()


@contextmanager
def in_turn() -> Iterator[None]:
    """Make one list after the other, as long as nobody waits for more than a tenth of a second.

    A list is mostly computing, of which an interpreter does one thing at a time: side by side each takes twice as long.
    """
    first = _making_a_list.acquire(timeout=MOST_WAIT_SECONDS)
    try:
        yield
    finally:
        if first:
            _making_a_list.release()


Search = Annotated[
    Annotated[str, Field(max_length=400), storable] | None, Query(description="part of a name, whatever its case")
]


class Page(BaseModel, Generic[T]):
    count: int = Field(description="how many there are in all")
    next: str | None
    previous: str | None
    results: list[T]


@dataclass(frozen=True)
class PageRequest:
    limit: int
    offset: int
    request: Request

    def page(self, count: int, results: Sequence[T]) -> Page[T]:
        """The page with links to its neighbours, which keep the other parameters."""
        following, preceding = self.offset + self.limit, self.offset - self.limit
        return Page(
            count=count,
            next=self._link(following) if following < count else None,
            previous=self._link(max(preceding, 0)) if self.offset > 0 else None,
            results=list(results),
        )

    def _link(self, offset: int) -> str:
        return str(self.request.url.include_query_params(limit=self.limit, offset=offset))


async def _page_request(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MOST_LIMIT)] = DEFAULT_LIMIT,
    offset: Annotated[int, Query(ge=0, le=MOST_OFFSET)] = 0,
) -> PageRequest:
    return PageRequest(limit, offset, request)


PageDep = Annotated[PageRequest, Depends(_page_request)]
