"""Requests against a running API: at a fixed rate, or as fast as a few clients go. A process of its own.

Reads a ``Plan`` as JSON from standard input and writes what each request took to standard output.
"""

import http.client
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

CLIENTS = 32


@dataclass(frozen=True)
class Plan:
    port: int
    key: str
    source_ids: list[str]
    schema_ids: list[str]
    seconds: float
    rate: float
    """Requests per second, whether or not the earlier ones have been answered; 0: each client sends its next request
    when its last was answered."""
    clients: int = CLIENTS


@dataclass(frozen=True)
class Request:
    kind: str
    method: str
    path: str
    body: str | None = None


@dataclass(frozen=True)
class Answer:
    kind: str
    seconds: float
    """Since the moment when the request was due: one that had to wait for a free client is not faster for it."""
    status: int
    began: float


def requests(plan: Plan, chance: random.Random) -> Iterator[Request]:
    """The mix: mostly looks at single schemas, and a tenth changes."""
    listed = "/external_data_schemas/?limit=100&offset={}"
    sources = "/external_data_sources/?limit=20&offset={}"
    kinds = ["schema"] * 4 + ["list of 100 schemas"] * 2 + ["list of 20 sources", "source", "change a schema", "jobs"]
    while True:
        kind, schema, source = chance.choice(kinds), chance.choice(plan.schema_ids), chance.choice(plan.source_ids)
        one_schema, one_source = f"/external_data_schemas/{schema}/", f"/external_data_sources/{source}/"
        frequency = {"sync_frequency": chance.choice(["1hour", "6hour", "12hour"])}
        change = frequency if chance.random() < 0.5 else {"incremental_lookback_seconds": chance.randrange(1000)}
        yield {
            "schema": Request(kind, "GET", one_schema),
            "list of 100 schemas": Request(kind, "GET", listed.format(chance.randrange(10) * 100)),
            "list of 20 sources": Request(kind, "GET", sources.format(chance.randrange(10) * 20)),
            "source": Request(kind, "GET", one_source),
            "change a schema": Request(kind, "PATCH", one_schema, json.dumps(change)),
            "jobs": Request(kind, "GET", one_source + "jobs/"),
        }[kind]


Ask = Callable[[Request, float], Answer]


class Client(threading.local):
    """A kept connection for each thread."""

    connection: http.client.HTTPConnection | None = None

    def send(self, plan: Plan, request: Request) -> int:
        """The status; 0 where no whole answer came."""
        self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", plan.port, timeout=30)
        headers = {"Authorization": f"Bearer {plan.key}", "Content-Type": "application/json"}
        try:
            self.connection.request(request.method, f"/api/projects/1{request.path}", request.body, headers)
            answer = self.connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            return 0
        return answer.status


def run(plan: Plan) -> list[Answer]:
    client, mix = Client(), requests(plan, random.Random(7))  # noqa: S311
    start = time.perf_counter() + 0.1

    def ask(request: Request, due: float) -> Answer:
        time.sleep(max(0.0, due - time.perf_counter()))
        status = client.send(plan, request)
        return Answer(request.kind, time.perf_counter() - due, status, due - start)

    with ThreadPoolExecutor(plan.clients) as pool:
        if plan.rate:
            due = [start + number / plan.rate for number in range(int(plan.seconds * plan.rate))]
            return list(pool.map(ask, [next(mix) for _ in due], due))
        lists = [[next(mix) for _ in range(2000)] for _ in range(plan.clients)]
        return [answer for answers in pool.map(lambda own: _flood(ask, own, plan.seconds), lists) for answer in answers]


def _flood(ask: Ask, own: list[Request], seconds: float) -> list[Answer]:
    answers: list[Answer] = []
    ends = time.perf_counter() + seconds
    while (now := time.perf_counter()) < ends:
        answers.append(ask(own[len(answers) % len(own)], now))
    return answers


if __name__ == "__main__":
    print(json.dumps([asdict(answer) for answer in run(Plan(**json.load(sys.stdin)))]))
