"""Every type and every edge value of the contract, synced in each mode: the same answer from all of them."""

from dataclasses import replace
from typing import Any

import pytest

from tests.connectors.type_cases import CUSTOM_TYPES, EVERY_CHOICE, EVERY_TYPE, Table, exact
from tests.integration.conftest import SourceDatabase
from tests.integration.test_changes import assert_lake, change, patch, start, sync_all, table
from tests.kit.compare import lake_frame
from tests.kit.platform import Platform, named

BY_ID = {"incremental_field": "id", "incremental_field_type": "integer"}
MODES: dict[str, dict[str, Any]] = {
    "whole": {"sync_type": "full_refresh"},
    "keyed": {"sync_type": "incremental", **BY_ID},
    "appended": {"sync_type": "append", **BY_ID},
}
LATER = 1000
"""What the second run reads has ids from here on. The row before it has no values: it is read twice."""

Rows = dict[int, tuple[Any, ...]]


def lake_contents(platform: Platform, database: SourceDatabase, source: dict[str, Any], name: str) -> Rows:
    frame = lake_frame(table(platform, source, name)["url_pattern"], database.store)
    return {row[0]: tuple(map(exact, row[1:])) for row in frame.rows()}


@pytest.mark.parametrize("looks_large", [False, True], ids=["by the narrow driver", "by the fast driver"])
@pytest.mark.parametrize("cases", [EVERY_TYPE, EVERY_CHOICE], ids=lambda cases: cases.name)
def test_every_type_in_every_mode(
    platform: Platform, database: SourceDatabase, cases: Table, looks_large: bool
) -> None:
    database.execute(CUSTOM_TYPES)
    settings = {}
    for name, mode in MODES.items():
        mine = replace(cases, name=name)
        database.execute(mine.statements(), f"INSERT INTO {name} (id) VALUES ({LATER - 1})")
        if looks_large:
            database.execute(*grow(name))
        settings[name] = {**mode, "type_overrides": cases.overrides or None}
    source = start(platform, database, settings)
    expected = {**cases.expected(), LATER - 1: (None,) * len(cases.cases)}
    kinds = {case["name"]: case["type"] for case in table(platform, source, "whole")["columns"]}
    for name in MODES:
        assert lake_contents(platform, database, source, name) == expected, name
        assert warnings(platform.jobs(source, named(source, name))[0]) == cases.warnings(), name
        assert {case["name"]: case["type"] for case in table(platform, source, name)["columns"]} == kinds

    columns = ", ".join(f"v{number}" for number in range(len(cases.cases)))
    for name in MODES:
        later = f"SELECT id + {LATER}, {columns} FROM {name} WHERE id < {LATER - 1}"
        database.execute(f"INSERT INTO {name} (id, {columns}) {later}")
    jobs = sync_all(platform, source, MODES)
    expected |= {place + LATER: row for place, row in cases.expected().items()}
    for name, job in jobs.items():
        assert lake_contents(platform, database, source, name) == expected, name
        times = 2 if name == "whole" else 1
        assert warnings(job) == {key: count * times for key, count in cases.warnings().items()}, name


def grow(name: str) -> list[str]:
    """Rows that are gone again still count for the planner, who decides what is worth to be read by which driver."""
    return [
        f"ALTER TABLE {name} SET (autovacuum_enabled = false)",
        f"INSERT INTO {name} (id) SELECT n FROM generate_series({2 * LATER}, {30 * LATER}) n",
        f"ANALYZE {name}",
        f"DELETE FROM {name} WHERE id >= {2 * LATER}",
    ]


def warnings(job: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(each["column"], each["reason"]): each["count"] for each in job["warnings"]}


def test_a_type_chosen_over_data_rebuilds_and_says_what_it_lost(platform: Platform, database: SourceDatabase) -> None:
    for name in MODES:
        database.execute(
            f"CREATE TABLE {name} (id int PRIMARY KEY, n numeric, at timestamp)",
            f"INSERT INTO {name} VALUES (1, 1.5, '2026-01-01'), (2, 1000, '2026-01-01'), (3, 'NaN', 'infinity')",
        )
    source = start(platform, database, MODES)
    answer = patch(platform, source, "keyed", {"type_overrides": {"n": "date"}}, status=400)
    assert answer["attr"] == "type_overrides.n"
    chosen = {"n": " Decimal(5, 2) ", "at": "string"}
    assert change(platform, source, MODES, {"type_overrides": chosen}) == dict.fromkeys(MODES, 3)
    lost = {("n", "NaN"): 1, ("n", "does not fit decimal(5,2)"): 1}
    for name in MODES:
        shown = "SELECT id, CASE id WHEN 1 THEN n END, CAST(at AS text) FROM "
        assert_lake(platform, database, source, name, shown + name)
        schema = platform.schema(named(source, name)["id"])
        assert schema["type_overrides"] == {"n": "decimal(5,2)", "at": "string"}
        types = {column["name"]: column["type"] for column in schema["table"]["columns"]}
        assert (types["n"], types["at"]) == ("decimal(5,2)", "string")
        assert warnings(platform.jobs(source, schema)[0]) == lost
        lines = platform.call("GET", f"/external_data_schemas/{schema['id']}/logs/?search=columns")["results"]
        assert "n is decimal(5,2) and was decimal(38,18)" in lines[0]["message"], lines
    kept = {"whole": 3, "keyed": 0, "appended": 0}
    assert change(platform, source, MODES, {"type_overrides": {"at": "string", "n": "decimal(5,2)"}}) == kept
    assert change(platform, source, MODES, {"type_overrides": None}) == dict.fromkeys(MODES, 3)
    database.execute("ALTER TABLE keyed ALTER n TYPE boolean USING true")
    patch(platform, source, "keyed", {"type_overrides": {"n": "double"}})
    job = platform.sync(source, named(source, "keyed"))
    assert (job["status"], "change its type override" in job["latest_error"]) == ("Failed", True), job["latest_error"]
