"""Databases behind an SSH server: everything that is done at a source is done through the tunnel."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from connectors.base import CursorRange, Division, ReadRequest
from connectors.deadline import patience
from connectors.errors import SnapshotLostError, SourceError, UnreachableError
from connectors.outbound import OPEN, ForbiddenHostError, OutboundPolicy, allowed
from connectors.surroundings import Surroundings
from connectors.tunnels import connection, reach
from tests.connectors.cancelling import check_cancel_of_a_statement, give_up_after_a_batch
from tests.connectors.following import Followed, collect
from tests.connectors.reading_process import reading_elsewhere
from tests.connectors.source import POSTGRES, Source
from tests.connectors.test_postgres_breaks import DRIVERS, LONG, SLEEPY, await_activity, await_no_session
from tests.connectors.tunnels import tunnels
from tests.kit.platform import eventually
from tests.kit.sshd import Sshd, run_sshd

pytestmark = pytest.mark.usefixtures("no_tunnel_is_left")

ROWS = "INSERT INTO t SELECT n, repeat(md5(n::text), 3), n / 7.0 FROM generate_series(1, 20000) n"


@pytest.fixture
def own_sshd() -> Iterator[Sshd]:
    """Of this test alone, which may kill it."""
    with run_sshd() as server:
        yield server


@pytest.fixture
def table(source18: Source) -> Source:
    source18.execute("CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10, 4))")
    source18.execute(ROWS)
    return source18


@DRIVERS
def test_each_row_comes_through(table: Source, sshd: Sshd, narrow: bool) -> None:
    config = table.config(**sshd.inputs())
    POSTGRES.validate(config)
    assert [found.name for found in POSTGRES.discover(config)] == ["t"]
    found = table.read("t", config=config, narrow=narrow).table.sort_by("id")
    assert [tuple(row.values()) for row in found.to_pylist()] == table.rows("SELECT id, v, n FROM t ORDER BY id")
    ordered = table.read("t", config=config, narrow=narrow, cursor=CursorRange("id", "19998"))
    assert ordered.column("id") == [19998, 19999, 20000]


def test_parts_of_one_snapshot_are_read_at_once(table: Source, sshd: Sshd) -> None:
    config = table.config(**sshd.inputs())
    expected = table.rows("SELECT id, v, n FROM t ORDER BY id")
    with POSTGRES.read_or_divide(config, ReadRequest("t", "divide"), 256 * 1024) as divided:
        assert isinstance(divided, Division)
        parts = divided.parts
    assert len(parts) > 3
    with POSTGRES.hold(config, "t", "holder") as held, ThreadPoolExecutor(2) as pool:
        table.execute("DELETE FROM t WHERE id % 2 = 0")
        reads = [pool.submit(table.read, "t", config=config, part=part, snapshot=held.snapshot) for part in parts]
        found = pa.concat_tables([read.result().table for read in reads]).sort_by("id")
        assert tunnels() == 1, "all of them share it"
        assert held.is_held(0.1)
    assert [tuple(row.values()) for row in found.to_pylist()] == expected


def test_sessions_that_end_do_not_disturb_others(table: Source, sshd: Sshd) -> None:
    config = table.config(**sshd.inputs())
    with POSTGRES.hold(config, "t", "holder") as held:
        for number in range(8):
            POSTGRES.validate(config)
            assert table.read("t", config=config, cursor=CursorRange("id", "20000"), narrow=number % 2 == 0).column(
                "id"
            ) == [20000]
        assert held.is_held(0.1)


def test_a_broken_tunnel_gives_its_snapshot_up(table: Source, own_sshd: Sshd) -> None:
    config = table.config(**own_sshd.inputs())
    with POSTGRES.read_or_divide(config, ReadRequest("t", "divide"), 256 * 1024) as divided:
        assert isinstance(divided, Division)
        part = divided.parts[0]
    with POSTGRES.hold(config, "t", "holder") as held:
        own_sshd.kill()
        assert not held.is_held(10)
        own_sshd.restart()
        eventually(lambda: _is_lost(table, config, part, held.snapshot), "the server to notice", patience_seconds=10)


def test_a_bastion_that_falls_silent_is_noticed(table: Source, own_sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "KEEPALIVE_SECONDS", 0.2)
    with POSTGRES.hold(table.config(**own_sshd.inputs()), "t", "holder") as held:
        assert held.is_held(0.5)
        own_sshd.freeze()
        begun = time.monotonic()
        assert not held.is_held(10)
    assert time.monotonic() - begun < 10


def test_an_account_without_a_name(table: Source, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """As containers have it."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    POSTGRES.validate(table.config(**sshd.inputs()))


