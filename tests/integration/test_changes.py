"""Every change of a setting, proved on the data: what stays, what goes, what is read again."""

from collections import Counter
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import SourceDatabase
from tests.kit.compare import lake_frame, lake_rows
from tests.kit.platform import Platform, eventually, named

CURSOR = {"incremental_field": "at", "incremental_field_type": "datetime"}
FULL = {"sync_type": "full_refresh"}
INCREMENTAL = {"sync_type": "incremental", **CURSOR}
APPEND = {"sync_type": "append", **CURSOR}
MODES = {"whole": FULL, "keyed": INCREMENTAL, "appended": APPEND}
KEEPING = ("keyed", "appended")
"""The modes that keep what the source has deleted."""

Source = dict[str, Any]


def create_table(name: str, rows: int = 100) -> list[str]:
    return [
        f"CREATE TABLE {name} (id int PRIMARY KEY, v text, secret text, at timestamptz)",
        f"INSERT INTO {name} {new_rows(1, rows)}",
    ]


def new_rows(first: int, last: int) -> str:
    return (
        "SELECT n, 'v' || n % 10, 'secret ' || n, timestamptz '2026-01-01' + n / 5 * interval '1 minute' "
        f"FROM generate_series({first}, {last}) n"
    )


def start(platform: Platform, database: SourceDatabase, tables: dict[str, dict[str, Any]]) -> Source:
    """A source with these tables, each synced once."""
    wanted = [{"name": name, "should_sync": True, **settings} for name, settings in tables.items()]
    source: Source = platform.create_source(database.inputs, wanted)
    for name in tables:
        (job,) = platform.wait_for_jobs(source, named(source, name))
        assert job["status"] == "Completed", (name, job["latest_error"])
    return source


def patch(platform: Platform, source: Source, name: str, settings: dict[str, Any], status: int = 200) -> Any:
    return platform.call("PATCH", f"/external_data_schemas/{named(source, name)['id']}/", settings, status)


def sync_all(platform: Platform, source: Source, names: Any) -> dict[str, dict[str, Any]]:
    """One more run of each, side by side; what each of them did."""
    before = {name: len(platform.jobs(source, named(source, name))) for name in names}
    for name in names:
        platform.reload(named(source, name))
    jobs = {name: platform.wait_for_jobs(source, named(source, name), before[name] + 1)[0] for name in names}
    for name, job in jobs.items():
        assert job["status"] == "Completed", (name, job["latest_error"])
    return jobs


def change(platform: Platform, source: Source, names: Any, settings: dict[str, Any]) -> dict[str, int]:
    """The settings, and a run of each by them; how many rows each changed."""
    for name in names:
        patch(platform, source, name, settings)
    return {name: job["rows_synced"] for name, job in sync_all(platform, source, names).items()}


def table(platform: Platform, source: Source, name: str) -> dict[str, Any]:
    found: dict[str, Any] = platform.schema(named(source, name)["id"])["table"]
    return found


def columns(platform: Platform, database: SourceDatabase, source: Source, name: str) -> list[str]:
    """As a reader sees them; the API says the same."""
    shown = table(platform, source, name)
    found: list[str] = lake_frame(shown["url_pattern"], database.store).columns
    assert [column["name"] for column in shown["columns"] if column["name"] != "_sync_at"] == found
    return found


def rows(platform: Platform, database: SourceDatabase, source: Source, name: str) -> Counter[tuple[Any, ...]]:
    return lake_rows(table(platform, source, name)["url_pattern"], database.store)


def assert_lake(platform: Platform, database: SourceDatabase, source: Source, name: str, query: str) -> None:
    database.assert_in_lake(platform, named(source, name), f"({query}) AS expected")


