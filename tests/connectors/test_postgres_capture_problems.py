"""Each thing that stands in the way, provoked on a real server; its fix, run as it is given, takes it away."""

import time
from collections.abc import Iterator

import pytest

from connectors.capture import CaptureSetup, FollowedTable
from connectors.postgres.replication import prerequisites, self_managed
from tests.connectors.capture_control import PASSWORD, POSTGRES, Captured, followed
from tests.connectors.source import Source
from tests.kit.servers import run_postgres

T = followed("t")


@pytest.fixture
def capture(source: Source) -> Captured:
    source.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")
    return Captured(source)


@pytest.fixture
def theirs(capture: Captured) -> Captured:
    """Slot and publication are their owner's, and well made."""
    capture.setup = CaptureSetup(capture.setup.slot, capture.setup.publication, managed=False)
    capture.source.execute(f"CREATE PUBLICATION {capture.setup.publication} FOR TABLE t")
    capture.source.execute(f"SELECT pg_create_logical_replication_slot('{capture.setup.slot}', 'pgoutput')")
    assert capture.codes(T) == []
    return capture


@pytest.fixture
def role(source: Source) -> Iterator[str]:
    name = f"role_{source.database}"
    source.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    yield name
    source.execute(f"REASSIGN OWNED BY {name} TO postgres; DROP OWNED BY {name}; DROP ROLE {name}")


def test_nothing_stands_in_the_way(capture: Captured) -> None:
    assert capture.problems() == []
    assert capture.problems(T) == []
    capture.set_up("t")
    assert capture.problems(T, existing=True) == []
    with capture.reader():
        assert capture.problems(T, existing=True) == []


def test_a_role_without_any_right(capture: Captured, role: str) -> None:
    capture.become(role)
    assert capture.codes(T) == ["no_replication", "no_create", "no_select", "not_owner"]
    assert capture.mend(T) == ["no_replication", "no_create", "no_select", "not_owner"]
    capture.set_up("t")
    capture.tear_down()


def test_a_role_that_is_to_read_what_its_owner_keeps(theirs: Captured, role: str) -> None:
    theirs.become(role)
    assert theirs.mend(T) == ["no_replication", "no_select"]
    assert theirs.set_up("t") == theirs.status().confirmed


def test_amazon_lends_the_right_by_a_role(capture: Captured, role: str) -> None:
    capture.become(role)
    capture.source.execute("CREATE ROLE rds_replication")
    try:
        problem = capture.problems()[0]
        assert problem.fix == f'GRANT rds_replication TO "{role}";'
        assert capture.mend() == ["no_replication", "no_create"]
    finally:
        capture.source.execute("DROP ROLE rds_replication")


@pytest.mark.parametrize("version", [16, 18])
def test_a_server_without_a_logical_log_and_without_room(version: int) -> None:
    with run_postgres(version, wal_level="replica", max_replication_slots="0", max_wal_senders="0") as server:
        capture = Captured(Source(server, server.create_database()))
        problems = {problem.code: problem for problem in capture.problems()}
        assert list(problems) == ["wal_level", "no_free_slot", "no_free_sender"]
        assert "is replica" in problems["wal_level"].message
        for word in ("rds.logical_replication", "cloudsql.logical_decoding", "Azure", "Supabase", "Neon"):
            assert word in problems["wal_level"].fix
        # What its command line says would be stronger than the settings.
        server.stop()
        server.options = {}
        server.start()
        for problem in problems.values():
            server.execute(problem.fix.split(" -- ")[0])
        server.restart()
        assert capture.problems() == []


def test_an_older_server(capture: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "MINIMUM_VERSION", 990000)
    assert capture.codes(T) == ["version"]


FOREIGN = "CREATE FOREIGN DATA WRAPPER f; CREATE SERVER s FOREIGN DATA WRAPPER f; "
UNFIT = {
    "CREATE VIEW x AS TABLE t": "not_a_table",
    "CREATE MATERIALIZED VIEW x AS TABLE t": "not_a_table",
    FOREIGN + "CREATE FOREIGN TABLE x (id int) SERVER s": "not_a_table",
    "CREATE TABLE r (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE x PARTITION OF r DEFAULT": "is_partition",
    "CREATE TABLE x (id int PRIMARY KEY); CREATE TABLE child () INHERITS (x)": "inherited_table",
    FOREIGN + "CREATE TABLE x (id int) PARTITION BY LIST (id); "
    "CREATE FOREIGN TABLE far PARTITION OF x DEFAULT SERVER s": "partition_not_logged",
    "SELECT": "missing_table",
}


@pytest.mark.parametrize("statements", UNFIT)
def test_what_no_statement_makes_fit(capture: Captured, statements: str) -> None:
    capture.source.execute(statements)
    (problem,) = capture.problems(T, followed("x"))
    assert problem.code == UNFIT[statements]
    assert "x" in problem.message


def test_a_table_of_no_possible_name(capture: Captured) -> None:
    capture.config = capture.source.config(schema=None)
    assert capture.codes(followed("public.t"), followed("no dot")) == ["missing_table"]


