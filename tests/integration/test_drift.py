"""Tables that change their columns at the source, in every mode, between runs and while they run."""

from typing import Any

import psycopg
import pytest

from tests.integration.conftest import SourceDatabase
from tests.integration.test_changes import KEEPING, MODES, assert_lake, start, sync_all, table
from tests.kit.platform import Platform, eventually, named

BEFORE = "id int PRIMARY KEY, a int, b real, c varchar(5), d date, e int, f numeric(5,2), g text, h int, at timestamptz"
OLD_ROWS = (
    "SELECT n, n, n + 0.25, 'c' || n, date '2026-01-01' + n, n, n / 4.0, 'g' || n, -n, "
    "timestamptz '2026-01-01' + n * interval '1 minute' FROM generate_series(1, 50) n"
)
CHANGES = (
    "ALTER a TYPE bigint, ALTER b TYPE double precision, ALTER c TYPE text, ALTER d TYPE timestamp, "
    "ALTER e TYPE text, ALTER f TYPE numeric(20,4), DROP g, ADD i text DEFAULT 'i'"
)
NEW_ROWS = (
    "SELECT n, 5000000000 + n, 0.1, repeat('long', n), timestamp '2026-02-01 10:20:30.5', 'text ' || n, "
    "123456789.1234, n, timestamptz '2026-03-01' + n * interval '1 minute', 'new' FROM generate_series(51, 55) n"
)
NOW = "id, a, b, c, d, e, f, h, at, i"
MEANWHILE = "the source no longer has this column"


def create(database: SourceDatabase, name: str) -> None:
    database.execute(
        f"CREATE TABLE {name} ({BEFORE})", f"INSERT INTO {name} {OLD_ROWS}", f"CREATE TABLE old_{name} AS TABLE {name}"
    )


def logged(platform: Platform, source: dict[str, Any], name: str) -> str:
    path = f"/external_data_schemas/{named(source, name)['id']}/logs/?search=columns changed"
    return "\n".join(line["message"] for line in platform.call("GET", path)["results"])


def test_columns_come_go_and_widen_in_every_mode(platform: Platform, database: SourceDatabase) -> None:
    for name in MODES:
        create(database, name)
    source = start(platform, database, MODES)
    for name in MODES:
        database.execute(
            f"ALTER TABLE {name} {CHANGES}", f"ALTER TABLE {name} RENAME h TO k", f"INSERT INTO {name} {NEW_ROWS}"
        )
    jobs = sync_all(platform, source, MODES)

    assert jobs["whole"]["warnings"] == []
    assert_lake(platform, database, source, "whole", "SELECT * FROM whole")
    # The row at the cursor's edge is read again: as an upsert it takes the old one's place, appended it is known.
    for name, first_new in {"keyed": 50, "appended": 51}.items():
        old = (
            "SELECT id, a::bigint, b::float8, c::text, d::timestamp, e::text, f::numeric(20,4), g, h, at, "
            f"NULL::int AS k, NULL::text AS i FROM old_{name} WHERE id < {first_new}"
        )
        new = f"SELECT id, a, b, c, d, e, f, NULL, NULL::int, at, k, i FROM {name} WHERE id >= {first_new}"
        assert_lake(platform, database, source, name, f"{old} UNION ALL {new}")
        assert {(w["column"], w["reason"]) for w in jobs[name]["warnings"]} == {("g", MEANWHILE), ("h", MEANWHILE)}
    kinds = {
        "a": "long", "b": "double", "c": "string", "d": "timestamp_ntz", "e": "string", "f": "decimal(20,4)",
    }  # fmt: skip
    for name in MODES:
        assert kinds.items() <= {c["name"]: c["type"] for c in table(platform, source, name)["columns"]}.items()
        text = logged(platform, source, name)
        assert "a is long and was integer" in text, name
        assert "e is string and was integer" in text, name
        assert "i is new, string" in text, name
        assert ("g is gone" in text) == (name == "whole")

    for name in MODES:
        database.execute(f"ALTER TABLE {name} ALTER a TYPE numeric", f"UPDATE {name} SET a = 1e25 WHERE id = 55")
        database.execute(f"UPDATE {name} SET at = at + interval '1 hour' WHERE id = 55")
    sync_all(platform, source, MODES)
    assert_lake(platform, database, source, "whole", "SELECT id, a::text, b, c, d, e, f, k, at, i FROM whole")
    whole = table(platform, source, "keyed")["columns"]
    assert {column["name"]: column["type"] for column in whole}["a"] == "string"