def test_columns_go_without_a_row_and_come_back_filled(platform: Platform, database: SourceDatabase) -> None:
    for name in MODES:
        database.execute(*create_table(name), f"CREATE TABLE old_{name} AS TABLE {name}")
    source = start(platform, database, MODES)
    for name in MODES:
        database.execute(f"DELETE FROM {name} WHERE id <= 20", f"INSERT INTO {name} {new_rows(101, 103)}")

    changed = change(platform, source, MODES, {"enabled_columns": ["v"]})

    assert changed == {"whole": 83, "keyed": 3, "appended": 3}
    assert columns(platform, database, source, "whole") == ["id", "v"]
    assert_lake(platform, database, source, "whole", "SELECT id, v FROM whole")
    for name in KEEPING:
        assert columns(platform, database, source, name) == ["id", "v", "at"]
        kept = f"SELECT id, v, at FROM old_{name} UNION SELECT id, v, at FROM {name}"
        assert_lake(platform, database, source, name, kept)

    changed = change(platform, source, MODES, {"enabled_columns": []})
    assert changed == {"whole": 83, "keyed": 0, "appended": 0}
    assert_lake(platform, database, source, "whole", "SELECT id FROM whole")
    for name in KEEPING:
        assert columns(platform, database, source, name) == ["id", "at"]
        assert_lake(platform, database, source, name, f"SELECT id, at FROM old_{name} UNION SELECT id, at FROM {name}")

    changed = change(platform, source, MODES, {"enabled_columns": None})
    assert set(changed.values()) == {83}
    for name in MODES:
        database.assert_in_lake(platform, named(source, name))


def test_a_selection_that_names_what_was_there_changes_nothing(platform: Platform, database: SourceDatabase) -> None:
    database.execute(*create_table("keyed"))
    source = start(platform, database, {"keyed": INCREMENTAL})
    database.execute("DELETE FROM keyed WHERE id <= 20", "CREATE TABLE expected AS TABLE keyed")
    before = rows(platform, database, source, "keyed")
    for everything in (["at", "secret", "v"], None):
        assert change(platform, source, ["keyed"], {"enabled_columns": everything}) == {"keyed": 0}
        assert rows(platform, database, source, "keyed") == before
    assert before.total() == 100


NARROW = [{"column": "v", "op": "in", "value": ["v1", "v2"]}]
NARROWER = [*NARROW, {"column": "id", "op": "<=", "value": 50}]
HOSTILE = [{"column": "v", "op": "!=", "value": "'; DROP TABLE keyed; --"}]


def test_row_filters_wider_narrower_and_cleared(platform: Platform, database: SourceDatabase) -> None:
    for name in MODES:
        database.execute(*create_table(name), f"INSERT INTO {name} VALUES (1000, NULL, 'x', '2026-01-01')")
    settings = {name: {**mode, "row_filter": NARROW} for name, mode in MODES.items()}
    source = start(platform, database, settings)
    for name in MODES:
        assert_lake(platform, database, source, name, f"SELECT * FROM {name} WHERE v IN ('v1', 'v2')")
        database.execute(f"INSERT INTO {name} {new_rows(101, 120)}")
    jobs = sync_all(platform, source, MODES)
    assert {name: job["rows_synced"] for name, job in jobs.items()} == {"whole": 24, "keyed": 4, "appended": 4}
    for name in MODES:
        assert_lake(platform, database, source, name, f"SELECT * FROM {name} WHERE v IN ('v1', 'v2')")

    change(platform, source, MODES, {"row_filter": NARROWER})
    for name in MODES:
        assert_lake(platform, database, source, name, f"SELECT * FROM {name} WHERE v IN ('v1', 'v2') AND id <= 50")
    change(platform, source, MODES, {"row_filter": HOSTILE})
    for name in MODES:
        assert_lake(platform, database, source, name, f"SELECT * FROM {name} WHERE v IS NOT NULL")
    change(platform, source, MODES, {"row_filter": None})
    for name in MODES:
        database.assert_in_lake(platform, named(source, name))


@pytest.mark.parametrize("mode", ["incremental", "append"])
def test_a_filter_with_a_look_back_and_ties(platform: Platform, database: SourceDatabase, mode: str) -> None:
    database.execute(*create_table("t", 200))
    settings = {**INCREMENTAL, "sync_type": mode, "row_filter": NARROW, "enabled_columns": []}
    source = start(platform, database, {"t": settings})
    patch(platform, source, "t", {"incremental_lookback_seconds": 1800})
    database.execute(
        "INSERT INTO t SELECT 1000 + n, 'v' || n % 4, 'late', timestamptz '2026-01-01' + interval '20 minutes' "
        "FROM generate_series(0, 7) n",
        "INSERT INTO t SELECT 2000 + n, 'v' || n % 4, 'tie', max(at) FROM t, generate_series(0, 7) n GROUP BY n",
    )
    assert sync_all(platform, source, ["t"])["t"]["rows_synced"] == 8
    assert_lake(platform, database, source, "t", "SELECT id, at FROM t WHERE v IN ('v1', 'v2')")


