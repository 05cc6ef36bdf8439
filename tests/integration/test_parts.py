"""Large tables, read in parts by a whole platform: each row once, of one state, whatever happens meanwhile."""

import asyncio
import contextlib
import re
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from temporalio.client import Client

from local.postgres import PostgresServer
from tests.integration.conftest import SourceDatabase
from tests.kit.compare import lake_frame
from tests.kit.platform import Platform, eventually, named, run_platform
from tests.kit.servers import MetadataTemplates, RunningStore, RunningTemporal, run_postgres, run_standby

CURSOR = {"incremental_field": "updated_at", "incremental_field_type": "datetime"}
WHOLE: dict[str, Any] = {"sync_type": "full_refresh"}


@pytest.fixture(scope="module")
def divider(
    temporal: RunningTemporal,
    object_store: RunningStore,
    metadata_templates: MetadataTemplates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Platform]:
    """A platform to which one megabyte is large."""
    folder = tmp_path_factory.mktemp("divider")
    url = metadata_templates.sqlite_copy(folder / "metadata.db")
    with run_platform(folder, url, object_store.new_url(), temporal, object_store, PARTITION_MB="1") as running:
        yield running


TABLES = {
    "by_int": ("id int PRIMARY KEY, v text, n numeric", "n, repeat(md5(n::text), 4), n"),
    "by_uuid": ("id uuid PRIMARY KEY, v text", "md5(n::text)::uuid, repeat(md5(n::text), 4)"),
    "by_text": ("id text PRIMARY KEY, v text", "'k' || n % 7 || '-' || n, repeat(md5(n::text), 4)"),
    "by_two": ("a int, b int, v text, PRIMARY KEY (b, a)", "n / 100, n % 100, repeat(md5(n::text), 4)"),
    "by_none": ("a int, v text", "n / 3, repeat(md5(n::text), 4)"),
}


def fill(database: SourceDatabase) -> None:
    for name, (columns, values) in TABLES.items():
        database.execute(
            # Never analyzed: nothing but the size of its files tells that it is large.
            f"CREATE TABLE {name} ({columns}) WITH (autovacuum_enabled = off)",
            f"INSERT INTO {name} SELECT {values} FROM generate_series(1, 15000) n",
            f"DELETE FROM {name} WHERE ctid >= '(20,0)' AND ctid < '(60,0)'",
        )


def messages(platform: Platform, schema: dict[str, Any]) -> list[str]:
    found = platform.call("GET", f"/external_data_schemas/{schema['id']}/logs/?limit=200")
    return [line["message"] for line in found["results"]]


def test_every_kind_of_key(divider: Platform, database: SourceDatabase) -> None:
    fill(database)
    source = divider.create_source(database.inputs, [{"name": name, "should_sync": True, **WHOLE} for name in TABLES])
    for name in TABLES:
        schema = named(source, name)
        (job,) = divider.wait_for_jobs(source, schema)
        assert job["status"] == "Completed", job["latest_error"]
        assert any("parts, all of one snapshot" in message for message in messages(divider, schema))
        database.assert_in_lake(divider, schema)


SLOW_ROWS = 120_000


@pytest.fixture
def own_divider(
    temporal: RunningTemporal,
    object_store: RunningStore,
    metadata_templates: MetadataTemplates,
    lake_url: str,
    tmp_path: Path,
) -> Iterator[Platform]:
    """Of this test alone, which may kill its processes."""
    url = metadata_templates.sqlite_copy(tmp_path / "metadata.db")
    with run_platform(tmp_path, url, lake_url, temporal, object_store, PARTITION_MB="1") as running:
        yield running


def fill_slow(database: SourceDatabase, width: int = 40) -> None:
    """PostgreSQL is slow at writing arrays as text."""
    database.execute(
        "CREATE TABLE slow (id int PRIMARY KEY, v text, a int[])",
        f"INSERT INTO slow SELECT n, 'v' || n, array_fill(n, ARRAY[{width}]) FROM generate_series(1, {SLOW_ROWS}) n",
    )


