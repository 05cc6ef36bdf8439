"""Several processes that read with one login at once: run as a program, which gets its order by a pipe."""

import multiprocessing
import pickle
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any

from connectors.outbound import OPEN
from connectors.rest import tokens as shared
from connectors.rest.client import Api
from connectors.rest.declaration import Resource
from connectors.rest.requests import Request
from connectors.surroundings import Surroundings
from connectors.tokens import Tokens
from tests.connectors.rest.library import REST

BOOKS = Resource(name="books", path="books")
WAIT_SECONDS = 60


@dataclass(frozen=True)
class Order:
    given: dict[str, Any]
    tokens: Tokens
    expire_url: str
    processes: int = 4
    threads: int = 4
    rounds: int = 5
    claim_seconds: float = shared.CLAIM_SECONDS


def books(given: dict[str, Any], tokens: Tokens) -> Any:
    with Api(REST.parse_config(given, Surroundings(OPEN, tokens=tokens)), 0.0) as api:
        return api.ask(BOOKS, Request("books", "GET", api.url("books"))).body


def main(order: Order) -> None:
    """All ask at once, then the token ends, and all ask at once again: so many rounds."""
    shared.CLAIM_SECONDS = order.claim_seconds
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(order.processes * order.threads)
    others = [context.Process(target=_process, args=(order, barrier)) for _ in range(order.processes)]
    for each in others:
        each.start()
    for each in others:
        each.join()
    sys.exit(max(abs(each.exitcode or 0) for each in others))


def _process(order: Order, barrier: Barrier) -> None:
    with ThreadPoolExecutor(order.threads) as threads:
        for done in [threads.submit(_reader, order, barrier) for _ in range(order.threads)]:
            done.result()


def _reader(order: Order, barrier: Barrier) -> None:
    config = REST.parse_config(order.given, Surroundings(OPEN, tokens=order.tokens))
    with Api(config, 0.0) as api:
        for _ in range(order.rounds):
            if barrier.wait(WAIT_SECONDS) == 0:
                urllib.request.urlopen(order.expire_url).close()  # noqa: S310
            barrier.wait(WAIT_SECONDS)
            found = api.ask(BOOKS, Request("books", "GET", api.url("books"))).body
            assert [str(each["title"]) for each in found] == ["A", "B"]


if __name__ == "__main__":
    main(pickle.load(sys.stdin.buffer))  # noqa: S301