def _is_lost(table: Source, config: object, part: object, snapshot: object) -> bool:
    try:
        table.read("t", config=config, part=part, snapshot=snapshot)  # type: ignore[arg-type]
    except SnapshotLostError:
        return True
    return False


def test_changes_are_followed(source18: Source, sshd: Sshd) -> None:
    source18.execute("CREATE TABLE items (id int PRIMARY KEY, t text)")
    with Followed.begin(source18, ("items", "id")) as followed:
        source18.execute("INSERT INTO items SELECT n, repeat('x', 500) FROM generate_series(1, 20000) n")
        source18.execute("UPDATE items SET t = 'y' WHERE id = 7; DELETE FROM items WHERE id = 8")
        with followed.open(**sshd.inputs()) as stream:
            found = collect(stream)
            stream.confirm(found.end)
            assert tunnels() == 1
        changes = found.changes()
        assert [change.row["id"] for change in changes[:20000]] == list(range(1, 20001))
        assert found.story()[20000:] == [("UPDATE", {"id": 7, "t": "y"}), ("DELETE", {"id": 8, "t": None})]
        assert followed.confirmed >= found.end


@DRIVERS
def test_cancel_goes_through_a_tunnel_of_its_own(source18: Source, sshd: Sshd, narrow: bool) -> None:
    source18.execute(SLEEPY)
    config = source18.config(**sshd.inputs())
    check_cancel_of_a_statement(
        source18, "sleepy", lambda: await_activity(source18, "^COPY"), config=config, seconds=4, narrow=narrow
    )


@DRIVERS
def test_a_read_that_is_given_up_ends_at_the_server(source18: Source, sshd: Sshd, narrow: bool) -> None:
    source18.execute(LONG)
    give_up_after_a_batch(source18, "long", source18.config(**sshd.inputs()), narrow=narrow)
    await_no_session(source18)


@DRIVERS
def test_the_ssh_server_is_killed_in_the_middle(source18: Source, own_sshd: Sshd, narrow: bool) -> None:
    source18.execute(LONG)
    inputs = source18.inputs(**own_sshd.inputs())
    with reading_elsewhere("Postgres", inputs, "long", narrow=narrow) as child:
        own_sshd.kill()
        assert child.communicate("go on\n", timeout=60) == ("UnreachableError True\n", None)
    assert child.returncode == 0, "the process must outlive its tunnel"
    own_sshd.restart()
    found = source18.read("long", config=source18.config(**own_sshd.inputs()))
    assert sorted(found.column("id")) == list(range(1, 300_001))


def test_a_new_tunnel_takes_a_broken_ones_place(table: Source, own_sshd: Sshd) -> None:
    table.execute(LONG)
    config = table.config(**own_sshd.inputs())
    with POSTGRES.read(config, ReadRequest("long", "r", batch_bytes=2**16, narrow=True)) as read:
        batches = read.batches()
        next(batches)
        own_sshd.kill()
        own_sshd.restart()
        assert len(table.read("t", config=config).column("id")) == 20_000
        with pytest.raises(UnreachableError):
            list(batches)


