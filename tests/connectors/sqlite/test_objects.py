"""Databases in a bucket, on the real S3 server: one version of an object, and what may be wrong with it."""

import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from connectors.base import CursorRange, ReadRequest
from connectors.deadline import patience
from connectors.errors import (
    AccessError,
    BusyError,
    ConfigurationError,
    CredentialsError,
    SourceError,
    UnreachableError,
)
from connectors.outbound import ForbiddenHostError, OutboundPolicy
from connectors.s3 import BucketClient
from connectors.sqlite import copies, shelf
from tests.connectors.sqlite.files import SQLITE, SqliteFile
from tests.connectors.sqlite.objects import StoredFile, Watch, ways_in

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); "
MANY = (
    f"{TABLE} WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) "
    "INSERT INTO t SELECT i, hex(zeroblob(20)) || i FROM n;"
)
SOME = f"{TABLE} INSERT INTO t VALUES (1, 'a'), (2, NULL)"


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_an_object_is_read_as_the_file_is(stored: StoredFile, mode: str) -> None:
    stored.execute(f"PRAGMA journal_mode = {mode}; {MANY}")
    stored.execute("CREATE VIEW v AS SELECT count(*) AS n FROM t; ANALYZE")
    stored.execute(
        "CREATE TABLE m (k TEXT, d DATE, at DATETIME, b BLOB, n DECIMAL(10,2), PRIMARY KEY (k)) WITHOUT ROWID"
    )
    stored.insert("m", [("ü 🐘", "2026-01-31", "2026-01-31T12:00", b"\0\xff", 12.5), ("b", None, None, None, None)])
    stored.put()
    file = SqliteFile(stored.path)
    assert SQLITE.validate(stored.config()) is None
    assert stored.discover() == file.discover()
    assert stored.discover("v", "gone") == file.discover("v")
    for name in ("t", "v", "m"):
        assert stored.read(name).table.equals(file.read(name).table)
    (copy,) = stored.copies()
    assert copy.read_bytes() == stored.path.read_bytes()
    assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o400, 0o700)


def test_a_cursor_goes_on_in_the_next_object(stored: StoredFile) -> None:
    stored.execute(SOME)
    stored.put()
    first = stored.read("t", cursor=CursorRange("id"))
    assert first.column("id") == [1, 2]
    stored.execute("INSERT INTO t VALUES (3, 'c'); UPDATE t SET v = 'b' WHERE id = 2")
    stored.put()
    assert stored.read("t", cursor=CursorRange("id", "2")).column("v") == ["b", "c"]


def test_a_version_is_fetched_once(stored: StoredFile, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch.over(monkeypatch)
    stored.execute(SOME)
    stored.put()
    assert stored.read("t").column("v") == stored.read("t").column("v") == ["a", None]
    assert watch.whole == 1
    with pytest.raises(CredentialsError):
        SQLITE.read(stored.config(secret_access_key="wrong-s3cret"), ReadRequest("t", "r")).__enter__()
    stored.execute("UPDATE t SET v = 'b'")
    stored.put()
    assert stored.read("t").column("v") == ["b", "b"]
    assert watch.whole == 2


def test_reads_at_once_share_a_copy(stored: StoredFile, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch.over(monkeypatch)
    monkeypatch.setattr(shelf, "KEPT_SHARE", 2**60)
    stored.execute(MANY)
    stored.put()
    together = threading.Barrier(4)

    def read(_: int) -> list[Any]:
        with SQLITE.read(stored.config(), ReadRequest("t", "r")) as opened:
            together.wait(30)
            return [value for batch in opened.batches() for value in batch.column("id").to_pylist()]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(4))) == [list(range(1, 50_001))] * 4
    assert watch.whole == 1
    assert stored.copies() == []


