"""An API of lists that answers faster than anybody asks: ``python -m bench.rest_server`` with a ``Task`` as JSON.

Each folder below the root is an API, each ``<name>.bin`` in it a list, cut into groups of objects by the offsets in
``<name>.npy``. ``/<api>/<name>?after=<n>`` is group n of a list, with the place of the next; ``/<api>/<name>/<n>`` is
group n by itself, as the objects of one parent. ``/asked`` gives the times at which it was asked since that was last
looked at, by the clock of the machine.
"""

import asyncio
import json
import mmap
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import uvloop


@dataclass(frozen=True)
class Task:
    root: str
    seconds: float = 0.0
    """How long each answer takes."""


class _List:
    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        self._offsets = np.load(path.with_suffix(".npy")).tolist()

    def answer(self, group: int, *, following: bool) -> list[bytes | memoryview]:
        more = following and group + 2 < len(self._offsets)
        after = json.dumps(f"{group + 1}" if more else None)
        head = f'{{"object":"list","has_more":{json.dumps(more)},"next":{after},"data":['
        return [head.encode(), self._content[self._offsets[group] : self._offsets[group + 1]], b"]}"]


class _Connection(asyncio.Protocol):
    asked: list[float] = []  # noqa: RUF012 - all connections note it in one place

    def __init__(self, task: Task) -> None:
        self._task = task
        self._given = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._given += data
        if not self._given.endswith(b"\r\n\r\n"):
            return
        asked, self._given = self._given, b""
        target = asked.split(b" ", 2)[1].decode()
        if target == "/asked":
            answer: list[bytes | memoryview] = [json.dumps(self.asked).encode()]
            self.asked.clear()
            self._send(answer)
            return
        self.asked.append(time.time())
        if self._task.seconds:
            asyncio.get_running_loop().call_later(self._task.seconds, self._send, self._found(target))
        else:
            self._send(self._found(target))

    def _found(self, target: str) -> list[bytes | memoryview]:
        parts = urlsplit(target)
        _, api, name, *group = parts.path.split("/")
        listed = _list(Path(self._task.root) / api / f"{name}.bin")
        if group:
            return listed.answer(int(group[0]), following=False)
        return listed.answer(int(dict(parse_qsl(parts.query)).get("after", 0)), following=True)

    def _send(self, answer: list[bytes | memoryview]) -> None:
        size = sum(map(len, answer))
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
        self._transport.writelines([head.encode(), *answer])


@cache
def _list(path: Path) -> _List:
    return _List(path)


async def _serve(task: Task) -> None:
    """The port is all that it prints."""
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(task), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(Task(**json.loads(sys.stdin.readline()))))
