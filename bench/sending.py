"""Signed events for a running API: at a fixed rate, or as fast as a few connections go. A process of its own.

Reads a ``Plan`` as JSON from standard input and writes what became of each event into a file.
"""

import asyncio
import hmac
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

OBJECT_BYTES = 1_700
"""So that an event has about 2 KB."""


@dataclass(frozen=True)
class Plan:
    port: int
    path: str
    secret: str
    seconds: float
    rate: float
    """Events per second, whether or not the earlier ones have been answered; 0: each connection sends its next event
    when its last was answered."""
    connections: int
    first: int = 0
    """The number of the first event."""
    answers: str = ""
    """The file."""


def body_of(number: int, at: int) -> bytes:
    """An event as Stripe sends them, about a customer of its own."""
    customer = {
        "id": f"cus_{number:09}",
        "object": "customer",
        "created": at,
        "email": f"customer-{number}@example.com",
        "balance": number % 1000,
        "description": "x" * OBJECT_BYTES,
        "metadata": {"number": str(number)},
    }
    event = {
        "id": f"evt_{number:09}",
        "object": "event",
        "api_version": "2025-08-27.basil",
        "created": at,
        "data": {"object": customer},
        "livemode": False,
        "type": "customer.updated",
    }
    return json.dumps(event).encode()


def request_of(plan: Plan, number: int) -> bytes:
    at = int(time.time())
    body = body_of(number, at)
    mac = hmac.digest(plan.secret.encode(), f"{at}.".encode() + body, "sha256").hex()
    head = (
        f"POST {plan.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nStripe-Signature: t={at},v1={mac}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One request after the other."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[int] | None = None
        self._received = b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0)
        if end and len(rest) >= length and self._answer and not self._answer.done():
            self._received = b""
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, _: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result(0)

    async def send(self, request: bytes) -> int:
        """The status; 0 where no answer came."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer


async def run(plan: Plan) -> list[tuple[int, int, float]]:
    """Number, status and seconds of each event, those since the moment when it was due."""
    loop = asyncio.get_running_loop()
    free = [(await loop.create_connection(Connection, "127.0.0.1", plan.port))[1] for _ in range(plan.connections)]
    answers: list[tuple[int, int, float]] = []
    start = time.perf_counter()
    due = _due(plan, start)

    async def client(connection: Connection) -> None:
        for number, at in due:
            now = time.perf_counter()
            if at > now:
                await asyncio.sleep(at - now)
            begun = at or time.perf_counter()
            status = await connection.send(request_of(plan, number))
            answers.append((number, status, time.perf_counter() - begun))
            if connection.transport.is_closing():
                connection = (await loop.create_connection(Connection, "127.0.0.1", plan.port))[1]

    await asyncio.gather(*(client(connection) for connection in free))
    return answers


def _due(plan: Plan, start: float) -> Iterator[tuple[int, float]]:
    number = 0
    while (start + number / plan.rate if plan.rate else time.perf_counter()) < start + plan.seconds:
        yield plan.first + number, start + number / plan.rate if plan.rate else 0.0
        number += 1


if __name__ == "__main__":
    plan = Plan(**json.load(sys.stdin))
    Path(plan.answers).write_text(json.dumps(uvloop.run(run(plan))))
