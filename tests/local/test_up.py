"""``syncline up``, the real command: ready, mended, refused a second time, stopped without a trace."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue

import httpx2
import psutil
import pytest

from local.binaries import find_program
from tests.kit.servers import RunningTemporal, server_folder

PATIENCE_SECONDS = 60


class Up:
    """A running ``syncline up`` and what it says, line by line."""

    def __init__(self, home: Path, **settings: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SYNCLINE_")}
        self.process = subprocess.Popen(
            [sys.executable, str(find_program("syncline", "syncline")), "up"],
            env={**environment, "SYNCLINE_HOME": str(home), **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._lines: Queue[str | None] = Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def wait_for(self, beginning: str) -> str:
        """The next line that begins like this."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0))
            except Empty:
                line = None
            assert line is not None, "it never said that; it said:\n" + "\n".join(self.said)
            if line.startswith(beginning):
                return line

    def wait_ready(self) -> None:
        self.wait_for("ready")

    def address(self, label: str) -> str:
        found = re.search(rf"^  {label} +(\S+)", "\n".join(self.said), re.MULTILINE)
        assert found, self.said
        return found.group(1)

    def children(self) -> dict[str, psutil.Process]:
        """The processes started by it, by the name of their program."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            line = child.cmdline()
            found[line[-1] if line[-1] in ("api", "worker") else Path(line[0]).name] = child
        return found

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip())
            self._lines.put(line.rstrip())
        self._lines.put(None)


@pytest.fixture
def home() -> Iterator[Path]:
    with server_folder() as folder:
        yield folder / "home"


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start_one(**settings: str) -> Up:
        started.append(Up(home, **settings))
        return started[-1]

    yield start_one
    for up in started:
        if up.process.poll() is None:
            up.end(signal.SIGTERM)


def status(url: str, key: str | None = None) -> int:
    return httpx2.get(url, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=10).status_code


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=10)
    return all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def test_up_serves_mends_refuses_a_second_and_leaves_nothing(home: Path, start: Callable[..., Up]) -> None:
    up = start()
    up.wait_ready()
    key = re.search(r"slk_\S+", "\n".join(up.said))
    assert key is not None
    sources = f"{up.address('API')}/api/projects/1/external_data_sources/"
    assert status(sources, key.group()) == 200
    assert status(sources, "wrong") == 401
    assert status(up.address("API docs")) == 200
    assert status(up.address("Temporal UI")) == 200
    listens_only_on_loopback(up)

    second = start()
    assert second.process.wait(PATIENCE_SECONDS) == 1
    assert second.said == [
        f"Syncline is already running in {home} (process {up.process.pid}). "
        "Stop it first, or choose another folder with SYNCLINE_HOME."
    ]

    for program, name in (("api", "api"), ("worker", "worker"), ("temporal", "temporal"), ("weed", "object-store")):
        died = up.children()[program]
        died.kill()
        up.wait_for(f"{name} ended by SIGKILL; starting it again in ")
        up.wait_for(f"{name} is ready again")
        assert up.children()[program].pid != died.pid
    assert status(sources, key.group()) == 200

    family = up.family()
    assert len(family) >= 4
    assert up.end(signal.SIGTERM) == 0
    assert up.said[-1] == "stopped"
    assert gone(family)


def test_a_killed_up_takes_its_children_along_and_the_next_finds_all_again(
    home: Path, start: Callable[..., Up]
) -> None:
    first = start()
    first.wait_ready()
    key = re.search(r"slk_\S+", "\n".join(first.said))
    assert key is not None
    family = first.family()
    first.process.kill()
    if sys.platform == "linux":  # elsewhere nothing ties a child's life to its parent's
        assert gone(family)
    ports = json.loads((home / "state.json").read_text())
    second = start()
    second.wait_ready()
    assert json.loads((home / "state.json").read_text()) == ports
    assert second.address("API") == first.address("API")
    assert "slk_" not in "\n".join(second.said)
    assert status(f"{second.address('API')}/api/projects/1/external_data_sources/", key.group()) == 200
    assert second.end(signal.SIGINT) == 0


def test_given_parts_are_used_instead_of_embedded_ones(
    home: Path, start: Callable[..., Up], temporal: RunningTemporal
) -> None:
    up = start(
        SYNCLINE_TEMPORAL_ADDRESS=temporal.address,
        SYNCLINE_LAKE_URL=f"file://{home.parent / 'lake'}",
        SYNCLINE_BOOTSTRAP_API_KEY="chosen-by-the-operator-and-long",
    )
    up.wait_ready()
    assert set(up.children()) == {"api", "worker"}
    assert "chosen" not in "\n".join(up.said)
    sources = f"{up.address('API')}/api/projects/1/external_data_sources/"
    assert status(sources, "chosen-by-the-operator-and-long") == 200


def test_a_taken_port_is_named(start: Callable[..., Up], temporal: RunningTemporal) -> None:
    port = temporal.address.rpartition(":")[2]
    up = start(SYNCLINE_API_PORT=port)
    assert up.process.wait(PATIENCE_SECONDS) == 2
    assert up.said == [
        f"Port {port} (SYNCLINE_API_PORT) is in use by another program. Stop that program, or choose another port."
    ]


def test_a_store_without_a_lake_is_refused(start: Callable[..., Up]) -> None:
    up = start(SYNCLINE_S3_ENDPOINT="http://127.0.0.1:1")
    assert up.process.wait(PATIENCE_SECONDS) == 2
    assert up.said == ["SYNCLINE_S3_ENDPOINT is set, but not SYNCLINE_LAKE_URL: set it to s3://bucket/prefix."]


def listens_only_on_loopback(up: Up) -> None:
    addresses = {
        connection.laddr.ip
        for process in up.family()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}
