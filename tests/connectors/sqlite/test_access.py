"""Files that others write to: whatever they do, a read gives one state or none, and leaves nothing behind."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from connectors.base import ReadRequest
from connectors.deadline import patience
from connectors.errors import BusyError, ConfigurationError, SourceError, UnreachableError
from connectors.sqlite import opening
from tests.connectors.sqlite.files import SQLITE, SqliteFile

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);"
MANY = (
    f"{TABLE} WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) INSERT INTO t SELECT i, 'x' FROM n;"
)


def with_log(file: SqliteFile) -> None:
    file.execute("PRAGMA journal_mode = WAL")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "LOCK_PATIENCE_SECONDS", 0.05)


def crash(file: SqliteFile, statements: str) -> None:
    """A program that writes, and is killed before it has closed the database."""
    program = f"""
import os, signal, sqlite3
c = sqlite3.connect({str(file.path)!r}, isolation_level=None)
for statement in {statements!r}.split(";"):
    c.execute(statement)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False)


@pytest.mark.parametrize("logged", [False, True], ids=["journal", "log"])
def test_a_read_sees_one_state(file: SqliteFile, logged: bool) -> None:
    file.execute(MANY)
    if logged:
        with_log(file)
    with closing(file.connect(timeout=0)) as writer:
        if logged:
            writer.execute("UPDATE t SET v = 'y' WHERE id = 50000")
        with SQLITE.read(file.config(), ReadRequest("t", "r", batch_bytes=2**16)) as read:
            batches = read.batches()
            first = next(batches)
            if logged:
                writer.execute("UPDATE t SET v = 'later'")
                writer.execute("INSERT INTO t VALUES (50001, 'later')")
                writer.execute("PRAGMA wal_checkpoint")
            else:
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    writer.execute("UPDATE t SET v = 'later'")
            seen = [row for batch in [first, *batches] for row in batch.to_pylist()]
        writer.execute("DELETE FROM t WHERE id > 1")
    expected = [(n, "x") for n in range(1, 50000)] + [(50000, "y" if logged else "x")]
    assert [(row["id"], row["v"]) for row in seen] == expected
    assert len(file.read("t").column("id")) == 1


def test_a_locked_database_is_busy(file: SqliteFile, impatient: None) -> None:
    file.execute(TABLE)
    with closing(file.connect()) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        for attempt in (lambda: SQLITE.validate(file.config()), file.discover, lambda: file.read("t")):
            with pytest.raises(BusyError, match="locked"):
                attempt()
        writer.execute("INSERT INTO t VALUES (1, 'a')")
        writer.execute("COMMIT")
    assert file.read("t").column("v") == ["a"]


def test_a_writer_that_has_not_committed_hides_nothing(file: SqliteFile) -> None:
    file.execute(f"{TABLE} INSERT INTO t VALUES (1, 'a')")
    with closing(file.connect()) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE t SET v = 'b'")
        assert file.read("t").column("v") == ["a"]
        writer.execute("COMMIT")
    assert file.read("t").column("v") == ["b"]


def test_nothing_is_left_beside_a_database_with_a_log(file: SqliteFile) -> None:
    with_log(file)
    file.execute(f"{TABLE} INSERT INTO t VALUES (1, 'a')")
    before = file.path.read_bytes()
    assert file.beside() == {"shop.db"}
    SQLITE.validate(file.config())
    file.discover()
    assert file.read("t").column("v") == ["a"]
    assert (file.beside(), file.path.read_bytes()) == ({"shop.db"}, before)


def test_what_is_only_in_the_log_is_read(file: SqliteFile) -> None:
    with_log(file)
    with closing(file.connect()) as writer:
        writer.executescript(f"{TABLE} INSERT INTO t VALUES (1, 'a')")
        log = (file.path.parent / "shop.db-wal").read_bytes()
        assert file.read("t").column("v") == ["a"]
        assert (file.path.parent / "shop.db-wal").read_bytes() == log
        writer.execute("INSERT INTO t VALUES (2, 'b')")
        assert file.read("t").column("v") == ["a", "b"]
    assert file.read("t").column("v") == ["a", "b"]


def test_a_log_that_a_crash_left_is_read(file: SqliteFile) -> None:
    with_log(file)
    file.execute(TABLE)
    crash(file, "INSERT INTO t VALUES (1, 'a');BEGIN;INSERT INTO t VALUES (2, 'lost')")
    assert file.beside() == {"shop.db", "shop.db-wal", "shop.db-shm"}
    assert file.read("t").column("v") == ["a"]


def test_a_log_that_came_alone_is_not_passed_over(file: SqliteFile) -> None:
    with_log(file)
    file.execute(TABLE)
    crash(file, "INSERT INTO t VALUES (1, 'a')")
    (file.path.parent / "shop.db-shm").unlink()
    with pytest.raises(BusyError, match="write-ahead log"):
        file.read("t")
    assert file.beside() == {"shop.db", "shop.db-wal"}
    assert file.rows("SELECT v FROM t") == [("a",)]
    assert file.read("t").column("v") == ["a"]


def test_a_write_that_a_crash_cut_short_is_not_read(file: SqliteFile) -> None:
    file.execute(MANY)
    crash(file, "PRAGMA cache_size = 5;BEGIN;UPDATE t SET v = 'half written'")
    assert file.beside() == {"shop.db", "shop.db-journal"}
    with pytest.raises(BusyError, match="open it once"):
        file.read("t")
    file.rows("SELECT count(*) FROM t")
    assert set(file.read("t").column("v")) == {"x"}