def test_filters_are_checked_when_they_are_set_and_computed_at_the_source(
    platform: Platform, database: SourceDatabase
) -> None:
    database.execute(
        "CREATE VIEW guarded AS SELECT n AS id, 10 / (100 - n) AS v FROM generate_series(1, 200) n",
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE TABLE t (id int PRIMARY KEY, m mood, tags text[], d date)",
    )
    below = [{"column": "id", "op": "<", "value": 100}]
    source = start(platform, database, {"guarded": {**FULL, "row_filter": below}, "t": FULL})
    assert_lake(platform, database, source, "guarded", "SELECT * FROM guarded WHERE id < 100")
    for clause, part in [
        ({"column": "id", "op": "=", "value": "1 OR 1=1"}, "value"),
        ({"column": "m", "op": "=", "value": "glad"}, "value"),
        ({"column": "d", "op": ">=", "value": "2026-02-30"}, "value"),
        ({"column": "tags", "op": "=", "value": "{a}"}, "op"),
    ]:
        answer = patch(platform, source, "t", {"row_filter": [*below, clause]}, status=400)
        assert answer["attr"] == f"row_filter.1.{part}", answer
    assert platform.schema(named(source, "t")["id"])["row_filter"] is None


def test_modes_switched_over_data(platform: Platform, database: SourceDatabase) -> None:
    """Rows that the source deleted tell whether a switch kept the rows or read them anew."""
    database.execute(*create_table("t"))
    source = start(platform, database, {"t": FULL})
    database.execute("CREATE TABLE gone AS SELECT * FROM t WHERE id <= 3", "DELETE FROM t WHERE id <= 3")
    with_gone = "SELECT * FROM t UNION ALL SELECT * FROM gone"

    assert change(platform, source, ["t"], INCREMENTAL) == {"t": 0}
    assert_lake(platform, database, source, "t", with_gone)
    database.execute("UPDATE t SET v = 'new', at = '2026-02-01' WHERE id = 10")
    assert sync_all(platform, source, ["t"])["t"]["rows_synced"] == 1
    assert_lake(platform, database, source, "t", with_gone)

    assert change(platform, source, ["t"], APPEND) == {"t": 0}
    database.execute(f"INSERT INTO t {new_rows(101, 110)}", "UPDATE t SET at = at + interval '2 months' WHERE id > 100")
    assert sync_all(platform, source, ["t"])["t"]["rows_synced"] == 10
    assert change(platform, source, ["t"], INCREMENTAL) == {"t": 0}, "each key once: proved, and kept"
    assert_lake(platform, database, source, "t", with_gone)

    change(platform, source, ["t"], APPEND)
    database.execute("UPDATE t SET v = 'newer', at = '2026-04-01' WHERE id = 11")
    sync_all(platform, source, ["t"])
    twice = rows(platform, database, source, "t")
    assert sorted(row[1] for row in twice if row[0] == 11) == ["newer", "v1"]
    assert change(platform, source, ["t"], INCREMENTAL) == {"t": 107}, "a key twice: rebuilt"
    database.assert_in_lake(platform, named(source, "t"))

    assert change(platform, source, ["t"], {**FULL, "enabled_columns": ["v", "at"]}) == {"t": 107}
    assert_lake(platform, database, source, "t", "SELECT id, v, at FROM t")
    database.execute("DELETE FROM t WHERE id = 20", "CREATE TABLE gone_too AS SELECT 20 AS id")
    both = {**INCREMENTAL, "enabled_columns": []}
    assert change(platform, source, ["t"], both) == {"t": 0}
    with_20 = "SELECT id, at FROM t UNION ALL SELECT 20, timestamptz '2026-01-01 00:04'"
    assert_lake(platform, database, source, "t", with_20)