def begin_slow(platform: Platform, database: SourceDatabase) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run that is in the middle of the table's parts."""
    source = platform.create_source(database.inputs, [{"name": "slow", "should_sync": True, **WHOLE}])
    schema = named(source, "slow")
    eventually(lambda: (job := newest(platform, source, schema)) and job["rows_synced"] > SLOW_ROWS // 6, "some parts")
    assert newest(platform, source, schema)["status"] == "Running"
    return source, schema


def newest(platform: Platform, source: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    jobs = platform.jobs(source, schema)
    return jobs[0] if jobs else {}


def assert_whole(platform: Platform, database: SourceDatabase, source: dict[str, Any], schema: dict[str, Any]) -> None:
    (job,) = platform.wait_for_jobs(source, schema)
    assert job["status"] == "Completed", job["latest_error"]
    database.assert_in_lake(platform, schema)


def parts_of(platform: Platform, schema: dict[str, Any]) -> int:
    (said,) = [found for text in messages(platform, schema) if (found := re.search(r"in (\d+) parts", text))]
    return int(said[1])


def reads(temporal: RunningTemporal, job: dict[str, Any]) -> Counter[str]:
    """How many parts each worker finished, by its process id."""

    async def look() -> Counter[str]:
        client = await Client.connect(temporal.address, namespace=temporal.namespace)
        handle = client.get_workflow_handle(job["workflow_id"], run_id=job["workflow_run_id"])
        history = await handle.fetch_history()
        names = {
            event.event_id: event.activity_task_scheduled_event_attributes.activity_type.name
            for event in history.events
            if event.HasField("activity_task_scheduled_event_attributes")
        }
        ended = [
            event.activity_task_completed_event_attributes
            for event in history.events
            if event.HasField("activity_task_completed_event_attributes")
        ]
        done = [each.identity for each in ended if names[each.scheduled_event_id] == "extract"]
        return Counter(identity.split("@")[0] for identity in done)

    return asyncio.run(look())


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.long)])
def test_workers_share_a_table_and_one_is_killed(
    own_divider: Platform, database: SourceDatabase, temporal: RunningTemporal, workers: int
) -> None:
    platform = own_divider
    others = [f"worker-{number}" for number in range(1, workers)]
    for name in others:
        platform.start_worker(name)
    fill_slow(database)
    source, schema = begin_slow(platform, database)
    pids = {str(platform.pid(name)) for name in others}
    platform.kill()
    assert_whole(platform, database, source, schema)
    counts = reads(temporal, newest(platform, source, schema))
    assert pids <= counts.keys()
    # The first to be done is the answer that the table is large. Under a new snapshot parts are looked at once more.
    parts = parts_of(platform, schema)
    assert 1 + parts <= counts.total() <= 1 + 2 * parts


@pytest.mark.long
def test_a_reader_killed_costs_one_part(
    own_divider: Platform, database: SourceDatabase, temporal: RunningTemporal
) -> None:
    platform = own_divider
    # A part of compressed arrays takes long enough to be met in its middle.
    fill_slow(database, width=600)
    source, schema = begin_slow(platform, database)

    eventually(lambda: busy_reader(platform, database), "a reader in the middle of a part").kill()
    assert_whole(platform, database, source, schema)
    counts = reads(temporal, newest(platform, source, schema))
    assert counts.total() == 1 + parts_of(platform, schema)
    assert any("ended" in text or "killed" in text for text in messages(platform, schema)), messages(platform, schema)


def busy_reader(platform: Platform, database: SourceDatabase) -> psutil.Process | None:
    """A process of the worker, stopped while the database answers it: what it reads has not reached its end."""
    for process in psutil.Process(platform.pid()).children(recursive=True):
        if not (ours := ports(process, database.server.port)):
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
            eventually(lambda each=process: each.status() == psutil.STATUS_STOPPED, "the process to stand still")
            if ours & answered(database):
                return process
            process.resume()
    return None