def test_a_file_that_is_put_in_place_of_another_during_the_read(file: SqliteFile) -> None:
    other = SqliteFile(file.path.parent / "new.db")
    for each, value in ((file, "old"), (other, "new")):
        each.execute(MANY.replace("'x'", f"'{value}'"))
    with SQLITE.read(file.config(), ReadRequest("t", "r", batch_bytes=2**16)) as read:
        batches = read.batches()
        seen = [next(batches)]
        os.replace(other.path, file.path)
        with pytest.raises(BusyError, match="replaced or changed"):
            seen.extend(batches)
    assert {value for batch in seen for value in batch.column("v").to_pylist()} == {"old"}
    assert set(file.read("t").column("v")) == {"new"}


@pytest.mark.parametrize("logged", [False, True], ids=["journal", "log"])
def test_a_file_that_is_copied_over_during_the_read(file: SqliteFile, logged: bool) -> None:
    other = SqliteFile(file.path.parent / "new.db")
    for each, value in ((file, "old"), (other, "new")):
        each.execute(MANY.replace("'x'", f"'{value}'"))
        if logged:
            with_log(each)
    with SQLITE.read(file.config(), ReadRequest("t", "r", batch_bytes=2**16)) as read:
        batches = read.batches()
        next(batches)
        shutil.copyfile(other.path, file.path)
        with pytest.raises(BusyError, match="replaced or changed"):
            list(batches)


def test_a_closed_database_with_a_log_that_somebody_opens_and_writes_during_the_read(file: SqliteFile) -> None:
    file.execute(MANY)
    with_log(file)
    with SQLITE.read(file.config(), ReadRequest("t", "r", batch_bytes=2**16)) as read:
        batches = read.batches()
        rows = next(batches).num_rows
        with closing(file.connect()) as writer:
            writer.execute("UPDATE t SET v = 'later'")
            rows += next(batches).num_rows
            assert rows < 50000
        with pytest.raises(BusyError, match="replaced or changed"):
            list(batches)
    assert set(file.read("t").column("v")) == {"later"}


def test_reads_at_once_keep_each_others_locks(file: SqliteFile, impatient: None) -> None:
    file.execute(MANY)
    with SQLITE.read(file.config(), ReadRequest("t", "r", batch_bytes=2**16)) as read:
        batches = read.batches()
        next(batches)
        assert len(file.read("t").column("id")) == 50000
        SQLITE.validate(file.config())
        writing = (
            f"import sqlite3\nwith sqlite3.connect({str(file.path)!r}, timeout=0) as c: c.execute('DELETE FROM t')"
        )
        process = subprocess.run([sys.executable, "-c", writing], check=False, capture_output=True, text=True)
        assert "locked" in process.stderr
        list(batches)


def test_a_damaged_file(file: SqliteFile) -> None:
    file.execute(MANY)
    content = bytearray(file.path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    file.path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="damaged") as caught:
        file.read("t")
    assert "malformed" not in caught.value.message


def test_a_view_without_an_end(file: SqliteFile) -> None:
    file.execute("CREATE VIEW v AS WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS m FROM n")
    with pytest.raises(BusyError, match="longer"):
        file.read("v", statement_seconds=1)
    with patience(0.3), pytest.raises(UnreachableError, match="in time"):
        file.read("v")


def test_a_view_that_fails_at_its_rows(file: SqliteFile) -> None:
    file.execute("CREATE TABLE t (a); INSERT INTO t VALUES (-9223372036854775808)")
    file.execute("CREATE VIEW v AS SELECT abs(a) AS b FROM t")
    with pytest.raises(SourceError, match="could not compute the rows of v") as caught:
        file.read("v")
    assert not caught.value.retryable


WRITER = """
import random, sqlite3, sys, time
path, mode, until = sys.argv[1], sys.argv[2], time.monotonic() + float(sys.argv[3])
def connect():
    c = sqlite3.connect(path, isolation_level=None, timeout=10)
    c.execute("PRAGMA synchronous = OFF")
    return c
c = connect()
while time.monotonic() < until:
    c.execute("BEGIN IMMEDIATE")
    for _ in range(random.randrange(1, 30)):
        one, other, sum = random.randrange(4000), random.randrange(4000), random.randrange(100)
        c.execute("UPDATE t SET n = n - ?, v = zeroblob(n % 300) WHERE id = ?", (sum, one))
        c.execute("UPDATE t SET n = n + ?, v = zeroblob(n % 300) WHERE id = ?", (sum, other))
    c.execute("COMMIT")
    if mode == "closing" and random.random() < 0.3:
        c.close()
        time.sleep(random.random() / 20)
        c = connect()
    elif random.random() < 0.1:
        c.execute("PRAGMA wal_checkpoint(RESTART)")
    time.sleep(0.002)
"""


@pytest.mark.parametrize("mode", ["journal", "log", "closing"])
def test_sums_hold_whatever_a_writer_does(file: SqliteFile, mode: str) -> None:
    """A program moves amounts between rows, in transactions: every read that succeeds has the same sum."""
    file.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, v BLOB)")
    file.insert("t", [(number, 1000, b"") for number in range(4000)])
    if mode != "journal":
        with_log(file)
    command = [sys.executable, "-c", WRITER, str(file.path), mode, "1"]
    sums, busy, states = set(), 0, set()
    with subprocess.Popen(command) as writer:
        while writer.poll() is None:
            try:
                found = file.read("t", batch_bytes=2**15).column("n")
            except BusyError:
                busy += 1
                continue
            sums.add(sum(found))
            states.add(tuple(found))
        assert writer.returncode == 0
    assert sums == {4_000_000}
    assert len(states) > 3, f"busy {busy} times"
    assert sum(file.read("t").column("n")) == 4_000_000
    if mode != "journal":
        file.rows("SELECT count(*) FROM t")
        assert file.beside() == {"shop.db"}
