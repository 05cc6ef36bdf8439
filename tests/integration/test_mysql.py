"""A MariaDB database, copied by the platform in each mode, whatever its types are and whoever is killed, and queried
where it lies.
"""

import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from local.mariadb import MariaDbServer
from tests.connectors.mysql.source import Source
from tests.connectors.mysql.type_cases import EVERY_CHOICE, EVERY_TYPE, MySqlTable
from tests.connectors.type_cases import exact
from tests.integration.test_changes import sync_all, table
from tests.kit.compare import assert_same, counted, lake_frame, lake_rows
from tests.kit.platform import Platform, named
from tests.kit.servers import RunningStore

BY_ID = {"incremental_field": "id", "incremental_field_type": "integer"}
BY_TIME = {"incremental_field": "updated_at", "incremental_field_type": "timestamp"}
LATER = 1000
"""What the second run reads has ids from here on. The row before it has no values: it is read twice."""
STEPS = ("after-begin", "reading", "staged", "before-commit", "after-commit", "after-publish", "before-finish")
KILLS = [
    pytest.param("after-commit", False),
    *(pytest.param(step, True, marks=pytest.mark.long) for step in STEPS),
]
"""At which step a worker is killed, and whether in the second run too."""


def modes(cursor: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {
        "whole": {"sync_type": "full_refresh"},
        "keyed": {"sync_type": "incremental", **cursor},
        "appended": {"sync_type": "append", **cursor},
    }


@pytest.fixture
def source(mariadb: MariaDbServer) -> Iterator[Source]:
    database = mariadb.create_database()
    yield Source(mariadb, database)
    mariadb.drop_database(database)


def create(platform: Platform, source: Source, settings: dict[str, dict[str, Any]], **more: Any) -> Any:
    schemas = [{"name": name, "should_sync": True, **each} for name, each in settings.items()]
    payload = {**source.inputs(), **({"schemas": schemas} if schemas else {})}
    body = {"source_type": "MySQL", "prefix": f"m{secrets.token_hex(3)}_", "payload": payload, **more}
    return platform.call("POST", "/external_data_sources/", body, 201)


def warnings(job: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(each["column"], each["reason"]): each["count"] for each in job["warnings"]}


@pytest.mark.parametrize("cases", [EVERY_TYPE, EVERY_CHOICE], ids=lambda cases: cases.name)
def test_every_type_in_every_mode(
    platform: Platform, source: Source, object_store: RunningStore, cases: MySqlTable
) -> None:
    def lake(name: str) -> dict[int, tuple[Any, ...]]:
        frame = lake_frame(table(platform, created, name)["url_pattern"], object_store)
        return {row[0]: tuple(map(exact, row[1:])) for row in frame.rows()}

    settings = {name: {**mode, "type_overrides": cases.overrides or None} for name, mode in modes(BY_ID).items()}
    for name in settings:
        source.execute(*replace(cases, name=name).all_statements(), f"INSERT INTO {name} (id) VALUES ({LATER - 1})")
    created = create(platform, source, settings)
    expected = {**cases.expected(), LATER - 1: (None,) * len(cases.cases)}
    for name in settings:
        (job,) = platform.wait_for_jobs(created, named(created, name))
        assert job["status"] == "Completed", (name, job["latest_error"])
        assert lake(name) == expected, name
        assert warnings(job) == cases.warnings(), name

    columns = ", ".join(f"v{number}" for number in range(len(cases.cases)))
    for name in settings:
        later = f"SELECT id + {LATER}, {columns} FROM {name} WHERE id < {LATER - 1}"
        source.execute("SET sql_mode = 'ALLOW_INVALID_DATES'", f"INSERT INTO {name} (id, {columns}) {later}")
    jobs = sync_all(platform, created, settings)
    expected |= {place + LATER: row for place, row in cases.expected().items()}
    for name, job in jobs.items():
        assert lake(name) == expected, name
        times = 2 if name == "whole" else 1
        assert warnings(job) == {key: count * times for key, count in cases.warnings().items()}, name


def fill(source: Source) -> None:
    for name in modes(BY_TIME):
        source.execute(
            f"CREATE TABLE {name} (id int PRIMARY KEY, v varchar(99) COLLATE utf8mb4_general_ci, n decimal(12,3), "
            "updated_at datetime(6) NULL)",
            f"INSERT INTO {name} SELECT seq, CONCAT('v ☃ ', seq), seq / 7, "
            "'2026-01-01 00:00:00' + INTERVAL seq DIV 5 MINUTE FROM seq_1_to_20000",
        )


def change(source: Source) -> None:
    """New rows everywhere, also at the edge; changed ones where the mode keeps up with them."""
    for name in modes(BY_TIME):
        source.execute(
            f"INSERT INTO {name} SELECT 100000, 'tie', NULL, MAX(updated_at) FROM {name}",
            f"INSERT INTO {name} SELECT seq, 'new', seq, '2026-03-01 00:00:00' + INTERVAL seq DIV 5 MINUTE "
            "FROM seq_20001_to_25000",
        )
    for name in ("whole", "keyed"):
        source.execute(f"UPDATE {name} SET v = UPPER(v), updated_at = '2026-05-01' WHERE id % 97 = 0")


def source_rows(source: Source, name: str) -> Counter[tuple[Any, ...]]:
    return counted(source.rows(f"SELECT * FROM {name}"))


@pytest.mark.parametrize(("step", "twice"), KILLS)
def test_a_worker_killed_in_a_first_load_and_in_a_later_run(
    idle_platform: Platform, source: Source, object_store: RunningStore, step: str, twice: bool
) -> None:
    def assert_all_equal(runs: int) -> None:
        for name in modes(BY_TIME):
            jobs = platform.wait_for_jobs(created, named(created, name), runs)
            assert jobs[0]["status"] == "Completed", (name, jobs[0]["latest_error"])
            root = table(platform, created, name)["url_pattern"]
            assert_same(source_rows(source, name), lake_rows(root, object_store))

    platform = idle_platform
    platform.start_worker("doomed", FAILPOINT=step)
    fill(source)
    created = create(platform, source, modes(BY_TIME))
    platform.wait_killed("doomed")
    platform.start_worker()
    assert_all_equal(1)
    change(source)
    if twice:
        platform.kill()
        platform.start_worker("doomed", FAILPOINT=step)
    for name in modes(BY_TIME):
        platform.reload(named(created, name))
    if twice:
        platform.wait_killed("doomed")
        platform.start_worker()
    assert_all_equal(2)


def test_queries_of_a_direct_source(platform: Platform, source: Source) -> None:
    source.execute(
        "CREATE TABLE orders (id bigint unsigned PRIMARY KEY, who varchar(20) CHARACTER SET latin1, made datetime(6))",
        "INSERT INTO orders SELECT seq, IF(seq % 2, 'Ünn', 'ünn'), '2026-01-01 00:00:00' + INTERVAL seq SECOND "
        "FROM seq_1_to_1000",
    )
    created = create(platform, source, {}, access_method="direct")
    assert (created["engine"], created["access_method"]) == ("mysql", "direct")
    name = f"{created['prefix']}mysql_orders"

    def asked(sql: str) -> Any:
        return platform.call("POST", "/query/", {"query": sql.format(t=name)})["results"]

    assert asked("select count(*) from {t}") == [[1000]]
    assert asked("select id from {t} where who = 'Ünn' and id < 4 order by id") == [["1"], ["3"]]
    assert asked("select id from {t} where made > '2026-01-01 00:16:39' order by id") == [["1000"]]
    assert asked("select count(*) from {t} where who = '☃'") == [[0]]
