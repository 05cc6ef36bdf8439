"""Slot and publication: made, made twice, made after a crash, changed, and dropped without a trace."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import pq

from connectors.capture import CaptureSetup, Capturing
from connectors.errors import AccessError, BusyError, ConfigurationError, LogLostError, SourceError
from connectors.postgres.replication import control, provision, publications, slots
from connectors.registry import connector
from tests.connectors.capture_control import PASSWORD, Captured, followed
from tests.connectors.source import Source

TABLES = """
CREATE TABLE t (id int PRIMARY KEY, a text);
CREATE TABLE u (id int PRIMARY KEY);
CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE leaf PARTITION OF root DEFAULT;
"""


@pytest.fixture
def capture(source: Source) -> Captured:
    source.execute(TABLES)
    return Captured(source)


@pytest.fixture
def role(source: Source) -> Iterator[str]:
    """Has all that managed capture needs but the tables."""
    name = f"role_{source.database}"
    source.execute(f"""
        CREATE ROLE {name} LOGIN REPLICATION PASSWORD '{PASSWORD}';
        GRANT CREATE ON DATABASE {source.database} TO {name};
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}""")
    yield name
    source.execute(f"REASSIGN OWNED BY {name} TO postgres; DROP OWNED BY {name}; DROP ROLE {name}")


def ended(call: Callable[[], object]) -> SourceError:
    with pytest.raises(SourceError) as caught:
        call()
    assert caught.value.message.endswith((".", ";")), caught.value.message
    return caught.value


def drain(reader: pq.PGconn) -> None:
    while True:
        reader.consume_input()


def test_the_connector_captures() -> None:
    assert isinstance(connector("Postgres"), Capturing)


def test_set_up_use_and_tear_down(capture: Captured) -> None:
    position = capture.set_up("t", "root", "nowhere")
    assert position > 0
    (options,) = capture.source.rows(
        "SELECT pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot, puballtables FROM pg_publication"
    )
    assert options == (True, True, True, True, True, False)
    (slot,) = capture.source.rows(f"""
        SELECT plugin, database = current_database(), temporary, two_phase, active, (confirmed_flush_lsn - '0/0')::int8
        FROM pg_replication_slots WHERE slot_name = '{capture.setup.slot}'""")
    assert slot == ("pgoutput", True, False, False, False, position)
    assert capture.status().published_tables == ("root", "t")

    capture.tear_down()
    assert (capture.slots(), capture.publications()) == (0, 0)
    capture.tear_down()


def test_generated_columns_are_published_where_they_can_be(source18: Source) -> None:
    capture = Captured(source18)
    capture.set_up()
    assert capture.value("SELECT pubgencols::text FROM pg_publication") == "s"


def test_set_up_without_tables_and_twice(capture: Captured) -> None:
    first = capture.set_up()
    assert capture.status().published_tables == ()
    assert capture.set_up("t") == first
    assert capture.status().published_tables == ("t",)


def test_set_up_by_several_at_once(capture: Captured) -> None:
    with ThreadPoolExecutor(4) as pool:
        positions = {each.result() for each in [pool.submit(capture.set_up, "t", "u") for _ in range(4)]}
    assert len(positions) == 1
    assert (capture.slots(), capture.publications()) == (1, 1)


@pytest.mark.parametrize("managed", [True, False])
def test_names_that_postgres_does_not_take(capture: Captured, managed: bool) -> None:
    for name in ("Upper", "a-b", "", "x" * 64, "ünï", "a b", "'; DROP TABLE t"):
        capture.setup = CaptureSetup(name, "p", managed)
        refused = ended(capture.set_up)
        assert isinstance(refused, ConfigurationError)
        if managed:
            assert refused.attr == "cdc_slot_name"
            assert capture.codes() == ["slot_name"]
    assert capture.value("SELECT count(*) FROM pg_publication") == 0


def test_any_name_of_a_publication(capture: Captured) -> None:
    for name in ("Mixed Case", 'quo"te', "'; DROP TABLE t; --", "ünï🐘", "%s", "back\\slash", "x" * 63):
        capture.setup = CaptureSetup(capture.setup.slot, name)
        capture.set_up("t")
        assert capture.status().published_tables == ("t",)
        assert capture.shapes("t").keys() == {"t"}
        capture.tear_down()
        assert not capture.status().publication_exists
    capture.setup = CaptureSetup(capture.setup.slot, "ü" * 32)
    assert ended(capture.set_up).attr == "cdc_publication_name"


def test_a_crash_between_publication_and_slot(capture: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(provision, "_take_slot", lambda *_, **__: pytest.fail("killed"))
        patch.setattr(provision, "_drop", lambda *_: None)
        with pytest.raises(pytest.fail.Exception):
            capture.set_up("t")
    assert (capture.slots(), capture.publications()) == (0, 1)
    capture.set_up("t", "u")
    assert capture.status().published_tables == ("t", "u")


def test_a_transaction_that_does_not_end_keeps_the_slot_from_being_made(
    capture: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "STATEMENT_PATIENCE_SECONDS", 1)
    with capture.session() as writer:
        writer.execute("INSERT INTO t VALUES (1)")
        busy = ended(lambda: capture.set_up("t"))
        assert isinstance(busy, BusyError)
        assert "did not end in time" in busy.message
        assert (capture.slots(), capture.publications()) == (0, 0)
    capture.set_up("t")


def test_a_publication_that_somebody_else_made(capture: Captured) -> None:
    capture.source.execute(f"CREATE PUBLICATION {capture.setup.publication} FOR TABLE u")
    for call in (lambda: capture.set_up("t"), lambda: capture.publish("t")):
        refused = ended(call)
        assert (type(refused), refused.attr) == (ConfigurationError, "cdc_publication_name")
    assert capture.codes() == ["publication_taken"]
    capture.tear_down()
    assert capture.status().published_tables == ("u",)
    assert capture.slots() == 0


def test_slots_that_are_not_ours_to_use(capture: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    slot, elsewhere = capture.setup.slot, Captured(Source(capture.source.server, "postgres"))

    def refused(word: str) -> None:
        error = ended(lambda: capture.set_up("t"))
        assert (type(error), error.attr) == (ConfigurationError, "cdc_slot_name")
        assert word in error.message
        assert capture.codes() == ["slot_taken"]
        assert (capture.slots(), capture.publications()) == (1, 0)

    capture.source.execute(f"SELECT pg_create_physical_replication_slot('{slot}')")
    refused("physical")
    capture.tear_down()
    assert capture.slots() == 1
    capture.source.execute(f"SELECT pg_drop_replication_slot('{slot}')")

    elsewhere.source.execute(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
    refused("database postgres")
    capture.tear_down()
    assert (capture.slots(), capture.status().slot_exists) == (1, False)
    elsewhere.source.execute(f"SELECT pg_drop_replication_slot('{slot}')")

    capture.source.execute(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
    monkeypatch.setattr(slots, "OUR_PREFIX", "another_")
    refused("not made by Syncline")
    assert f"pg_drop_replication_slot('{slot}')" in ended(capture.tear_down).message
    assert capture.slots() == 1


def test_a_slot_that_is_being_read(capture: Captured) -> None:
    capture.set_up("t")
    with capture.reader():
        error = ended(lambda: capture.set_up("t"))
        assert (type(error), error.attr) == (ConfigurationError, "cdc_slot_name")
        assert "another session" in error.message


def test_a_slot_without_its_publication_is_made_anew(capture: Captured) -> None:
    """What was written while there was no publication cannot be decoded by an older slot."""
    first = capture.set_up("t")
    capture.source.execute(f"DROP PUBLICATION {capture.setup.publication}; INSERT INTO t VALUES (1)")
    assert capture.set_up("t") > first
    assert capture.slots() == 1


def test_tear_down_ends_who_reads(capture: Captured) -> None:
    capture.set_up("t")
    with capture.reader() as reader:
        assert capture.status().slot_active
        capture.tear_down()
        with pytest.raises(psycopg.OperationalError):
            drain(reader)
    assert (capture.slots(), capture.publications()) == (0, 0)


def test_tear_down_while_set_up_waits(capture: Captured) -> None:
    with ThreadPoolExecutor(1) as pool, capture.session() as writer:
        writer.execute("INSERT INTO t VALUES (1)")
        setting_up = pool.submit(capture.set_up, "t")
        while not capture.status().slot_active:
            assert not setting_up.done()
        capture.tear_down()
        assert isinstance(setting_up.exception(), SourceError)
    assert (capture.slots(), capture.publications()) == (0, 0)


def test_tear_down_drops_the_slot_though_it_may_not_drop_the_publication(capture: Captured, role: str) -> None:
    capture.set_up("t")
    capture.become(role)
    assert isinstance(ended(capture.tear_down), AccessError)
    assert (capture.slots(), capture.publications()) == (0, 1)


def test_publishing_changes_what_differs(capture: Captured) -> None:
    capture.set_up("t")
    for tables in ((), ("t", "u"), ("u", "root"), ("u", "root"), ("nowhere",), ("t", "root", "leaf")):
        capture.publish(*tables)
        assert capture.status().published_tables == tuple(sorted(set(tables) - {"nowhere", "leaf"}))


def test_publishing_does_not_wait_for_writers_nor_make_them_wait(capture: Captured) -> None:
    capture.set_up()
    with capture.session() as writer, capture.session() as other:
        writer.execute("INSERT INTO t VALUES (1)")
        capture.publish("t")
        other.execute("INSERT INTO t VALUES (2)")
    assert capture.status().published_tables == ("t",)


def test_servers_on_which_a_table_joins_while_nobody_writes_to_it(
    capture: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {130022: True, 140017: True, 140018: False, 160008: True, 160009: False, 170005: False, 180000: False}
    assert {version: publications.needs_quiet(version) for version in versions} == versions

    monkeypatch.setattr(publications, "needs_quiet", lambda _: True)
    capture.set_up()
    with capture.session() as writer:
        writer.execute("INSERT INTO t VALUES (1); INSERT INTO leaf VALUES (1)")
        refused = capture.publish("t", "u", "root")
        assert {name: type(error) for name, error in refused.items()} == {"t": BusyError, "root": BusyError}
        assert capture.status().published_tables == ("u",)
    assert capture.publish("t", "u", "root") == {}


def test_publishing_gives_up_on_a_lock(capture: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """And who writes is not kept waiting meanwhile by us, who wait in the queue."""
    monkeypatch.setattr(control, "LOCK_PATIENCE_SECONDS", 2)
    capture.set_up("u")
    with capture.session() as holder, capture.session() as writer, ThreadPoolExecutor(1) as pool:
        holder.execute("LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE")
        publishing = pool.submit(capture.publish, "t", "root", "leaf")
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"
        while not capture.value(waiting):
            assert not publishing.done()
        writer.execute("SET lock_timeout = '500ms'")
        writer.execute("INSERT INTO t VALUES (1)")
        refused = publishing.result()
        assert {name: type(error) for name, error in refused.items()} == {"t": BusyError}
    assert capture.status().published_tables == ("root",), "what is not locked came and went"
    assert capture.publish("t") == {}


def test_a_publication_that_somebody_dropped(capture: Captured) -> None:
    capture.set_up("t")
    capture.source.execute(f"DROP PUBLICATION {capture.setup.publication}")
    assert isinstance(ended(lambda: capture.publish("t")), LogLostError)


def test_publishing_from_several_sides_at_once(capture: Captured) -> None:
    capture.set_up()
    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(capture.publish, "t", "u", "root") for _ in range(8)]:
            each.result()
    assert capture.status().published_tables == ("root", "t", "u")


def test_tables_of_another_owner(capture: Captured, role: str) -> None:
    capture.source.execute(f"ALTER TABLE u OWNER TO {role}")
    capture.become(role)
    capture.set_up("u", "t")
    refused = capture.publish("t", "root", "u")
    assert {name: type(error) for name, error in refused.items()} == {"t": AccessError, "root": AccessError}
    assert f'GRANT "postgres" TO "{role}";' in refused["t"].message
    assert capture.status().published_tables == ("u",), "one table keeps no other one out"
    capture.source.execute(f"ALTER TABLE t OWNER TO {role}")
    assert capture.publish("t", "root", "u").keys() == {"root"}
    assert capture.status().published_tables == ("t", "u")


def test_a_set_up_that_is_refused_leaves_nothing(capture: Captured, role: str) -> None:
    capture.become(role)
    capture.source.execute(f"REVOKE CREATE ON DATABASE {capture.source.database} FROM {role}")
    assert "GRANT CREATE ON DATABASE" in ended(capture.set_up).message
    capture.source.execute(f"""
        GRANT CREATE ON DATABASE {capture.source.database} TO {role}; ALTER ROLE {role} NOREPLICATION""")
    refused = ended(capture.set_up)
    assert isinstance(refused, AccessError)
    assert "REPLICATION;" in refused.message
    assert (capture.slots(), capture.publications()) == (0, 0)


def test_whatever_the_defaults_of_the_database(capture: Captured) -> None:
    for setting in ("default_transaction_isolation = 'repeatable read'", "default_transaction_read_only = on"):
        capture.source.execute(f"ALTER DATABASE {capture.source.database} SET {setting}")
    capture.set_up("t")
    capture.publish("u")
    assert capture.status().published_tables == ("u",)
    capture.tear_down()


def test_a_table_whose_updates_would_fail_is_not_published(capture: Captured) -> None:
    capture.source.execute("CREATE TABLE bare (id int); INSERT INTO bare VALUES (1)")
    capture.set_up("t")
    refused = capture.publish("t", "u", "bare")
    assert {name: type(error) for name, error in refused.items()} == {"bare": ConfigurationError}
    assert capture.status().published_tables == ("t", "u")
    capture.source.execute("UPDATE bare SET id = 2")


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE child () INHERITS (t)", "CREATE UNLOGGED TABLE new PARTITION OF root FOR VALUES FROM (0) TO (9)"],
)
def test_a_table_of_which_the_log_has_not_all_any_more(capture: Captured, statement: str) -> None:
    capture.set_up("t", "root")
    capture.source.execute(statement)
    refused = capture.publish("t", "root")
    assert len(refused) == 1
    assert set(capture.status().published_tables) == {"t", "root"} - refused.keys()


def test_a_published_table_that_loses_its_key_is_let_go(capture: Captured) -> None:
    """Its owner's UPDATEs fail for as long as we publish it."""
    capture.set_up("t", "u")
    capture.source.execute("INSERT INTO t VALUES (1, 'a'); ALTER TABLE t DROP CONSTRAINT t_pkey")
    with pytest.raises(Exception, match="replica identity"):
        capture.source.execute("UPDATE t SET a = 'b'")
    assert capture.publish("t", "u").keys() == {"t"}
    capture.source.execute("UPDATE t SET a = 'b'")
    assert capture.status().published_tables == ("u",)