PARTITIONED = """
CREATE TABLE x (id int, b int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE x1 PARTITION OF x FOR VALUES FROM (0) TO (10);
CREATE TABLE x2 PARTITION OF x DEFAULT PARTITION BY RANGE (id); CREATE TABLE x21 PARTITION OF x2 DEFAULT;
"""
BY_INDEX = "ALTER TABLE x REPLICA IDENTITY USING INDEX i"
MENDED = {
    "unlogged_table": ["CREATE UNLOGGED TABLE x (id int PRIMARY KEY)"],
    "no_replica_identity": [
        "CREATE TABLE x (id int)",
        "CREATE TABLE x (id int NOT NULL UNIQUE)",
        "CREATE TABLE x (id int PRIMARY KEY DEFERRABLE)",
        "CREATE TABLE x (id int PRIMARY KEY); ALTER TABLE x REPLICA IDENTITY NOTHING",
        f"CREATE TABLE x (id int NOT NULL); CREATE UNIQUE INDEX i ON x (id); {BY_INDEX}; DROP INDEX i",
        PARTITIONED + "ALTER TABLE x21 REPLICA IDENTITY NOTHING",
        "CREATE TABLE x (id int) PARTITION BY RANGE (id); CREATE TABLE x1 PARTITION OF x DEFAULT; "
        "ALTER TABLE x1 REPLICA IDENTITY FULL",
    ],
    "key_not_in_identity": [
        "CREATE TABLE x (other int PRIMARY KEY, id int NOT NULL UNIQUE)",
        f"CREATE TABLE x (id int PRIMARY KEY, b int NOT NULL); CREATE UNIQUE INDEX i ON x (b); {BY_INDEX}",
        f"CREATE TABLE x (b int NOT NULL, id int); CREATE UNIQUE INDEX i ON x (b) INCLUDE (id); {BY_INDEX}",
        PARTITIONED + "ALTER TABLE x1 ALTER b SET NOT NULL, ADD UNIQUE (b), REPLICA IDENTITY USING INDEX x1_b_key",
    ],
    "partition_not_logged": [PARTITIONED + "ALTER TABLE x1 SET UNLOGGED; ALTER TABLE x21 SET UNLOGGED"],
}


@pytest.mark.parametrize(("code", "statements"), [(code, each) for code, all in MENDED.items() for each in all])
def test_tables_that_a_statement_makes_fit(capture: Captured, code: str, statements: str) -> None:
    capture.source.execute(statements)
    assert capture.mend(T, followed("x")) == [code]
    capture.set_up("t", "x")
    can_be_written(capture)


def can_be_written(capture: Captured) -> None:
    """By its owner, though it is published."""
    columns = capture.source.discover("x")["x"].columns
    values = ", ".join("1" for _ in columns)
    capture.source.execute(f"INSERT INTO x VALUES ({values}); UPDATE x SET id = 2; DELETE FROM x")


FIT = [
    "CREATE TABLE x (id int PRIMARY KEY, b int)",
    "CREATE TABLE x (id int, b int); ALTER TABLE x REPLICA IDENTITY FULL",
    "CREATE TABLE x (id int NOT NULL UNIQUE); ALTER TABLE x REPLICA IDENTITY USING INDEX x_id_key",
    "CREATE TABLE x (id int, b int, PRIMARY KEY (b, id))",
    PARTITIONED,
    PARTITIONED + "ALTER TABLE x1 REPLICA IDENTITY FULL; ALTER TABLE x REPLICA IDENTITY NOTHING",
]


@pytest.mark.parametrize("statements", FIT)
def test_tables_that_are_fit(capture: Captured, statements: str) -> None:
    capture.source.execute(statements)
    assert capture.problems(followed("x")) == []
    capture.set_up("x")
    can_be_written(capture)


def test_keys_that_are_not_there_or_not_logged(capture: Captured) -> None:
    capture.source.execute("""
        CREATE TABLE x (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
        ALTER TABLE x REPLICA IDENTITY FULL""")
    assert capture.codes(followed("x", "id", "gone")) == ["key_missing"]
    expected = [] if capture.source.server.version >= 18 else ["key_not_logged"]
    assert capture.codes(followed("x", "twice")) == expected


def test_a_partitioned_table_by_another_key_than_its_primary_one(capture: Captured) -> None:
    capture.source.execute(PARTITIONED + "ALTER TABLE x1 REPLICA IDENTITY FULL; ALTER TABLE x21 REPLICA IDENTITY FULL")
    (problem,) = capture.problems(followed("x", "b"))
    assert (problem.code, problem.fix) == ("key_not_in_identity", "Choose the primary key as its key: id.")


def test_row_security_that_hides_rows(capture: Captured, role: str) -> None:
    capture.become(role)
    capture.mend(T)
    capture.source.execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    assert capture.mend(T) == ["row_security"]


def test_a_role_that_may_read_some_columns(capture: Captured, role: str) -> None:
    capture.become(role)
    capture.mend()
    capture.source.execute(
        f"ALTER TABLE t OWNER TO {role}; REVOKE SELECT ON t FROM {role}; GRANT SELECT (a) ON t TO {role}"
    )
    assert capture.codes(T) == ["no_select"]
    capture.source.execute(f"GRANT SELECT (id) ON t TO {role}")
    assert capture.codes(T) == []


