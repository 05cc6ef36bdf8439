"""Runs of MySQL, SQLite and files that are cancelled, wherever they are: over within five seconds, and so is all that
they had begun at the source.
"""

import json
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from local.mariadb import MariaDbServer
from tests.connectors.files.web_server import RunningWebServer, run_web_server
from tests.connectors.mysql.source import Source
from tests.integration.test_control import is_running, reading
from tests.integration.test_frozen import cancel, frozen
from tests.integration.test_mysql_faults import readers, server_pid, threads
from tests.kit.compare import assert_same, counted, lake_rows
from tests.kit.lines import Line, line_to
from tests.kit.platform import Platform, eventually, named, run_platform
from tests.kit.servers import RunningStore, RunningTemporal

FULL = {"sync_type": "full_refresh"}
BY_ID = {"sync_type": "incremental", "incremental_field": "id", "incremental_field_type": "integer"}
BY_FILE = {
    "sync_type": "incremental",
    "incremental_field": "_file_modified_at",
    "incremental_field_type": "timestamp",
}
ROWS = 40_000
WIDE = 1000
"""Characters of a row of a table that is read slowly."""
BYTES_PER_SECOND = 4 * 2**20
STAMPS = [datetime(2026, 1, 1 + day, tzinfo=UTC) for day in range(3)]
STAGES = ["unanswered", "reading:hang", "staged:hang", "before-commit:hang"]
Made = tuple[dict[str, Any], dict[str, Any]]


class Subject(Protocol):
    """A source with the tables ``t``, a few rows, and ``large``, whose rows come slowly."""

    later: dict[str, Any]
    """The settings by which a later run reads what is new."""
    columns: list[str]

    def body(self, name: str, settings: dict[str, Any]) -> dict[str, Any]: ...

    def add(self) -> None:
        """Something new in ``t``."""

    def rows(self) -> Counter[tuple[Any, ...]]:
        """Of ``t``."""

    def unanswered(self) -> AbstractContextManager[None]:
        """The source is there, and says nothing."""

    def is_at_work(self, platform: Platform) -> bool:
        """Whether anything of ours goes on at the source."""