@pytest.fixture
def confined() -> Iterator[None]:
    """This process may write small files only, as those that answer queries."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_where_no_large_file_may_be_written(
    stored: StoredFile, monkeypatch: pytest.MonkeyPatch, mode: str, request: pytest.FixtureRequest
) -> None:
    stored.execute(f"PRAGMA journal_mode = {mode}; {MANY}")
    stored.put()
    expected = SqliteFile(stored.path).read("t").table
    request.getfixturevalue("confined")
    assert stored.read("t").table.equals(expected)
    assert stored.copies() == []
    monkeypatch.setattr(copies, "MOST_IN_MEMORY_BYTES", 2_000_000)
    with pytest.raises(SourceError, match=r"has 3 MB, of which queries read 2 at the most straight from a bucket"):
        stored.read("t")


@pytest.mark.parametrize("breaks", [False, True], ids=["whole", "broken"])
def test_an_object_that_is_replaced_while_it_is_fetched(
    stored: StoredFile, monkeypatch: pytest.MonkeyPatch, breaks: bool
) -> None:
    stored.execute(MANY)
    stored.put()
    stored.execute("UPDATE t SET v = 'new'")
    original = BucketClient.body

    def replaced(self: BucketClient, wanted: Any, position: int, most: int | None = None) -> Any:
        body = original(self, wanted, position, most)
        if most is None and position == 0:
            stored.put()
            return Breaking(body) if breaks else body
        return body

    with monkeypatch.context() as patch:
        patch.setattr(BucketClient, "body", replaced)
        with pytest.raises(BusyError, match=r"shop\.db changed while it was read"):
            stored.read("t")
    assert stored.copies() == []
    assert set(stored.read("t").column("v")) == {"new"}


def test_a_connection_that_breaks_is_taken_up_again(stored: StoredFile, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.execute(MANY)
    stored.put()
    positions: list[int] = []
    original = BucketClient.body

    def breaking(self: BucketClient, wanted: Any, position: int, most: int | None = None) -> Any:
        positions.append(position)
        return Breaking(original(self, wanted, position, most))

    monkeypatch.setattr(BucketClient, "body", breaking)
    assert stored.read("t").table.equals(SqliteFile(stored.path).read("t").table)
    assert len(set(positions)) > 3


class Breaking:
    """A body that gives half a megabyte, and then nothing but an error."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._left = 2**19

    def read(self, size: int) -> bytes:
        if self._left <= 0:
            raise ConnectionResetError
        chunk: bytes = self._body.read(min(size, self._left))
        self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        self._body.close()


@pytest.mark.parametrize(
    ("changes", "error", "said", "attr"),
    [
        ({"path": "s3://{bucket}/no/such.db"}, ConfigurationError, r"There is no object no/such\.db", "path"),
        ({"path": "s3://no-such-bucket-here/x.db"}, ConfigurationError, "There is no bucket no-such-bucket", "path"),
        ({"secret_access_key": "wrong-s3cret"}, CredentialsError, "turns these keys down", None),
        ({"access_key_id": "WRONG"}, CredentialsError, "turns these keys down", None),
        ({"access_key_id": "", "secret_access_key": ""}, AccessError, "grant s3:ListBucket and s3:GetObject", None),
        ({"endpoint": "http://127.0.0.1:1"}, UnreachableError, r"127\.0\.0\.1 does not answer", None),
    ],
)
def test_what_can_be_wrong_with_the_connection(
    stored: StoredFile, changes: dict[str, str], error: type[SourceError], said: str, attr: str | None
) -> None:
    stored.execute(SOME)
    stored.put()
    given = stored.config(**{name: value.format(bucket=stored.store.bucket) for name, value in changes.items()})
    for way in ways_in(given):
        with patience(20), pytest.raises(error, match=said) as caught:
            way()
        assert caught.value.attr == attr
        assert "s3cret" not in caught.value.message
    assert stored.copies() == []


def test_a_guarded_installation_connects_to_public_stores_only(stored: StoredFile) -> None:
    stored.put()
    endpoint = stored.store.endpoint.replace("http://", "https://")
    for way in ways_in(stored.config(OutboundPolicy(), endpoint=endpoint)):
        with pytest.raises(ForbiddenHostError, match="leads to a loopback address") as caught:
            way()
        assert caught.value.attr == "endpoint"


@pytest.mark.parametrize(
    "content",
    [b"no database, " * 1000, b"SQLite format 3\0 and no more", b"SQLite format 3\0\x10\0" + b"\1" * 20_000],
    ids=["text", "cut", "garbage"],
)
def test_what_is_no_database(stored: StoredFile, content: bytes) -> None:
    stored.put(content)
    for way in ways_in(stored.config()):
        with pytest.raises(ConfigurationError, match="no SQLite database") as caught:
            way()
        assert caught.value.attr == "path"


def test_an_empty_object_is_an_empty_database(stored: StoredFile) -> None:
    stored.put(b"")
    SQLITE.validate(stored.config())
    assert stored.discover() == {}