def test_changes_break_off_with_their_tunnel(source18: Source, own_sshd: Sshd) -> None:
    source18.execute("CREATE TABLE items (id int PRIMARY KEY, t text)")
    with Followed.begin(source18, ("items", "id")) as followed:
        source18.execute("INSERT INTO items SELECT n, 'x' FROM generate_series(1, 100) n")
        with followed.open(**own_sshd.inputs()) as stream:
            collect(stream)
            own_sshd.kill()
            with pytest.raises(UnreachableError):
                collect(stream, lambda _: False)
        own_sshd.restart()
        eventually(lambda: _is_free(source18, followed.slot), "the slot to be free", patience_seconds=10)
        found = followed.collect(**own_sshd.inputs())
        assert [change.row["id"] for change in found.changes()] == list(range(1, 101))


def _is_free(source: Source, slot: str) -> bool:
    return source.rows(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'") == [(False,)]


def test_the_bastion_is_checked_and_what_is_behind_it_is_not(table: Source, sshd: Sshd) -> None:
    inputs = table.inputs(**sshd.inputs())
    with pytest.raises(ForbiddenHostError) as caught:
        POSTGRES.validate(POSTGRES.parse_config(inputs, Surroundings()))
    assert caught.value.attr == "ssh_host"
    policy = OutboundPolicy(allowed=allowed(f"127.0.0.1:{sshd.port}"))
    POSTGRES.validate(POSTGRES.parse_config(inputs, Surroundings(policy)))
    with pytest.raises(ForbiddenHostError) as caught:
        POSTGRES.validate(POSTGRES.parse_config(table.inputs(), Surroundings(policy)))
    assert caught.value.attr == "host"


def test_only_this_process_may_use_its_end(table: Source, sshd: Sshd) -> None:
    config = table.config(**sshd.inputs())
    ask = (
        "import socket, sys; line = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5); "
        "line.sendall((8).to_bytes(4, 'big') + (80877103).to_bytes(4, 'big')); print(line.recv(1))"
    )
    with reach(config.bastion, OPEN, config.host, config.port) as endpoint:
        (address,) = endpoint.addresses
        with socket.create_connection((address, endpoint.port), 5) as line:
            line.sendall((8).to_bytes(4) + (80877103).to_bytes(4))
            assert line.recv(1) == b"N"
        other = subprocess.run([sys.executable, "-c", ask, str(endpoint.port)], capture_output=True, check=False)
    assert other.stdout in (b"", b"b''\n")


def test_a_database_that_keeps_silent_behind_it_keeps_nobody(table: Source, sshd: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = table.config(**sshd.inputs(port=silent.getsockname()[1]))
        begun = time.monotonic()
        with pytest.raises(SourceError), patience(2):
            POSTGRES.validate(config)
        assert time.monotonic() - begun < 4


def test_values_are_the_same_to_the_bit(source18: Source, sshd: Sshd) -> None:
    source18.execute(
        "CREATE TABLE v (id int, b bytea, f float8, j jsonb, d timestamptz, big text);"
        "INSERT INTO v SELECT n, decode(md5(n::text), 'hex'), 'NaN', '{\"a\": [1, null]}', "
        "'2026-01-01 00:00:00.000001+00', repeat(chr(1 + n % 1000), 50000) FROM generate_series(1, 200) n"
    )
    plain = source18.read("v").table.sort_by("id")
    through = source18.read("v", config=source18.config(**sshd.inputs())).table.sort_by("id")
    assert [repr(row) for row in through.to_pylist()] == [repr(row) for row in plain.to_pylist()]


def test_a_bastion_that_comes_back(own_sshd: Sshd, table: Source) -> None:
    own_sshd.kill()
    with pytest.raises(UnreachableError) as caught:
        POSTGRES.validate(table.config(**own_sshd.inputs()))
    assert (caught.value.retryable, caught.value.attr) == (True, "ssh_host")
    own_sshd.restart()
    POSTGRES.validate(table.config(**own_sshd.inputs()))