def test_modes_switched_before_there_is_data_and_while_disabled(platform: Platform, database: SourceDatabase) -> None:
    database.execute(*create_table("t"), "CREATE TABLE empty (LIKE t INCLUDING ALL)")
    source = start(platform, database, {"t": INCREMENTAL, "empty": FULL})
    change(platform, source, ["empty"], INCREMENTAL)
    database.execute(f"INSERT INTO empty {new_rows(1, 5)}", "DELETE FROM t WHERE id = 1")
    assert sync_all(platform, source, ["empty"])["empty"]["rows_synced"] == 5
    database.assert_in_lake(platform, named(source, "empty"))

    before = rows(platform, database, source, "t")
    patch(platform, source, "t", {"should_sync": False})
    patch(platform, source, "t", {"sync_type": None})
    platform.call("POST", f"/external_data_schemas/{named(source, 't')['id']}/reload/", status=400)
    patch(platform, source, "t", {"should_sync": True}, status=400)
    patch(platform, source, "t", {**FULL, "sync_frequency": "never"})
    patch(platform, source, "t", {**INCREMENTAL, "should_sync": True})
    assert len(platform.jobs(source, named(source, "t"))) == 1, "never: nothing starts by itself"
    assert sync_all(platform, source, ["t"])["t"]["rows_synced"] == 0
    assert rows(platform, database, source, "t") == before
    patch(platform, source, "t", {"should_sync": False, **FULL, "sync_frequency": None})
    patch(platform, source, "t", {"should_sync": True})
    assert platform.wait_for_jobs(source, named(source, "t"), 3)[0]["rows_synced"] == 99
    database.assert_in_lake(platform, named(source, "t"))


def test_another_cursor_starts_at_the_tables_own_maximum(platform: Platform, database: SourceDatabase) -> None:
    database.execute(*create_table("t"), "ALTER TABLE t ADD n numeric, ADD none int", "UPDATE t SET n = id + 0.5")
    source = start(platform, database, {"t": INCREMENTAL})
    gone = rows(platform, database, source, "t")
    database.execute("DELETE FROM t WHERE id = 1")
    by_id = {"incremental_field": "id", "incremental_field_type": "numeric"}
    assert change(platform, source, ["t"], by_id) == {"t": 0}
    assert rows(platform, database, source, "t") == gone
    database.execute("INSERT INTO t VALUES (101, 'v', 's', '2020-01-01', 101.5)")
    assert sync_all(platform, source, ["t"])["t"]["rows_synced"] == 1
    by_n = {"incremental_field": "n", "incremental_field_type": "integer"}
    assert change(platform, source, ["t"], by_n) == {"t": 0}
    database.execute("UPDATE t SET v = 'newer', n = 101.75 WHERE id = 2")
    assert sync_all(platform, source, ["t"])["t"]["rows_synced"] == 1
    assert change(platform, source, ["t"], {"incremental_field_type": "numeric"}) == {"t": 0}
    assert rows(platform, database, source, "t").total() == 101

    without = {"incremental_field": "none", "incremental_field_type": "integer"}
    assert change(platform, source, ["t"], without) == {"t": 100}, "no value to start at: rebuilt"
    database.assert_in_lake(platform, named(source, "t"))


def test_a_cursor_that_was_not_copied_brings_itself(platform: Platform, database: SourceDatabase) -> None:
    database.execute(*create_table("t"))
    by_id = {"sync_type": "append", "incremental_field": "id", "incremental_field_type": "integer"}
    source = start(platform, database, {"t": {**by_id, "enabled_columns": []}})
    assert_lake(platform, database, source, "t", "SELECT id FROM t")
    assert change(platform, source, ["t"], CURSOR) == {"t": 100}
    assert_lake(platform, database, source, "t", "SELECT id, at FROM t")
    assert change(platform, source, ["t"], {**by_id, "primary_key_columns": None}) == {"t": 0}
    assert columns(platform, database, source, "t") == ["id"]