def test_what_lies_beside_a_database_is_not_passed_over(stored: StoredFile) -> None:
    stored.execute(f"PRAGMA journal_mode = WAL; {SOME}")
    stored.put()
    for beside, said in (("-wal", "newest rows .*-wal"), ("-journal", "middle of a write.*-journal")):
        stored.put(b"", beside)
        assert stored.read("t").column("id") == [1, 2]
        stored.put(b"\0" * 100, beside)
        for way in ways_in(stored.config()):
            with pytest.raises(ConfigurationError, match=said) as caught:
                way()
            assert caught.value.attr == "path"
        stored.delete(beside)
    stored.execute("PRAGMA journal_mode = DELETE")
    stored.put()
    # Without a log of its own a database has nothing in what is called so.
    stored.put(b"\0" * 100, "-wal")
    assert stored.read("t").column("id") == [1, 2]


def test_a_database_that_finds_no_room(stored: StoredFile, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch.over(monkeypatch)
    stored.execute(MANY)
    stored.put()
    with monkeypatch.context() as patch:
        patch.setattr(shelf, "RESERVE_BYTES", 2**60)
        with pytest.raises(SourceError, match=r"no room for the database's 0\.0 GB"):
            stored.read("t")
        # For its tables there is.
        assert set(stored.discover()) == {"t"}
    assert (watch.whole, stored.copies()) == (0, [])


def test_a_wait_that_ends_while_the_object_is_fetched(stored: StoredFile, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.execute(MANY)
    stored.put()
    original = os.write

    def slow(descriptor: int, data: Any) -> int:
        threading.Event().wait(0.7)
        return original(descriptor, data)

    monkeypatch.setattr("connectors.sqlite.copies.os.write", slow)
    with patience(1), pytest.raises(UnreachableError, match="in time"):
        stored.read("t")
    assert stored.copies() == []


FETCHING = """
import os, pickle, sys
from connectors.base import ReadRequest
from connectors.sqlite import SqliteConnector, copies, shelf

if sys.argv[2] == "named":
    shelf._unnamed = lambda folder: None

def half(database, descriptor):
    os.write(descriptor, b"half")
    print("fetching", flush=True)
    sys.stdin.read()

copies._fetch = half
with SqliteConnector().read(pickle.load(open(sys.argv[1], "rb")), ReadRequest("t", "r")):
    pass
"""


@pytest.mark.parametrize("kind", ["unnamed", "named"])
def test_a_process_that_is_killed_while_it_fetches(stored: StoredFile, tmp_path: Path, kind: str) -> None:
    stored.execute(SOME)
    stored.put()
    (tmp_path / "config").write_bytes(pickle.dumps(stored.config()))
    command = [sys.executable, "-c", FETCHING, str(tmp_path / "config"), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as fetching:
        assert fetching.stdout is not None
        assert fetching.stdout.readline() == b"fetching\n"
        (place,) = stored.copies()
        stored.discover()
        assert stored.copies() == [place], "it is in use"
        with patience(1), pytest.raises(UnreachableError, match="in time"):
            stored.read("t")
        fetching.send_signal(signal.SIGKILL)
        fetching.wait()
        assert (place.stat().st_size > 0) is (kind == "named")
    stored.discover()
    assert stored.copies() == []
    assert stored.read("t").column("v") == ["a", None]


def test_where_every_file_has_a_name(stored: StoredFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "_unnamed", lambda folder: None)
    watch = Watch.over(monkeypatch)
    stored.execute(SOME)
    stored.put()
    assert stored.read("t").column("v") == stored.read("t").column("v") == ["a", None]
    assert watch.whole == 1
    assert [copy.stat().st_mode & 0o777 for copy in stored.copies()] == [0o400]


def test_copies_that_nobody_came_for_are_removed(stored: StoredFile, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.execute(SOME)
    stored.put()
    for _ in range(3):
        stored.execute("INSERT INTO t (v) VALUES ('more')")
        stored.put()
        stored.read("t")
    assert len(stored.copies()) == 3
    with SQLITE.read(stored.config(), ReadRequest("t", "r")) as opened:
        monkeypatch.setattr(shelf, "KEPT_SECONDS", 0)
        stored.discover()
        assert len(stored.copies()) == 1, "what is in use stays"
        assert sum(batch.num_rows for batch in opened.batches()) == 5
    assert stored.copies() == []


def test_a_temporary_folder_that_somebody_else_was_faster_in(stored: StoredFile) -> None:
    stored.put()
    folder = stored.temporary / f"syncline-sqlite-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(SourceError, match="belongs to others"):
        stored.discover()