def test_a_type_that_nothing_holds_fails_with_one_sentence(platform: Platform, database: SourceDatabase) -> None:
    for name in MODES:
        create(database, name)
    source = start(platform, database, MODES)
    for name in MODES:
        database.execute(
            f"ALTER TABLE {name} ALTER a TYPE boolean USING a > 10", f"UPDATE {name} SET at = now() WHERE id = 1"
        )
    sync_all(platform, source, ["whole"])
    assert_lake(platform, database, source, "whole", "SELECT * FROM whole")
    for name in KEEPING:
        schema = named(source, name)
        job = platform.sync(source, schema)
        told = "Column 'a' is now boolean but is stored as integer, which cannot hold it; resync the table."
        assert (job["status"], job["latest_error"]) == ("Failed", told)
        assert_lake(platform, database, source, name, f"SELECT * FROM old_{name}")
        jobs = len(platform.jobs(source, schema))
        platform.call("POST", f"/external_data_schemas/{schema['id']}/resync/")
        assert platform.wait_for_jobs(source, schema, jobs + 1)[0]["status"] == "Completed"
        assert_lake(platform, database, source, name, f"SELECT * FROM {name}")


@pytest.mark.parametrize(
    "changes",
    [
        "ALTER TABLE t ALTER a TYPE numeric USING a + 0.5; ALTER TABLE t DROP g; ALTER TABLE t ADD z int DEFAULT 3",
        "ALTER TABLE t RENAME TO gone; CREATE TABLE t (LIKE gone INCLUDING ALL); INSERT INTO t TABLE gone",
    ],
    ids=["altered", "recreated"],
)
def test_a_table_that_changes_under_a_run(platform: Platform, database: SourceDatabase, changes: str) -> None:
    """The run has looked at the table, and waits for it: it looks again, and no row is taken for gone."""
    create(database, "t")
    source = start(platform, database, {"t": MODES["whole"]})
    schema = named(source, "t")
    waiting = (
        "SELECT 1 FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database "
        "WHERE datname = current_database())"
    )
    with psycopg.connect(database.dsn) as connection, psycopg.connect(database.dsn, autocommit=True) as other:
        connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        platform.reload(schema)
        eventually(lambda: other.execute(waiting.encode()).fetchone(), "the run to wait for the table")
        connection.execute(changes.encode())
        connection.commit()
    job = platform.wait_for_jobs(source, schema, 2)[0]
    assert (job["status"], job["rows_synced"]) == ("Completed", 50), job["latest_error"]
    database.assert_in_lake(platform, schema)


def test_a_table_dropped_and_made_again_goes_on(platform: Platform, database: SourceDatabase) -> None:
    for name in MODES:
        create(database, name)
    source = start(platform, database, MODES)
    for name in MODES:
        database.execute(
            f"DROP TABLE {name}",
            f"CREATE TABLE {name} ({BEFORE})",
            f"INSERT INTO {name} SELECT n + 100, n, 1, 'c', '2026-05-01', n, 1, 'g', n, "
            "timestamptz '2026-05-01' + n * interval '1 minute' FROM generate_series(1, 5) n",
        )
    sync_all(platform, source, MODES)
    assert_lake(platform, database, source, "whole", "SELECT * FROM whole")
    for name in KEEPING:
        assert_lake(platform, database, source, name, f"SELECT * FROM old_{name} UNION ALL SELECT * FROM {name}")