def test_what_others_keep_is_checked_and_never_touched(capture: Captured) -> None:
    capture.setup = CaptureSetup(capture.setup.slot, capture.setup.publication, managed=False)
    assert "no publication" in ended(capture.set_up).message
    capture.source.execute(f"CREATE PUBLICATION {capture.setup.publication} FOR TABLE t")
    assert "no slot" in ended(capture.set_up).message
    capture.source.execute(f"SELECT pg_create_logical_replication_slot('{capture.setup.slot}', 'pgoutput')")

    assert capture.set_up("t") == capture.status().confirmed
    capture.publish("u")
    capture.tear_down()
    assert (capture.slots(), capture.publications()) == (1, 1)
    assert capture.status().published_tables == ("t",)
    assert capture.codes(followed("t"), existing=True) == []


def test_another_set_up_waits_for_this_one(capture: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "LOCK_PATIENCE_SECONDS", 1)
    entered, go_on = threading.Event(), threading.Event()
    make_slot = provision.make_slot

    def make_slowly(*arguments: object) -> int:
        entered.set()
        assert go_on.wait(30)
        return make_slot(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(provision, "make_slot", make_slowly)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(capture.set_up, "t")
        assert entered.wait(30)
        assert isinstance(ended(capture.set_up), BusyError)
        go_on.set()
        assert first.result() > 0
    assert (capture.slots(), capture.publications()) == (1, 1)
