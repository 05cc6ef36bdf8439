"""A MariaDB that breaks in the middle of reads, in every mode: afterwards the contents are equal, and nobody is left at
the server.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil
import pymysql
import pytest

from local.mariadb import MariaDbServer
from tests.connectors.mysql.source import Source
from tests.integration.test_changes import table
from tests.integration.test_frozen import frozen
from tests.integration.test_mysql import BY_TIME, create, modes, source_rows
from tests.kit.compare import assert_same, lake_rows
from tests.kit.lines import Line, line_to
from tests.kit.platform import Platform, eventually, named
from tests.kit.servers import RunningStore

MODES = modes(BY_TIME)
ROWS = 10_000
BYTES_PER_SECOND = 4 * 2**20
"""A table takes some three seconds."""
IN_THE_MIDDLE_MS = 500
PASSWORD = "first-password-of-a-reader"


@pytest.fixture
def source(mariadb: MariaDbServer) -> Iterator[Source]:
    database = mariadb.create_database()
    yield Source(mariadb, database)
    mariadb.drop_database(database)


@dataclass
class Scene:
    """A table for each mode, which the platform reads over a slow line."""

    platform: Platform
    source: Source
    line: Line
    store: RunningStore
    created: Any = None

    def create(self, **inputs: Any) -> None:
        for name in MODES:
            self.source.execute(
                f"CREATE TABLE {name} (id int PRIMARY KEY, v longtext, n decimal(12,3), updated_at datetime(6) NULL)",
                f"INSERT INTO {name} SELECT seq, REPEAT(MD5(seq), 40), seq / 7, "
                f"'2026-01-01 00:00:00' + INTERVAL seq DIV 5 MINUTE FROM seq_1_to_{ROWS}",
            )
        given = _Given(self.source.server, self.source.database, {"port": self.line.port, **inputs})
        self.created = create(self.platform, given, MODES)

    def change(self) -> None:
        """All rows where the mode keeps up with them, as many new ones where it does not; and one at the edge."""
        later = "'2026-06-01 00:00:00' + INTERVAL seq DIV 5 MINUTE"
        for name in MODES:
            self.source.execute(f"INSERT INTO {name} SELECT 0, 'tie', NULL, MAX(updated_at) FROM {name}")
        for name in ("whole", "keyed"):
            self.source.execute(
                f"UPDATE {name} SET v = REPEAT(MD5(-id), 40), updated_at = updated_at + INTERVAL 1 YEAR WHERE id > 0"
            )
        self.source.execute(
            f"INSERT INTO appended SELECT {ROWS} + seq, REPEAT(MD5(-seq), 40), -seq, {later} FROM seq_1_to_{ROWS}"
        )

    def reload(self) -> None:
        for name in MODES:
            self.platform.reload(named(self.created, name))

    def job(self, name: str, runs: int) -> dict[str, Any]:
        return self.platform.wait_for_jobs(self.created, named(self.created, name), runs)[0]

    def assert_equal(self, runs: int) -> None:
        for name in MODES:
            job = self.job(name, runs)
            assert job["status"] == "Completed", (name, job["latest_error"])
            root = table(self.platform, self.created, name)["url_pattern"]
            assert_same(source_rows(self.source, name), lake_rows(root, self.store))
        eventually(lambda: not threads(self.source), "the server to be left alone", patience_seconds=10)

    def being_read(self) -> dict[str, int]:
        """The tables whose rows are on their way, and the server's threads that send them."""
        statements = (
            "SELECT ID, INFO FROM information_schema.PROCESSLIST WHERE INFO LIKE '/* syncline-%AS c1%' "
            f"AND DB = '{self.source.database}' AND TIME_MS > {IN_THE_MIDDLE_MS}"
        )
        found = self.source.rows(statements)
        return {name: thread for name in MODES for thread, text in found if f".`{name}`" in text}

    def strike(self, fault: Callable[[], None]) -> None:
        """In the middle of a read of every table."""
        struck: set[str] = set()
        while missed := MODES.keys() - struck:
            eventually(lambda missed=missed: missed & self.being_read().keys(), "a read in its middle")
            met = self.being_read().keys()
            fault()
            struck |= met

    # Faults

    def connections_killed(self) -> None:
        for thread in self.being_read().values():
            with suppress(pymysql.Error):
                self.source.execute(f"KILL CONNECTION {thread}")

    def line_cut(self) -> None:
        self.line.cut()

    def server_killed(self) -> None:
        self.source.server.kill()
        self.source.server.restart()

    def server_restarted(self) -> None:
        self.source.server.restart()

    def server_frozen(self) -> None:
        with frozen(server_pid(self.source.server)):
            time.sleep(4)

    def reader_killed(self) -> None:
        for process in readers(self.platform, self.line.port):
            process.kill()

    def worker_killed(self) -> None:
        self.platform.kill()
        self.platform.start_worker()

    def worker_told_to_stop(self) -> None:
        assert self.platform.stop() == 0
        self.platform.start_worker()


class _Given(Source):
    """A source whose fields a test has changed."""

    def __init__(self, server: MariaDbServer, database: str, changes: dict[str, Any]) -> None:
        super().__init__(server, database)
        self._changes = changes

    def inputs(self, **changes: Any) -> dict[str, Any]:
        return super().inputs(**{**self._changes, **changes})


def threads(source: Source) -> list[int]:
    """Of sessions in the database, but for the one that asks."""
    sql = f"SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{source.database}' AND ID <> CONNECTION_ID()"
    return [thread for (thread,) in source.rows(sql)]


def server_pid(server: MariaDbServer) -> int:
    assert server._process is not None
    return server._process.pid


def readers(platform: Platform, port: int) -> list[psutil.Process]:
    """Processes of the worker that have a connection to that port."""
    found = []
    for process in psutil.Process(platform.pid()).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(each.raddr and each.raddr.port == port for each in process.net_connections("tcp")):
                found.append(process)
    return found


@pytest.fixture
def line(mariadb: MariaDbServer) -> Iterator[Line]:
    with line_to(mariadb.host, mariadb.port, BYTES_PER_SECOND) as line:
        yield line


@pytest.fixture
def scene(platform: Platform, source: Source, line: Line, object_store: RunningStore) -> Scene:
    return Scene(platform, source, line, object_store)


@pytest.fixture
def own_scene(own_platform: Platform, source: Source, line: Line, object_store: RunningStore) -> Scene:
    return Scene(own_platform, source, line, object_store)


def strike_twice(scene: Scene, fault: Callable[[], None]) -> None:
    """In a first load, and in a later run."""
    scene.create()
    scene.strike(fault)
    scene.assert_equal(1)
    scene.change()
    scene.reload()
    scene.strike(fault)
    scene.assert_equal(2)


def test_connections_that_the_server_ends(scene: Scene) -> None:
    strike_twice(scene, scene.connections_killed)


@pytest.mark.long
@pytest.mark.parametrize("fault", [Scene.line_cut, Scene.server_killed, Scene.server_restarted, Scene.server_frozen])
def test_a_server_that_goes_away(scene: Scene, fault: Callable[[Scene], None]) -> None:
    strike_twice(scene, lambda: fault(scene))


@pytest.mark.long
@pytest.mark.parametrize("fault", [Scene.reader_killed, Scene.worker_killed, Scene.worker_told_to_stop])
def test_a_reader_that_goes_away(own_scene: Scene, fault: Callable[[Scene], None]) -> None:
    strike_twice(own_scene, lambda: fault(own_scene))