def answered(database: SourceDatabase) -> set[int]:
    """The clients' ends of the connections that the table is sent on at the moment."""
    query = "SELECT client_port FROM pg_stat_activity WHERE state = 'active' AND query ~ 'COPY.*slow'"
    with psycopg.connect(database.dsn) as connection:
        return {port for (port,) in connection.execute(query).fetchall()}


def ports(process: psutil.Process, server: int) -> set[int]:
    """Its ends of its connections to the server."""
    try:
        found = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return set()
    return {each.laddr.port for each in found if each.raddr and each.raddr.port == server}


@pytest.mark.long
def test_parts_that_did_not_change_outlive_the_snapshot(
    own_divider: Platform, database: SourceDatabase, temporal: RunningTemporal
) -> None:
    """The holder's session dies and rows change: what is read of the new snapshot is all of one state."""
    platform = own_divider
    fill_slow(database)
    source, schema = begin_slow(platform, database)
    database.execute(
        "UPDATE slow SET v = 'changed' WHERE id IN (7, 119999)",
        "DELETE FROM slow WHERE id = 9",
        "INSERT INTO slow VALUES (0, 'new', NULL)",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE 'syncline%-hold-%'",
    )
    assert_whole(platform, database, source, schema)
    assert newest(platform, source, schema)["rows_synced"] == SLOW_ROWS


def test_parts_are_of_one_state_while_rows_move(divider: Platform, database: SourceDatabase) -> None:
    """Every transaction moves an amount, and a row to another place: a mix of two states has another sum."""
    database.execute(
        "CREATE TABLE slow (id int PRIMARY KEY, amount bigint, a int[])",
        f"INSERT INTO slow SELECT n, 1000, array_fill(n, ARRAY[40]) FROM generate_series(1, {SLOW_ROWS}) n",
    )
    over = threading.Event()
    moves: list[int] = []
    last = SLOW_ROWS + 1

    def move() -> None:
        with database.server.connect(database.name) as connection:
            while not over.is_set():
                number = len(moves) * 7919
                few, many = number % SLOW_ROWS + 1, (number * 31 + 5) % SLOW_ROWS + 1
                with connection.transaction():
                    connection.execute("UPDATE slow SET amount = amount - 1 WHERE id = %s", [few])
                    connection.execute("UPDATE slow SET amount = amount + 1 WHERE id = %s", [many])
                    connection.execute("DELETE FROM slow WHERE id = %s", [last + len(moves)])
                    connection.execute("INSERT INTO slow VALUES (%s, 0, NULL)", [last + len(moves) + 1])
                moves.append(number)

    database.execute(f"INSERT INTO slow VALUES ({last}, 0, NULL)")
    mover = threading.Thread(target=move)
    mover.start()
    try:
        source = divider.create_source(database.inputs, [{"name": "slow", "should_sync": True, **WHOLE}])
        schema = named(source, "slow")
        before = len(moves)
        (job,) = divider.wait_for_jobs(source, schema)
        assert len(moves) - before > 100
    finally:
        over.set()
        mover.join()
    assert job["status"] == "Completed", job["latest_error"]
    assert parts_of(divider, schema) > 10
    frame = lake_frame(divider.schema(schema["id"])["table"]["url_pattern"], database.store)
    assert frame["amount"].sum() == 1000 * SLOW_ROWS
    assert frame["id"].n_unique() == frame.height == SLOW_ROWS + 1


@pytest.mark.long
def test_the_source_killed_between_parts(own_divider: Platform, database: SourceDatabase) -> None:
    platform = own_divider
    with run_postgres(18) as server:
        own = SourceDatabase(server, server.create_database(), database.store)
        fill_slow(own)
        source, schema = begin_slow(platform, own)
        server.kill()
        server.start()
        own.execute("UPDATE slow SET v = 'changed' WHERE id % 40000 = 0")
        assert_whole(platform, own, source, schema)


