"""Where the log ends, who has not ended, and how slot and publication are doing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from psycopg import pq

from connectors.errors import ConfigurationError, SchemaChangedError
from local.postgres import PostgresServer
from tests.connectors.capture_control import PASSWORD, POSTGRES, Captured
from tests.connectors.source import Source
from tests.kit.servers import run_postgres, run_standby

TABLES = """
CREATE TABLE t (id int PRIMARY KEY, a text);
CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE leaf PARTITION OF root DEFAULT PARTITION BY RANGE (id);
CREATE TABLE leaf1 PARTITION OF leaf FOR VALUES FROM (0) TO (10);
"""


@pytest.fixture
def capture(source: Source) -> Captured:
    source.execute(TABLES)
    return Captured(source)


@pytest.fixture
def prepared(source: Source) -> Iterator[Captured]:
    """On a server that has two-phase commit, and may be restarted."""
    with run_postgres(source.server.version, wal_level="logical", max_prepared_transactions="5") as server:
        own = Source(server, server.create_database())
        own.execute(TABLES)
        yield Captured(own)


def writers(capture: Captured, table: str = "t") -> frozenset[str]:
    return POSTGRES.writers(capture.config, table)


def test_those_that_have_written_and_not_ended(capture: Captured) -> None:
    capture.source.execute("INSERT INTO t VALUES (0)")
    assert writers(capture) == frozenset()
    with capture.session() as one, capture.session() as two, capture.session() as reader, capture.session() as other:
        one.execute("INSERT INTO t VALUES (1)")
        two.execute("DELETE FROM t")
        reader.execute("SELECT txid_current(), count(*) FROM t")
        reader.execute("SELECT FROM t WHERE id = 5 FOR UPDATE")
        other.execute("INSERT INTO root VALUES (1)")
        found = writers(capture)
        assert found == {str(session.execute("SELECT txid_current()").fetchone()[0]) for session in (one, two)}  # type: ignore[index]
        one.commit()
        assert writers(capture) < found
        two.rollback()
        assert writers(capture) == frozenset()


def test_one_with_a_lock_and_nothing_written_is_none(capture: Captured) -> None:
    with capture.session() as session:
        session.execute("UPDATE t SET a = 'b'")
        assert writers(capture) == frozenset()
        session.execute("INSERT INTO t VALUES (1)")
        assert len(writers(capture)) == 1


def test_savepoints_are_of_the_whole(capture: Captured) -> None:
    with capture.session() as session:
        session.execute("SAVEPOINT a; INSERT INTO t VALUES (1); SAVEPOINT b; INSERT INTO t VALUES (2)")
        first = writers(capture)
        assert len(first) == 1
        session.execute("RELEASE b; ROLLBACK TO a; SAVEPOINT c; INSERT INTO t VALUES (3)")
        assert writers(capture) == first


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE t",
        "ALTER TABLE t ALTER a TYPE varchar",
        "MERGE INTO t USING t AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (1, 'a')",
    ],
)
def test_whatever_writes(capture: Captured, statement: str) -> None:
    with capture.session() as session:
        session.execute("SELECT txid_current()")
        session.execute(statement.encode())
        assert len(writers(capture)) == 1


@pytest.mark.parametrize("into", ["root", "leaf", "leaf1"])
def test_writers_of_partitions(capture: Captured, into: str) -> None:
    with capture.session() as session:
        session.execute(f"INSERT INTO {into} VALUES (1)".encode())
        assert len(writers(capture, "root")) == 1


def test_more_locks_than_a_session_keeps_by_itself(capture: Captured) -> None:
    """Sixteen lie with the session, the others in the table of all."""
    capture.source.execute(" ".join(f"CREATE TABLE n{number} (id int);" for number in range(1, 41)))
    with capture.session() as session:
        for number in range(1, 41):
            session.execute(f"INSERT INTO n{number} VALUES (1)".encode())
        assert all(len(writers(capture, f"n{number}")) == 1 for number in range(1, 41))


def test_the_same_table_in_another_database(capture: Captured) -> None:
    name = capture.source.server.create_database(template=capture.source.database)
    other = Captured(Source(capture.source.server, name))
    with other.session() as session:
        session.execute("INSERT INTO t VALUES (1)")
        assert (len(writers(other)), len(writers(capture))) == (1, 0)
    capture.source.server.drop_database(name)


def test_a_prepared_transaction_keeps_its_identity(prepared: Captured) -> None:
    with prepared.session() as session:
        session.execute("INSERT INTO t VALUES (1)")
        found = writers(prepared)
        session.execute("PREPARE TRANSACTION 'two'")
        assert writers(prepared) == found
        session.commit()
    prepared.source.server.restart()
    assert writers(prepared) == found
    prepared.source.execute("COMMIT PREPARED 'two'")
    assert writers(prepared) == frozenset()


def test_a_table_that_is_gone(capture: Captured) -> None:
    with pytest.raises(SchemaChangedError):
        writers(capture, "nowhere")


def position_of(stream: pq.PGconn) -> int:
    """Where the stream is, by its next message of any kind."""
    while True:
        length, data = stream.get_copy_data(0)
        assert length > 0
        kind = bytes(data[:1])
        return int.from_bytes(data[1:9] if kind == b"k" else data[9:17], "big")


def test_the_log_of_an_idle_server_passes_its_end(capture: Captured) -> None:
    capture.set_up("t")
    capture.source.execute("INSERT INTO t VALUES (1)")
    committed = capture.value("SELECT (pg_current_wal_lsn() - '0/0')::int8")
    end = POSTGRES.log_end(capture.config)
    assert end > committed
    with capture.reader() as stream:
        while position_of(stream) < end:
            pass


def test_each_end_is_behind_what_was_committed(capture: Captured) -> None:
    ends = []
    for number in range(5):
        with capture.session() as session:
            session.execute("SET synchronous_commit = off")
            session.execute("INSERT INTO t VALUES (%s)", [number])
            session.commit()
            before = capture.value("SELECT (pg_current_wal_insert_lsn() - '0/0')::int8")
            ends.append(POSTGRES.log_end(capture.config))
            assert ends[-1] > before
            assert capture.value("SELECT (pg_current_wal_flush_lsn() - '0/0')::int8") >= ends[-1]
    assert ends == sorted(set(ends))


def test_a_role_with_hardly_a_right_may_ask(capture: Captured) -> None:
    role = f"role_{capture.source.database}"
    capture.source.execute(f"CREATE ROLE {role} LOGIN REPLICATION PASSWORD '{PASSWORD}'; GRANT SELECT ON t TO {role}")
    capture.source.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    capture.set_up("t")
    superuser = capture.status()
    capture.become(role)
    try:
        with capture.session() as session:
            session.execute("INSERT INTO t VALUES (1)")
            assert len(writers(capture)) == 1
        assert capture.status().cluster == superuser.cluster
        assert capture.status().published_tables == ("t",)
        first = POSTGRES.log_end(capture.config)
        functions = ("boolean, text, text", "boolean, text, bytea")
        if capture.source.server.version >= 17:
            functions = tuple(f"{each}, boolean" for each in functions)  # type: ignore[assignment]
        for each in functions:
            capture.source.execute(f"REVOKE EXECUTE ON FUNCTION pg_logical_emit_message({each}) FROM public")
        second = POSTGRES.log_end(capture.config)
        assert second > first
        with capture.reader() as stream:
            while position_of(stream) < second:
                pass
        capture.source.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public")
        assert (capture.status().cluster, capture.status().slot_exists) == (None, True)
    finally:
        capture.source.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_status_before_during_and_after(capture: Captured) -> None:
    nothing = capture.status()
    assert (nothing.slot_exists, nothing.publication_exists, nothing.slot_active) == (False, False, False)
    assert (nothing.lag_bytes, nothing.retained_bytes, nothing.confirmed, nothing.wal_status) == (None,) * 4
    assert nothing.published_tables == ()

    position = capture.set_up("t", "root")
    capture.source.execute("INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, 1000) AS n")
    status = capture.status()
    assert (status.slot_exists, status.publication_exists, status.slot_active) == (True, True, False)
    assert (status.wal_status, status.limit_bytes, status.confirmed) == ("reserved", None, position)
    assert status.log_end is not None
    assert status.lag_bytes == status.log_end - position > 100_000
    assert status.retained_bytes is not None
    assert status.retained_bytes >= status.lag_bytes
    assert status.published_tables == ("root", "t")
    assert status.cluster is not None
    assert status.cluster.endswith("/1")
    assert status.observed_at is not None
    assert datetime.now(UTC) - status.observed_at < timedelta(minutes=1)

    with capture.reader():
        assert capture.status().slot_active
    capture.tear_down()
    assert capture.status().slot_exists is False


def test_tables_by_the_names_of_discovery(capture: Captured) -> None:
    capture.source.execute('CREATE SCHEMA "a.b"; CREATE TABLE "a.b".x (id int PRIMARY KEY)')
    capture.config = capture.source.config(schema=None)
    capture.set_up('"a.b".x', "public.t", "public.root")
    assert capture.status().published_tables == ('"a.b".x', "public.root", "public.t")
    capture.config = capture.source.config()
    assert capture.status().published_tables == ("root", "t")


@pytest.fixture(params=[16, 18])
def own(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    with run_postgres(request.param, wal_level="logical", max_slot_wal_keep_size="1MB", min_wal_size="32MB") as server:
        yield server


def test_a_slot_that_the_source_gives_up(own: PostgresServer) -> None:
    capture = Captured(Source(own, own.create_database()))
    capture.source.execute(TABLES)
    position = capture.set_up("t")
    assert capture.status().limit_bytes == 1024 * 1024
    for _ in range(4):
        capture.source.execute("SELECT pg_switch_wal()")
        capture.source.execute("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING")
        capture.source.execute("CHECKPOINT")
    assert capture.status().wal_status == "lost"

    assert capture.codes(existing=True) == []
    again = capture.set_up("t")
    assert again > position
    assert capture.status().wal_status == "reserved"


def test_a_standby_and_what_becomes_of_it(own: PostgresServer) -> None:
    primary = Captured(Source(own, own.create_database()))
    primary.source.execute(TABLES)
    primary.set_up("t")
    with run_standby(own, wal_level="logical") as replica:
        # The options of its primary are not among the files that are copied.
        standby = Captured(Source(replica, primary.source.database))
        standby.setup = primary.setup
        end = POSTGRES.log_end(primary.config)
        while POSTGRES.log_end(standby.config) < end:
            pass
        assert (standby.status().slot_exists, standby.status().publication_exists) == (False, True)
        assert standby.status().cluster == primary.status().cluster
        assert standby.codes()[0] == "standby"
        for call in (lambda: standby.set_up("t"), lambda: standby.publish("t"), lambda: writers(standby)):
            with pytest.raises(ConfigurationError, match="replica"):
                call()

        own.kill()
        replica.execute("SELECT pg_promote()")
        promoted = standby.status().cluster
        assert promoted is not None
        assert promoted.endswith("/2")
        assert standby.set_up("t") > 0