def test_a_table_that_is_published_needs_no_owner_any_more(capture: Captured, role: str) -> None:
    capture.set_up("t")
    capture.source.execute(f"""
        ALTER ROLE {role} REPLICATION; GRANT SELECT ON t TO {role};
        GRANT CREATE ON DATABASE {capture.source.database} TO {role}""")
    capture.become(role)
    assert capture.mend(T, existing=True) == ["publication_taken"]


def test_a_publication_that_its_owner_has_yet_to_make(capture: Captured) -> None:
    capture.source.execute("CREATE TABLE x (id int PRIMARY KEY) PARTITION BY LIST (id)")
    capture.setup = CaptureSetup(capture.setup.slot, capture.setup.publication, managed=False)
    tables = (T, followed("x"))
    assert capture.codes(*tables) == ["publication_missing", "slot_missing"]
    assert capture.mend(*tables) == ["publication_missing", "slot_missing"]
    assert capture.shapes("t", "x").keys() == {"t", "x"}


def test_a_publication_dropped_from_under_its_slot(theirs: Captured) -> None:
    before = theirs.status().confirmed
    theirs.source.execute(f"DROP PUBLICATION {theirs.setup.publication}")
    assert theirs.mend(T) == ["publication_missing"]
    after = theirs.status().confirmed
    assert before is not None
    assert after is not None
    assert after > before


def test_slots_of_another_kind(theirs: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = theirs.setup.slot
    with theirs.reader():
        assert theirs.codes(T) == ["slot_in_use"]
        assert theirs.codes(T, existing=True) == []
    with monkeypatch.context() as patch:
        # No other plugin comes with the servers of the tests.
        patch.setattr(self_managed, "PLUGIN", "another")
        assert theirs.codes(T) == ["slot_plugin"]
    theirs.source.execute(f"SELECT pg_drop_replication_slot('{slot}')")
    for kind, plugin in (("logical", ", 'pgoutput'"), ("physical", "")):
        theirs.source.server.execute(f"SELECT pg_create_{kind}_replication_slot('{slot}'{plugin})")
        assert theirs.codes(T) == ["slot_database"]
        theirs.source.server.execute(f"SELECT pg_drop_replication_slot('{slot}')")
    assert theirs.mend(T) == ["slot_missing"]


WRONG = {
    "ALTER PUBLICATION p SET (publish = 'insert, update, delete')": "publication_operations",
    "ALTER PUBLICATION p DROP TABLE t": "publication_lacks_table",
    "ALTER PUBLICATION p SET TABLE t WHERE (id > 10)": "publication_row_filter",
    "ALTER PUBLICATION p SET TABLE t (a)": "publication_columns",
}


@pytest.mark.parametrize("statement", WRONG)
def test_publications_that_leave_something_out(theirs: Captured, statement: str) -> None:
    theirs.source.execute(statement.replace(" p ", f" {theirs.setup.publication} "))
    assert theirs.mend(T) == [WRONG[statement]]


def test_partitions_under_their_own_names(theirs: Captured) -> None:
    theirs.source.execute(PARTITIONED)
    theirs.source.execute(f"ALTER PUBLICATION {theirs.setup.publication} ADD TABLE x1, x21")
    assert theirs.mend(T, followed("x")) == ["publication_via_root", "publication_lacks_table"]
    assert theirs.shapes("x").keys() == {"x"}


@pytest.mark.parametrize("what", ["ALL TABLES", "TABLES IN SCHEMA public"])
def test_publications_of_many_tables(capture: Captured, what: str) -> None:
    name = capture.setup.publication
    capture.setup = CaptureSetup(capture.setup.slot, name, managed=False)
    capture.source.execute(f"{PARTITIONED} CREATE PUBLICATION {name} FOR {what} WITH (publish_via_partition_root)")
    capture.source.execute(f"SELECT pg_create_logical_replication_slot('{capture.setup.slot}', 'pgoutput')")
    assert capture.problems(T, followed("x")) == []


def test_any_name_comes_out_quoted(capture: Captured) -> None:
    name = 'qu"ote; DROP TABLE t; --'
    quoted = '"' + name.replace('"', '""') + '"'
    capture.source.execute(f"CREATE TABLE {quoted} (id int)")
    (problem,) = capture.problems(followed(name))
    capture.source.execute(problem.fix)
    assert capture.problems(followed(name)) == []
    capture.set_up(name)
    assert capture.status().published_tables == (name,)


def test_five_hundred_tables_take_no_time(capture: Captured) -> None:
    capture.source.execute("""DO $$ BEGIN FOR n IN 1..500 LOOP
        EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a text, b numeric, c date)', n); END LOOP; END $$""")
    tables = [FollowedTable(str(number), f"t{number}", ("id",)) for number in range(1, 501)]
    started = time.monotonic()
    assert POSTGRES.capture_problems(capture.config, capture.setup, tables) == []
    assert time.monotonic() - started < 5, "a fraction of a second, but on a machine that may be busy"
