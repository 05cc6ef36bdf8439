"""What a tap is asked for, and how one read goes on from another."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from connectors.base import CursorRange
from connectors.errors import ConfigurationError, SchemaChangedError
from connectors.singer import state
from connectors.singer.keys import Keys
from tests.connectors.singer.bench import NUMBERED, Bench, record, schema

SHOP = {"id": {"type": "integer"}, "n": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}
BEGIN = schema("t", SHOP, ("id",))
TELLING = """
import json, sys
told = {"catalog": given.catalog, "state": given.state}
with open(config["tell"], "w") as file:
    json.dump(told, file)
for line in open(config["folder"] + "/t.singer"):
    print(line, end="")
"""
"""Prints the file, and keeps what it was given where the test finds it."""


def row(number: int, n: int | None = None, day: int = 1) -> dict[str, Any]:
    return record("t", id=number, n=number if n is None else n, at=f"2024-01-{day:02}T00:00:00Z")


def told(bench: Bench, **request: Any) -> Any:
    """What the tap is given for a read."""
    path = bench.folder.parent / "told.json"
    bench.read("t", bench.config(act=TELLING, tell=str(path)), **request)
    return json.loads(path.read_text())


def test_a_read_goes_on_from_what_the_tap_said_last(bench: Bench) -> None:
    bench.put("t", BEGIN, *(row(number) for number in range(5)))
    first = bench.read_after("t", "n", None)
    assert first.column("id") == [0, 1, 2, 3, 4]
    bench.put("t", BEGIN, *(row(number) for number in range(5)), row(1, n=7), row(9, n=3))
    second = bench.read_after("t", "n", first)
    # What the tap does not take for new stays away, and where it stood comes again.
    assert second.rows("id", "n") == [(4, 4), (1, 7)]
    third = bench.read_after("t", "n", second)
    assert third.rows("id", "n") == [(1, 7)]
    assert third.report.state == second.report.state
    # The last state of all, whatever comes first.
    assert json.loads(second.report.state or "")["tap"]["bookmarks"]["t"]["replication_key_value"] == 7


def test_a_tap_that_says_nothing_begins_where_it_began(bench: Bench) -> None:
    bench.put("t", BEGIN, row(1), row(2))
    first = bench.read_after("t", "n", None)
    (bench.folder / "act.py").write_text("for line in open(config['folder'] + '/t.singer'): print(line, end='')")
    assert bench.read_after("t", "n", first).report.state == first.report.state
    assert bench.read_after("t", "n", None).report.state is None


def test_a_state_belongs_to_a_tap_a_stream_a_field_and_an_account(bench: Bench) -> None:
    bench.put("t", BEGIN, row(1), row(2))
    login = {"host": "a", "user": "ada", "password": "right"}
    first = bench.read_after("t", "n", None, **login)
    known = {"state": first.report.state, "cursor": CursorRange("n", "2")}

    def ids(field: str = "n", **more: Any) -> list[int]:
        cursor = CursorRange(field, None if field == "at" else "2")
        read = bench.read("t", bench.config(**login | more), state=first.report.state, cursor=cursor)
        return sorted(read.column("id"))

    assert ids() == [2]
    assert ids(host="b") == ids(user="bob") == ids(api_key="k") == ids(start_date="2020") == ids("at") == [1, 2]
    assert bench.read("t", bench.config(**login), **known).column("id") == [2]


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ({"user": "a", "password": "x"}, {"user": "a", "password": "y"}, True),
        ({"login": {"email": "a", "db_password": "x"}}, {"login": {"email": "a", "db_password": "y"}}, True),
        ({"url": "postgres://a:x@h/d"}, {"url": "postgres://a:y@h/d"}, True),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, True),
        ({"url": "postgres://a:x@h/d"}, {"url": "postgres://b:x@h/d"}, False),
        ({"password": "x"}, {"password": "y"}, False),
        ({"user": "a", "api_key": "x"}, {"user": "a", "api_key": "y"}, False),
        ({"client_id": "a", "refresh_token": "x"}, {"client_id": "a", "refresh_token": "y"}, False),
        ({"port": 5432}, {"port": 5433}, False),
        ({"a": {"b": "1"}}, {"a": {"c": "1"}}, False),
    ],
)
def test_what_another_account_is(bench: Bench, before: Any, after: Any, same: bool) -> None:
    accounts = {bench.config(**each).account for each in (before, after)}
    assert len(accounts) == (1 if same else 2)


def test_a_state_that_is_too_large(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MOST_CHARACTERS", 50)
    bench.put("t", BEGIN, row(1))
    with pytest.raises(ConfigurationError, match="copy it by full refresh"):
        bench.read_after("t", "n", None)
    assert bench.read("t").report.state is None


def test_states_and_rows_are_taken_as_they_are(bench: Bench) -> None:
    """Legacy states, and numbers that no float holds."""
    value = '{"bookmarks": {"t": {"n": 12345678901234567890123, "f": 1.10}}, "currently_syncing": null}'
    bench.put("t", BEGIN)
    act = f"""print(open(config["folder"] + "/t.singer").read() + '{{"type": "STATE", "value": {value}}}')"""
    first = bench.read_after("t", "n", None, act=act)
    assert '"n":12345678901234567890123' in (first.report.state or "")
    assert '"f":1.10' in (first.report.state or "")


def test_one_stream_is_selected(bench: Bench) -> None:
    bench.put("t", BEGIN, row(1))
    bench.put("u", schema("u", NUMBERED))
    streams = {each["tap_stream_id"]: each for each in told(bench)["catalog"]["streams"]}
    facts = {name: each["metadata"][0]["metadata"] for name, each in streams.items()}
    assert {name: each["selected"] for name, each in facts.items()} == {"t": True, "u": False}
    assert {name: each["schema"]["selected"] for name, each in streams.items()} == {"t": True, "u": False}
    assert facts["t"]["replication-method"] == streams["t"]["replication_method"] == "FULL_TABLE"
    assert "replication-key" not in facts["t"]
    by_cursor = told(bench, cursor=CursorRange("at"), columns=("id", "at"))
    assert by_cursor["state"] == {}
    chosen = by_cursor["catalog"]["streams"][0]
    assert (chosen["replication_method"], chosen["replication_key"]) == ("INCREMENTAL", "at")
    found = {tuple(each["breadcrumb"]): each["metadata"] for each in chosen["metadata"]}
    assert (found[()]["replication-method"], found[()]["replication-key"]) == ("INCREMENTAL", "at")
    selected = {place[1]: known["selected"] for place, known in found.items() if place}
    assert selected == {"id": True, "n": False, "at": True}


def test_a_full_read_is_given_no_state(bench: Bench) -> None:
    bench.put("t", BEGIN, row(1))
    first = bench.read_after("t", "n", None)
    assert told(bench, state=first.report.state)["state"] == {}


def test_rows_of_other_streams_are_left_out(bench: Bench) -> None:
    bench.put("both", BEGIN, schema("u", NUMBERED), record("u", id=7), row(1))
    assert bench.read("t").column("id") == [1]


def test_a_stream_that_messages_call_otherwise(bench: Bench) -> None:
    bench.put("db-t", schema("public-t", SHOP), record("public-t", id=1))
    catalogue = {"streams": [{"tap_stream_id": "db-t", "stream": "t", "schema": {"properties": SHOP}}]}
    act = "print(open(config['folder'] + '/db-t.singer').read())"
    discover = f"print({json.dumps(catalogue)!r}) if given.discover else exec({act!r})"
    assert bench.read("db-t", bench.config(discover=discover)).column("id") == [1]


def test_the_last_of_several_rows_with_one_key(bench: Bench) -> None:
    rows = [row(number % 300, n=number) for number in range(20_000)]
    bench.put("t", BEGIN, *rows)
    found = bench.read("t")
    last = {number % 300: number for number in range(20_000)}
    assert sorted(found.rows("id", "n")) == sorted(last.items())
    bench.put("t", schema("t", SHOP), *rows[:400])
    assert bench.read("t").table.num_rows == 400


def test_what_is_replaced_in_several_passes() -> None:
    chance = random.Random(7)  # noqa: S311
    keys = [(chance.randrange(500), str(chance.randrange(2))) for _ in range(3000)]
    gone = np.array([chance.random() < 0.1 for _ in keys])
    last = {key: place for place, key in enumerate(keys) if not gone[place]}
    with Keys() as found:
        found.add(keys[:1000])
        found.add(keys[1000:])
        for pass_rows in (10**6, 700):
            kept = np.flatnonzero(~found.replaced(gone, pass_rows))
            assert kept.tolist() == sorted(last.values())


def test_rows_of_an_older_version_of_the_table(bench: Bench) -> None:
    def activate(version: int) -> dict[str, Any]:
        return {"type": "ACTIVATE_VERSION", "stream": "t", "version": version}

    old = [record("t", 1, id=1), record("t", 1, id=2)]
    bench.put("t", BEGIN, activate(1), *old, activate(1), record("t", 2, id=1, n=5), activate(2))
    assert bench.read("t").rows("id", "n") == [(1, 5)]
    bench.put("t", BEGIN, *old, row(3), activate(2))
    assert bench.read("t").column("id") == [3]
    bench.put("t", BEGIN, *old, activate(1))
    assert bench.read("t").column("id") == [1, 2]


def test_what_discovery_says(bench: Bench) -> None:
    def stream(name: str, **facts: Any) -> dict[str, Any]:
        places = [([], {"table-key-properties": ["id"], **facts}), (["properties", "x"], {"inclusion": "unsupported"})]
        metadata = [{"breadcrumb": place, "metadata": known} for place, known in places]
        properties = {**SHOP, "t": {"type": "string"}, "x": {"type": "object"}}
        return {"tap_stream_id": name, "stream": name, "schema": {"properties": properties}, "metadata": metadata}

    streams = [
        stream("any"),
        {**stream("by_itself"), "replication_key": "at"},
        stream("forced", **{"forced-replication-method": "FULL_TABLE"}),
        stream("forced_with_reason", **{"forced-replication-method": {"replication-method": "FULL_TABLE"}}),
        stream("named", **{"valid-replication-keys": ["n", "t", "gone"], "forced-replication-method": "INCREMENTAL"}),
        stream("view", **{"table-key-properties": [], "view-key-properties": ["n"], "is-view": True}),
    ]
    tables = {each.name: each for each in bench.discover(discover=f"print({json.dumps({'streams': streams})!r})")}
    assert list(tables) == [each["tap_stream_id"] for each in streams]
    assert {name: [each.field for each in table.incremental_fields] for name, table in tables.items()} == {
        "any": ["id", "n", "at"],
        "by_itself": ["at"],
        "forced": [],
        "forced_with_reason": [],
        "named": ["n"],
        "view": ["id", "n", "at"],
    }
    assert [(column.name, column.type, column.nullable) for column in tables["any"].columns] == [
        ("id", "long", False),
        ("n", "long", True),
        ("at", "timestamp", True),
        ("t", "string", True),
    ]
    assert (tables["view"].kind, tables["view"].primary_key) == ("view", ("n",))
    assert tables["any"].primary_key == ("id",)


def test_cursors_that_are_none(bench: Bench) -> None:
    texts = {**SHOP, "at": {"type": "string", "format": "date-time"}}
    bench.put("t", schema("t", texts, ("id",)), record("t", id=1, at="soon"))
    with pytest.raises(SchemaChangedError, match="holds values that have no order: choose another field"):
        bench.read("t", cursor=CursorRange("at"))
    act = """print('{"type": "SCHEMA", "stream": "t", "schema": {}, "key_properties": []}')"""
    with pytest.raises(SchemaChangedError, match="The incremental field at of t is gone"):
        bench.read("t", bench.config(act=act), cursor=CursorRange("at"))


def test_numbers_that_outgrow_their_type_between_reads(bench: Bench) -> None:
    bench.put("t", BEGIN, row(1, n=2**64))
    first = bench.read("t", cursor=CursorRange("n"))
    bench.put("t", BEGIN, row(1, n=5))
    second = bench.read("t", cursor=CursorRange("n", str(2**64)))
    assert first.table.schema == second.table.schema


def test_rows_by_time_in_no_order(bench: Bench) -> None:
    """Each that the tap gives is there, wherever its time stands."""
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    times = [begin + timedelta(seconds=each) for each in (5, 1, 9, 3)]
    bench.put("t", BEGIN, *(record("t", id=n, at=each.isoformat()) for n, each in enumerate(times)), record("t", id=9))
    found = bench.read("t", cursor=CursorRange("at", "2024-01-01T00:00:04+00:00"))
    assert found.rows("id", "at") == [*enumerate(times), (9, None)]