def test_a_first_load_in_parts_goes_on_from_its_cursor(divider: Platform, database: SourceDatabase) -> None:
    """Both modes that keep a cursor: the next run brings what came after the snapshot, and nothing twice."""
    tables = {"keyed": "incremental", "appended": "append"}
    for name in tables:
        database.execute(
            f"CREATE TABLE {name} (id int PRIMARY KEY, v text, updated_at timestamp)",
            f"INSERT INTO {name} SELECT n, repeat(md5(n::text), 4), timestamp '2026-01-01' + n / 5 * interval '1 min'"
            " FROM generate_series(1, 20000) n",
            f"UPDATE {name} SET updated_at = NULL WHERE id % 5000 = 0",
        )
    wanted = [{"name": name, "should_sync": True, "sync_type": mode, **CURSOR} for name, mode in tables.items()]
    source = divider.create_source(database.inputs, wanted)
    for name in tables:
        schema = named(source, name)
        (job,) = divider.wait_for_jobs(source, schema)
        assert job["status"] == "Completed", job["latest_error"]
        assert parts_of(divider, schema) > 1
        database.assert_in_lake(divider, schema)
        database.execute(
            f"INSERT INTO {name} SELECT 30000, 'tie', max(updated_at) FROM {name}",
            f"INSERT INTO {name} VALUES (30001, 'new', '2026-06-01')",
        )
        assert divider.sync(source, schema)["rows_synced"] == 2
        database.assert_in_lake(divider, schema)


def test_a_key_that_is_dropped_between_parts_is_missed(divider: Platform, database: SourceDatabase) -> None:
    """The parts of a first load are not compared with one another: nothing but the source's key keeps them apart."""
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text, updated_at timestamptz)",
        "INSERT INTO t SELECT n, repeat(md5(n::text), 8), now() FROM generate_series(1, 150000) n",
    )
    wanted = {"name": "t", "should_sync": True, "sync_type": "incremental", **CURSOR}
    source = divider.create_source(database.inputs, [wanted])
    schema = named(source, "t")
    eventually(lambda: any("it is read in" in message for message in messages(divider, schema)), "the division")
    database.execute("ALTER TABLE t DROP CONSTRAINT t_pkey", "INSERT INTO t SELECT * FROM t WHERE id <= 10")
    (job,) = divider.wait_for_jobs(source, schema)
    assert job["status"] == "Failed"
    assert "The primary key of t was id and is none now" in job["latest_error"]
    assert divider.schema(schema["id"])["table"] is None


@pytest.mark.long
def test_a_read_replica_whose_recovery_cancels_reads(own_divider: Platform, database: SourceDatabase) -> None:
    """With no delay for readers a vacuum at the primary ends them, and what they had in view: another is taken."""
    platform = own_divider
    with run_postgres(18) as primary, run_standby(primary, max_standby_streaming_delay="0") as standby:
        name = primary.create_database()
        at_primary = SourceDatabase(primary, name, database.store)
        replica = SourceDatabase(standby, name, database.store)
        fill_slow(at_primary)
        caught_up(primary, standby)
        source, schema = begin_slow(platform, replica)
        at_primary.execute("UPDATE slow SET v = 'changed' WHERE id % 1000 = 0", "VACUUM slow")
        caught_up(primary, standby)
        with standby.connect(name) as connection:
            conflicts = connection.execute(
                "SELECT confl_snapshot FROM pg_stat_database_conflicts WHERE datname = current_database()"
            ).fetchone()
        assert conflicts is not None
        assert conflicts[0] > 0
        assert_whole(platform, replica, source, schema)


def caught_up(primary: PostgresServer, standby: PostgresServer) -> None:
    with primary.connect() as writer, standby.connect() as reader:
        (written,) = writer.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone() or ()
        seen = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        eventually(lambda: reader.execute(seen, [written]).fetchone() == (True,), "the standby to catch up")