@dataclass
class MySqlSubject:
    source: Source
    line: Line
    later = BY_ID
    columns = ["id", "v"]  # noqa: RUF012

    def __post_init__(self) -> None:
        self.source.execute(
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t SELECT seq, CONCAT('v', seq) FROM seq_1_to_500",
            "CREATE TABLE large (id int PRIMARY KEY, v text)",
            f"INSERT INTO large SELECT seq, REPEAT('x', {WIDE}) FROM seq_1_to_{ROWS}",
            "CREATE VIEW sleepy AS SELECT id, SLEEP(600) AS slept FROM t",
        )

    def body(self, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        return body("MySQL", name, settings, **self.source.inputs(port=self.line.port))

    def add(self) -> None:
        self.source.execute("INSERT INTO t SELECT MAX(id) + 1, 'new' FROM t")

    def rows(self) -> Counter[tuple[Any, ...]]:
        return counted(self.source.rows("SELECT * FROM t"))

    @contextmanager
    def unanswered(self) -> Iterator[None]:
        with self.line.held():
            yield

    def is_at_work(self, platform: Platform) -> bool:
        return bool(threads(self.source))


@dataclass
class SqliteSubject:
    path: Path
    later = BY_ID
    columns = ["id", "v"]  # noqa: RUF012

    def __post_init__(self) -> None:
        self._execute(
            "CREATE TABLE t (id integer PRIMARY KEY, v text)",
            f"CREATE VIEW numbers AS {counting(ROWS)}",
            f"CREATE VIEW few AS {counting(500)}",
            "INSERT INTO t SELECT n, 'v' || n FROM numbers LIMIT 500",
            # Each row takes the database a while.
            f"CREATE VIEW large AS SELECT n AS id, printf('%.{WIDE}c', 'x') AS v, "
            "(SELECT count(*) FROM few WHERE few.n <> numbers.n) AS work FROM numbers",
            "CREATE VIEW sleepy AS WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c) "
            "SELECT n AS id FROM c WHERE n < 0",
        )

    def body(self, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        return body("SQLite", name, settings, path=str(self.path))

    def add(self) -> None:
        self._execute("INSERT INTO t SELECT max(id) + 1, 'new' FROM t")

    def rows(self) -> Counter[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return counted(connection.execute("SELECT * FROM t"))

    @contextmanager
    def unanswered(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield

    def is_at_work(self, platform: Platform) -> bool:
        for process in psutil.Process(platform.pid()).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if any(Path(each.path) == self.path for each in process.open_files()):
                    return True
        # Whoever reads holds a lock.
        with self.unanswered():
            return False

    def _execute(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)


@dataclass
class FilesSubject:
    web: RunningWebServer
    line: Line
    later = BY_FILE
    columns = ["_file", "_row", "_file_modified_at", "id", "v"]  # noqa: RUF012

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.line.port}/"
        self.web.put("/0.csv", "id,v\n" + "".join(f"{n},v{n}\n" for n in range(500)), STAMPS[0])
        self.web.put("/large.csv", "id,v\n" + "".join(f"{n},{'x' * WIDE}\n" for n in range(ROWS)), STAMPS[0])

    def body(self, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        files = ["0.csv", "1.csv", "2.csv"] if name == "t" else ["large.csv"]
        tables = json.dumps({name: {"files": files}})
        return body("Files", name, settings, location=self.url, tables=tables)

    def add(self) -> None:
        number = len(self.web.pages) - 1
        self.web.put(f"/{number}.csv", f"id,v\n{1000 + number},new\n", STAMPS[number])

    def rows(self) -> Counter[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for path, page in self.web.pages.items():
            if path != "/large.csv":
                file, stamp = path[1:], STAMPS[int(path[1])]
                rows = [line.split(",") for line in page.body.decode().splitlines()[1:]]
                found += [(self.url + file, number, stamp, int(row[0]), row[1]) for number, row in enumerate(rows, 1)]
        return counted(found)

    @contextmanager
    def unanswered(self) -> Iterator[None]:
        with self.line.held():
            yield

    def is_at_work(self, platform: Platform) -> bool:
        return bool(readers(platform, self.line.port))


def body(source_type: str, name: str, settings: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    schemas = [{"name": name, "should_sync": True, **settings}]
    prefix = f"c{secrets.token_hex(3)}_"
    return {"source_type": source_type, "prefix": prefix, "payload": {**inputs, "schemas": schemas}}


def counting(last: int) -> str:
    return f"WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < {last}) SELECT n FROM c"


@pytest.fixture
def subject(request: pytest.FixtureRequest, mariadb: MariaDbServer, tmp_path: Path) -> Iterator[Subject]:
    """Of the kind that the test is for."""
    if request.param == "SQLite":
        yield SqliteSubject(folder_of(tmp_path) / "shop.db")
    elif request.param == "Files":
        with run_web_server() as web, line_to("127.0.0.1", port_of(web), BYTES_PER_SECOND) as line:
            yield FilesSubject(web, line)
    else:
        database = mariadb.create_database()
        with line_to(mariadb.host, mariadb.port, BYTES_PER_SECOND) as line:
            yield MySqlSubject(Source(mariadb, database), line)
        mariadb.drop_database(database)


def folder_of(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "sources"
    folder.mkdir(exist_ok=True)
    return folder


def port_of(web: RunningWebServer) -> int:
    return int(web.url.rstrip("/").rpartition(":")[2])


@pytest.fixture
def idle(
    temporal: RunningTemporal, object_store: RunningStore, sqlite_metadata_url: str, lake_url: str, tmp_path: Path
) -> Iterator[Platform]:
    """Of this test alone, with no worker yet. Its sources may be files of the test's folder."""
    folders = str(folder_of(tmp_path))
    with run_platform(
        tmp_path, sqlite_metadata_url, lake_url, temporal, object_store, worker=False, SOURCE_FOLDERS=folders
    ) as running:
        yield running


@pytest.fixture
def busy(idle: Platform) -> Platform:
    """The same with a worker."""
    idle.start_worker()
    return idle


def create(platform: Platform, subject: Subject, name: str, settings: dict[str, Any]) -> Made:
    source = platform.call("POST", "/external_data_sources/", subject.body(name, settings), 201)
    return source, named(source, name)


def assert_cancelled(platform: Platform, subject: Subject, made: Made, runs: int) -> None:
    """In time; and soon nothing of it goes on at the source."""
    assert cancel(platform, *made, runs)["status"] == "Cancelled"
    eventually(lambda: not subject.is_at_work(platform), "the source to be left alone", patience_seconds=5)


def assert_equal(platform: Platform, subject: Subject, made: Made, store: RunningStore) -> None:
    job = platform.sync(*made)
    assert job["status"] == "Completed", job["latest_error"]
    root = platform.schema(made[1]["id"])["table"]["url_pattern"]
    assert_same(subject.rows(), lake_rows(root, store, subject.columns))


@pytest.mark.long
@pytest.mark.parametrize("later_run", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("subject", ["MySQL", "SQLite", "Files"], indirect=True)
def test_every_stage(idle: Platform, subject: Subject, object_store: RunningStore, later_run: bool) -> None:
    """Before the source has answered, when the read is open, after the upload, in the commit."""
    platform, runs = idle, 0
    made = create(platform, subject, "t", {**subject.later, "sync_frequency": "never"})
    if later_run:
        platform.start_worker()
        assert_equal(platform, subject, made, object_store)
        platform.kill()
        subject.add()
        runs = len(platform.jobs(*made))
    for stage in STAGES:
        silence = subject.unanswered() if stage == "unanswered" else nullcontext()
        with silence:
            platform.start_worker(FAILPOINT=stage)
            platform.reload(made[1])
            runs += 1
            eventually(lambda wanted=runs: len(platform.jobs(*made)) == wanted, "a run")
            time.sleep(3)
            assert is_running(platform, *made), stage
            assert cancel(platform, *made, runs)["status"] == "Cancelled", stage
        eventually(lambda: not subject.is_at_work(platform), "the source to be left alone", patience_seconds=5)
        platform.kill()
    platform.start_worker()
    assert_equal(platform, subject, made, object_store)


@pytest.mark.long
@pytest.mark.parametrize("subject", ["MySQL", "SQLite", "Files"], indirect=True)
def test_while_rows_stream(busy: Platform, subject: Subject) -> None:
    made = create(busy, subject, "large", FULL)
    reading(busy, *made)
    assert_cancelled(busy, subject, made, 1)
    assert busy.schema(made[1]["id"])["table"] is None


@pytest.mark.long
@pytest.mark.parametrize("subject", ["MySQL", "SQLite"], indirect=True)
def test_while_the_database_looks_for_the_first_row(busy: Platform, subject: Subject) -> None:
    made = create(busy, subject, "sleepy", FULL)
    eventually(lambda: subject.is_at_work(busy), "the query")
    time.sleep(1)
    assert is_running(busy, *made)
    assert_cancelled(busy, subject, made, 1)


def test_a_query_that_sleeps_at_the_server(platform: Platform, mariadb: MariaDbServer) -> None:
    database = mariadb.create_database()
    source = Source(mariadb, database)
    source.execute("CREATE VIEW sleepy AS SELECT 1 AS id, SLEEP(600) AS slept")
    given = body("MySQL", "sleepy", FULL, **source.inputs())
    made = platform.call("POST", "/external_data_sources/", given, 201)
    eventually(lambda: asleep(source), "the query to sleep")
    assert cancel(platform, made, named(made, "sleepy"), 1)["status"] == "Cancelled"
    eventually(lambda: not threads(source), "the server to be left alone", patience_seconds=5)
    mariadb.drop_database(database)


def asleep(source: Source) -> bool:
    sql = f"SELECT 1 FROM information_schema.PROCESSLIST WHERE DB = '{source.database}' AND STATE = 'User sleep'"
    return bool(source.rows(sql))


@pytest.mark.long
@pytest.mark.parametrize("subject", ["MySQL"], indirect=True)
def test_while_another_holds_a_lock(busy: Platform, subject: MySqlSubject, object_store: RunningStore) -> None:
    with subject.source.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLES {subject.source.database}.t WRITE")
        made = create(busy, subject, "t", FULL)
        eventually(lambda: subject.is_at_work(busy), "the read")
        time.sleep(1)
        assert_cancelled(busy, subject, made, 1)
    assert_equal(busy, subject, made, object_store)


@pytest.mark.long
@pytest.mark.parametrize("subject", ["MySQL"], indirect=True)
def test_a_server_that_is_frozen(busy: Platform, subject: MySqlSubject, object_store: RunningStore) -> None:
    """In the middle of a read, and before a later run has logged in."""
    large = create(busy, subject, "large", FULL)
    small = create(busy, subject, "t", subject.later)
    busy.wait_for_jobs(*small)
    reading(busy, *large)
    with frozen(server_pid(subject.source.server)):
        assert cancel(busy, *large, 1)["status"] == "Cancelled"
        busy.reload(small[1])
        eventually(lambda: len(busy.jobs(*small)) == 2, "the second run")
        time.sleep(2)
        assert cancel(busy, *small, 2)["status"] == "Cancelled"
    eventually(lambda: not subject.is_at_work(busy), "the server to be left alone", patience_seconds=15)
    assert_equal(busy, subject, small, object_store)
