"""A MariaDB that breaks in the middle of reads, in every mode: afterwards the contents are equal, and nobody is left at
the server.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
import psutil
import pymysql
import pytest

from local.mariadb import MariaDbServer
from tests.connectors.mysql.source import Source
from tests.integration.test_changes import table
from tests.integration.test_frozen import frozen
from tests.integration.test_mysql import BY_ID, BY_TIME, create, modes, source_rows
from tests.integration.test_run_logs import events, lines
from tests.kit.compare import assert_same, counted, lake_frame, lake_rows
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

    def lake(self, name: str) -> Counter[tuple[Any, ...]]:
        return lake_rows(table(self.platform, self.created, name)["url_pattern"], self.store)

    def assert_equal(self, runs: int) -> None:
        for name in MODES:
            job = self.job(name, runs)
            assert job["status"] == "Completed", (name, job["latest_error"])
            assert_same(source_rows(self.source, name), self.lake(name))
        eventually(lambda: not threads(self.source), "the server to be left alone", patience_seconds=30)

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


@pytest.mark.long
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


# What an owner does meanwhile

REFUSED = "the user or the password is wrong"


@pytest.mark.long
def test_a_password_that_changes_in_the_middle(scene: Scene, source: Source) -> None:
    """Whoever comes back after a break is turned down: the tables stay as they are until the new password is given."""
    user = f"u_{source.database[3:]}"
    source.execute(
        f"CREATE USER {user}@'%' IDENTIFIED BY '{PASSWORD}'", f"GRANT SELECT ON {source.database}.* TO {user}@'%'"
    )
    scene.create(user=user, password=PASSWORD)
    scene.assert_equal(1)
    before = {name: source_rows(source, name) for name in MODES}
    scene.change()
    scene.reload()
    eventually(scene.being_read, "a read in its middle")
    source.execute(f"ALTER USER {user}@'%' IDENTIFIED BY 'another'")
    # With the new password in place no table can be begun; those that are being read are broken off.
    ended: set[str] = set()
    while ended != MODES.keys():
        scene.connections_killed()
        time.sleep(0.5)
        ended = {name for name in MODES if newest(scene, name)["status"] == "Failed"}
        assert not any(newest(scene, name)["status"] == "Completed" and runs(scene, name) == 2 for name in MODES)
    for name in MODES:
        assert REFUSED in newest(scene, name)["latest_error"]
        assert PASSWORD not in newest(scene, name)["latest_error"]
        assert_same(before[name], scene.lake(name))
    path = f"/external_data_sources/{scene.created['id']}/"
    scene.platform.call("PATCH", path, {"job_inputs": {"password": PASSWORD}}, status=400)
    scene.platform.call("PATCH", path, {"job_inputs": {"password": "another"}})
    scene.reload()
    scene.assert_equal(3)


@pytest.mark.long
@pytest.mark.parametrize("statement", ["TRUNCATE TABLE {t}", "ALTER TABLE {t} DROP COLUMN n", "DROP TABLE {t}"])
def test_a_table_that_its_owner_changes_while_it_is_read(scene: Scene, source: Source, statement: str) -> None:
    """The server has the owner wait for the read, which is of the table as it was; a later run has what came of it."""
    scene.create()
    before = {name: source_rows(source, name) for name in MODES}
    done: set[str] = set()
    with ThreadPoolExecutor() as owners:
        waiting = []
        while missed := MODES.keys() - done:
            eventually(lambda missed=missed: missed & scene.being_read().keys(), "a read in its middle")
            met = missed & scene.being_read().keys()
            waiting += [owners.submit(source.execute, statement.format(t=name)) for name in met]
            done |= met
        for each in waiting:
            each.result(timeout=60)
    for name in MODES:
        job = scene.job(name, 1)
        assert job["status"] == "Completed", job["latest_error"]
        assert_same(before[name], scene.lake(name))
    gone = statement.startswith("DROP")
    emptied = statement.startswith("TRUNCATE")
    for name in MODES:
        if not (gone or emptied):
            source.execute(f"INSERT INTO {name} VALUES ({ROWS + 1}, 'after', '2027-01-01')")
    scene.reload()
    for name in MODES:
        job = scene.job(name, 2)
        if gone:
            assert job["status"] == "Failed"
            assert name in job["latest_error"]
            assert_same(before[name], scene.lake(name))
        elif emptied:
            assert job["status"] == "Completed", job["latest_error"]
            # Nothing tells a cursor of rows that are gone.
            assert_same(source_rows(source, name) if name == "whole" else before[name], scene.lake(name))
        else:
            assert job["status"] == "Completed", job["latest_error"]
            new = counted([(ROWS + 1, "after", None, datetime(2027, 1, 1))])  # noqa: DTZ001
            assert_same(source_rows(source, name) if name == "whole" else before[name] + new, scene.lake(name))


@pytest.mark.long
def test_a_resync_in_the_middle_of_a_run(scene: Scene) -> None:
    scene.create()
    waiting = set(MODES)
    while waiting:
        for name in waiting & scene.being_read().keys():
            scene.platform.call("POST", f"/external_data_schemas/{named(scene.created, name)['id']}/resync/")
            waiting.discard(name)
        time.sleep(0.1)
    scene.assert_equal(2)
    for name in MODES:
        jobs = scene.platform.jobs(scene.created, named(scene.created, name))
        assert [job["status"] for job in jobs] == ["Completed", "Cancelled"]


@pytest.mark.long
def test_a_reader_that_stands_still_for_longer_than_the_server_is_set_to_wait(
    own_scene: Scene, mariadb: MariaDbServer
) -> None:
    """A lake that is slow to take what was read is no reason for the server to break off."""
    scene = own_scene
    before = mariadb.rows("SELECT @@GLOBAL.net_write_timeout, @@GLOBAL.wait_timeout")[0]
    mariadb.execute("SET GLOBAL net_write_timeout = 2, GLOBAL wait_timeout = 4")
    try:
        scene.create()
        eventually(scene.being_read, "a read in its middle")
        standing = readers(scene.platform, scene.line.port)
        for process in standing:
            process.suspend()
        time.sleep(10)
        for process in standing:
            process.resume()
        scene.assert_equal(1)
    finally:
        write, wait = before
        mariadb.execute(f"SET GLOBAL net_write_timeout = {write}, GLOBAL wait_timeout = {wait}")
    for name in MODES:
        schema = named(scene.created, name)
        assert "reading" not in events(lines(scene.platform, schema, scene.job(name, 1))), "it was read in one go"


@pytest.mark.long
def test_rows_that_move_while_they_are_read(scene: Scene, source: Source) -> None:
    """Each transaction moves an amount, and a row to another place: a mix of two states has another sum."""
    scene.create()
    scene.assert_equal(1)
    for name in MODES:
        source.execute(f"ALTER TABLE {name} ADD COLUMN amount bigint NOT NULL DEFAULT 1000")
        source.execute(f"UPDATE {name} SET updated_at = updated_at + INTERVAL 2 YEAR")
    over, moves = threading.Event(), 0

    def move() -> None:
        nonlocal moves
        with source.server.connect(source.database) as connection, connection.cursor() as cursor:
            while not over.is_set():
                few, many = moves * 7919 % ROWS + 1, (moves * 31 + 5) % ROWS + 1
                for name in MODES:
                    cursor.execute("BEGIN")
                    cursor.execute(f"UPDATE {name} SET amount = amount - 1 WHERE id = {few}")
                    cursor.execute(f"UPDATE {name} SET amount = amount + 1 WHERE id = {many}")
                    cursor.execute(f"UPDATE {name} SET id = id + {2 * ROWS} WHERE id = {many}")
                    cursor.execute(f"UPDATE {name} SET id = id - {2 * ROWS} WHERE id = {many + 2 * ROWS}")
                    cursor.execute("COMMIT")
                moves += 1

    mover = threading.Thread(target=move)
    mover.start()
    try:
        scene.reload()
        jobs = {name: scene.job(name, 2) for name in MODES}
    finally:
        over.set()
        mover.join()
    assert moves > 100
    for name, job in jobs.items():
        assert job["status"] == "Completed", job["latest_error"]
        frame = lake_frame(table(scene.platform, scene.created, name)["url_pattern"], scene.store)
        current = frame.drop_nulls("amount")
        assert current["amount"].sum() == 1000 * ROWS
        assert sorted(current["id"].to_list()) == list(range(1, ROWS + 1))


@pytest.mark.long
@pytest.mark.parametrize("mode", ["keyed", "appended"])
def test_a_server_restarted_between_batches(
    platform: Platform, source: Source, object_store: RunningStore, mode: str
) -> None:
    """A first load of two batches: what was committed stays, and the rest comes once."""
    rows = 2_300_000
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(20))", f"INSERT INTO t SELECT seq, seq FROM seq_1_to_{rows}"
    )
    created = create(platform, source, {"t": modes(BY_ID)[mode]})
    eventually(lambda: platform.schema(named(created, "t")["id"])["table"], "the first batch")
    source.server.kill()
    source.server.restart()
    (job,) = platform.wait_for_jobs(created, named(created, "t"))
    assert job["status"] == "Completed", job["latest_error"]
    assert job["rows_synced"] == rows
    frame = lake_frame(table(platform, created, "t")["url_pattern"], object_store).sort("id")
    assert frame["id"].equals(pl.Series("id", range(1, rows + 1), frame["id"].dtype))
    assert frame["v"].equals(frame["id"].cast(pl.String).alias("v"))


def newest(scene: Scene, name: str) -> dict[str, Any]:
    return scene.platform.jobs(scene.created, named(scene.created, name))[0]


def runs(scene: Scene, name: str) -> int:
    return len(scene.platform.jobs(scene.created, named(scene.created, name)))