def test_the_key_changes_only_without_data(platform: Platform, database: SourceDatabase) -> None:
    database.execute(*create_table("t"), "CREATE TABLE keyless AS TABLE t", "CREATE UNIQUE INDEX ON t (secret)")
    source = start(platform, database, {"t": INCREMENTAL, "keyless": FULL})
    answer = patch(platform, source, "t", {"primary_key_columns": ["secret"]}, status=400)
    assert answer["attr"] == "primary_key_columns"
    database.execute("DELETE FROM keyless WHERE id = 1")
    first = {**INCREMENTAL, "primary_key_columns": ["id"]}
    assert change(platform, source, ["keyless"], first) == {"keyless": 0}, "a first key, which its rows satisfy"
    patch(platform, source, "keyless", {"primary_key_columns": ["v"]}, status=400)

    schema = named(source, "t")
    platform.call("DELETE", f"/external_data_schemas/{schema['id']}/delete_data/", status=204)
    eventually(lambda: platform.schema(schema["id"])["table"] is None, "the data to be deleted")
    assert change(platform, source, ["t"], {"primary_key_columns": ["secret"]}) == {"t": 100}
    database.execute("UPDATE t SET id = id + 1000, at = '2026-05-01' WHERE id = 5")
    sync_all(platform, source, ["t"])
    database.assert_in_lake(platform, schema)


def test_a_key_that_changes_at_the_source(platform: Platform, database: SourceDatabase) -> None:
    database.execute(*create_table("t"))
    source = start(platform, database, {"t": INCREMENTAL})
    schema = named(source, "t")
    refresh = f"/external_data_sources/{source['id']}/refresh_schemas/"
    database.execute(
        "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, v)",
        "INSERT INTO t VALUES (5, 'another five', 's', '2026-05-01')",
    )
    job = platform.sync(source, schema)
    assert job["status"] == "Failed"
    assert "primary key" in job["latest_error"]
    assert "refresh" in job["latest_error"]
    platform.call("POST", refresh)
    assert sync_all(platform, source, ["t"])["t"]["rows_synced"] == 101
    database.assert_in_lake(platform, schema)

    database.execute("ALTER TABLE t DROP CONSTRAINT t_pkey", "DELETE FROM t WHERE id = 7")
    before = rows(platform, database, source, "t")
    platform.call("POST", refresh)
    job = platform.sync(source, schema)
    assert (job["status"], "no primary key" in job["latest_error"]) == ("Failed", True)
    assert change(platform, source, ["t"], {"primary_key_columns": ["id", "v"]}) == {"t": 0}
    assert rows(platform, database, source, "t") == before


def test_columns_that_change_at_the_source_under_a_selection(platform: Platform, database: SourceDatabase) -> None:
    for name in MODES:
        database.execute(*create_table(name), f"CREATE TABLE old_{name} AS TABLE {name}")
    selected = {name: {**mode, "enabled_columns": ["v", "secret", "at"]} for name, mode in MODES.items()}
    source = start(platform, database, selected)
    for name in MODES:
        database.execute(
            f"ALTER TABLE {name} RENAME secret TO public",
            f"ALTER TABLE {name} ADD extra int, ALTER v TYPE varchar(50)",
            f"INSERT INTO {name} SELECT n, 'w' || n, 'p', '2026-03-01', 1 FROM generate_series(101, 105) n",
        )
    platform.call("POST", f"/external_data_sources/{source['id']}/refresh_schemas/")
    jobs = sync_all(platform, source, MODES)
    gone = "the source no longer has this column"
    for name, job in jobs.items():
        assert [(w["column"], w["reason"]) for w in job["warnings"]] == [("secret", gone)], name
    assert_lake(platform, database, source, "whole", "SELECT id, v, at FROM whole")
    for name in KEEPING:
        kept = f"SELECT id, v, secret, at FROM old_{name} UNION ALL SELECT id, v, NULL, at FROM {name} WHERE id > 100"
        assert_lake(platform, database, source, name, kept)
        answer = patch(platform, source, name, {"enabled_columns": ["secret", "public"]}, status=400)
        assert "secret" in answer["detail"]
        patch(platform, source, name, {"sync_frequency": "1hour"})
    change(platform, source, MODES, {"enabled_columns": ["public", "extra", "at", "v"]})
    for name in MODES:
        assert_lake(platform, database, source, name, f"SELECT id, v, public, at, extra FROM {name}")
    for name in KEEPING:
        patch(platform, source, name, {"row_filter": [{"column": "extra", "op": "=", "value": 1}]})
        database.execute(f"ALTER TABLE {name} DROP extra")
        job = platform.sync(source, named(source, name))
        assert (job["status"], "extra" in job["latest_error"]) == ("Failed", True), "a filter cannot be left out"


def held_up(platform: Platform, database: SourceDatabase, source: Source, name: str, changes: dict[str, Any]) -> None:
    """A run that has its plan and waits for the source's rows; the settings change; it goes on."""
    with psycopg.connect(database.dsn) as connection:
        connection.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE".encode())
        platform.reload(named(source, name))
        waiting = (
            "SELECT 1 FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database "
            "WHERE datname = current_database())"
        )
        with psycopg.connect(database.dsn, autocommit=True) as other:
            eventually(lambda: other.execute(waiting.encode()).fetchone(), "the run to wait for the table")
        patch(platform, source, name, changes)


def test_a_change_between_plan_and_commit_takes_effect_with_the_next_run(
    platform: Platform, database: SourceDatabase
) -> None:
    """Each step's run goes by the settings it began with, and the next one converges."""
    database.execute(*create_table("t"), "CREATE TABLE old AS TABLE t")
    source = start(platform, database, {"t": INCREMENTAL})
    schema = named(source, "t")
    steps: list[tuple[dict[str, Any], str, str]] = [
        ({"enabled_columns": ["v"]}, "SELECT * FROM t", "SELECT id, v, at FROM t"),
        ({"row_filter": NARROW}, "SELECT id, v, at FROM t", "SELECT id, v, at FROM t WHERE v IN ('v1', 'v2')"),
        (
            {"enabled_columns": None, "row_filter": None},
            "SELECT id, v, at FROM t WHERE v IN ('v1', 'v2')",
            "SELECT * FROM t",
        ),
        (FULL, "SELECT * FROM t", "SELECT * FROM t"),
        (
            {"sync_type": "incremental", "incremental_field": "id", "incremental_field_type": "integer"},
            "SELECT * FROM t",
            "SELECT * FROM t",
        ),
    ]
    for number, (changes, by_old, by_new) in enumerate(steps):
        jobs = len(platform.jobs(source, schema))
        database.execute(f"INSERT INTO t {new_rows(1000 + number * 10, 1009 + number * 10)}")
        held_up(platform, database, source, "t", changes)
        assert platform.wait_for_jobs(source, schema, jobs + 1)[0]["status"] == "Completed"
        assert_lake(platform, database, source, "t", by_old)
        sync_all(platform, source, ["t"])
        assert_lake(platform, database, source, "t", by_new)


def test_disabling_stops_the_run_and_enabling_goes_on(platform: Platform, database: SourceDatabase) -> None:
    database.execute(*create_table("t"))
    source = start(platform, database, {"t": INCREMENTAL})
    schema = named(source, "t")
    database.execute(f"INSERT INTO t {new_rows(101, 110)}")
    held_up(platform, database, source, "t", {"should_sync": False, "enabled_columns": ["v"]})
    assert platform.wait_for_jobs(source, schema, 2)[0]["status"] in ("Cancelled", "Completed")
    patch(platform, source, "t", {"should_sync": True})
    assert platform.wait_for_jobs(source, schema, 3)[0]["status"] == "Completed"
    assert_lake(platform, database, source, "t", "SELECT id, v, at FROM t")


@pytest.mark.long
def test_a_worker_killed_while_it_takes_columns_out(own_platform: Platform, database: SourceDatabase) -> None:
    """Killed before the commit; the next worker right after it; the third finds it done."""
    platform = own_platform
    for name in KEEPING:
        database.execute(*create_table(name, 2000), f"CREATE TABLE old_{name} AS TABLE {name}")
    source = start(platform, database, {name: MODES[name] for name in KEEPING})
    for name in KEEPING:
        database.execute(f"DELETE FROM {name} WHERE id <= 20", f"INSERT INTO {name} {new_rows(2001, 2003)}")
        patch(platform, source, name, {"enabled_columns": ["v"]})
    platform.kill()
    platform.start_worker("doomed", FAILPOINT="before-commit")
    for name in KEEPING:
        platform.reload(named(source, name))
    platform.wait_killed("doomed")
    platform.start_worker("doomed", FAILPOINT="after-commit")
    platform.wait_killed("doomed")
    platform.start_worker()
    for name in KEEPING:
        job = platform.wait_for_jobs(source, named(source, name), 2)[0]
        assert (job["status"], job["rows_synced"]) == ("Completed", 3), job["latest_error"]
        kept = f"SELECT id, v, at FROM old_{name} UNION SELECT id, v, at FROM {name}"
        assert_lake(platform, database, source, name, kept)
