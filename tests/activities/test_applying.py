"""What is in an inbox goes into its table, once, and never over what is newer."""

import os
import random
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from activities.webhooks import applying
from connectors.errors import SchemaChangedError
from connectors.rest.pace import Pace
from lake import publish as publishing
from lake.inbox import InboxEvent
from lake.storage import LakeStore
from lake.table import commit, open_table
from tests.activities.freezing import Attempt, freezing
from tests.activities.inboxes import InboxTable, customer, event
from tests.providers.server import running
from tests.providers.stripe import BEGIN, StripePlayer


@pytest.fixture
def table(tmp_path: Path) -> InboxTable:
    return InboxTable(LakeStore(f"file://{tmp_path}/lake"))


def updated(number: int, name: str, created: int) -> InboxEvent:
    return event("customer.updated", customer(number, name), created)


def deleted(number: int, created: int) -> InboxEvent:
    return event("customer.deleted", customer(number, "gone"), created)


def test_rows_come_change_and_go(table: InboxTable) -> None:
    table.put(updated(1, "Ada", 100), updated(2, "Bob", 100))
    table.put(updated(1, "Ada Lovelace", 101))
    table.apply()
    assert table.rows("id", "name", "_sync_order") == [
        ("cus_1", "Ada Lovelace", 101_000_000),
        ("cus_2", "Bob", 100_000_000),
    ]
    table.put(deleted(2, 102), updated(3, "Cleo", 103))
    table.apply()
    assert table.rows("id", "name") == [("cus_1", "Ada Lovelace"), ("cus_3", "Cleo")]
    assert table.left() == []


def test_what_is_older_changes_nothing(table: InboxTable) -> None:
    table.put(updated(1, "new", 200), updated(2, "there", 200), updated(3, "late", 200))
    table.apply()
    table.put(updated(1, "old", 199), deleted(2, 150))
    (done,) = table.apply()
    assert table.rows("id", "name") == [("cus_1", "new"), ("cus_2", "there"), ("cus_3", "late")]
    assert (done.rows, done.published, table.left()) == (0, None, [])


def test_an_object_that_is_gone_stays_gone(table: InboxTable) -> None:
    """Also where its row never came here before it went."""
    table.put(updated(1, "Ada", 100), updated(9, "witness", 100))
    table.apply()
    table.put(deleted(1, 105), deleted(2, 105))
    table.apply()
    table.put(updated(1, "late", 104), updated(2, "late", 103))
    table.apply()
    assert table.rows("id") == [("cus_9",)]
    table.put(updated(1, "made anew", 106))
    table.apply()
    assert table.rows("id", "name") == [("cus_1", "made anew"), ("cus_9", "witness")]


def test_what_had_gone_before_the_table_was_read_does_not_come_back(tmp_path: Path) -> None:
    """Of its deletion nobody here has heard: it was before, or while the table was off."""
    store = LakeStore(f"file://{tmp_path}/lake")
    with running() as provider:
        player = StripePlayer(provider)
        player.put("customers", 1, 1)
        table = InboxTable(store, player.inputs()["base_url"])
        table.read()
        player.put("customers", 3, 3)
        table.put(updated(2, "late", BEGIN), updated(3, "late, and there", BEGIN), updated(4, "new", 4_000_000_000))
        table.apply()
        assert table.rows("id", "name") == [("cus_1", None), ("cus_3", None), ("cus_4", "new")]
        asked = len(provider.asked)
        table.put(updated(2, "later", BEGIN + 1), deleted(5, BEGIN))
        table.apply()
        table.put(updated(6, "late", BEGIN + 1))
        table.apply()
        assert [row[0] for row in table.rows("id")] == ["cus_1", "cus_3", "cus_4"]
        assert [each.path for each in provider.asked[asked:]] == ["/v1/customers/cus_6"]
    assert table.left() == []


def test_what_is_rebuilt_takes_its_place_before_it_takes_events(tmp_path: Path) -> None:
    """Whoever was about to put it there before does so at any time, with what was read alone."""
    with running() as provider:
        player = StripePlayer(provider)
        player.put("customers", 1, 1)
        table = InboxTable(LakeStore(f"file://{tmp_path}/lake"), player.inputs()["base_url"])
        table.read()
        rebuilt = table.read(rebuild=True)
        table.put(updated(1, "new", 4_000_000_000))
        done, published = table.step(rebuilt, 1, rebuild=True)
        assert (done.more, published, len(table.left())) == (False, None, 1)
        table.swap_in(rebuilt)
        table.apply()
    assert (table.rows("id", "name"), table.left()) == ([("cus_1", "new")], [])


def test_what_had_gone_does_not_come_back_to_a_table_that_was_empty(tmp_path: Path) -> None:
    with running() as provider:
        table = InboxTable(LakeStore(f"file://{tmp_path}/lake"), StripePlayer(provider).inputs()["base_url"])
        table.read()
        table.put(updated(1, "late", BEGIN), updated(2, "new", 4_000_000_000))
        table.apply()
    assert table.rows("id", "name") == [("cus_2", "new")]


def test_what_is_gone_is_known_of_a_table_that_is_not_there_yet(
    table: InboxTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "MOST_EVENTS", 5)
    monkeypatch.setattr(applying, "READERS", 2)
    for number in range(20):
        table.put(deleted(number, 105))
    (done,) = table.apply()
    assert (done.more, len(table.left())) == (False, 20)
    table.put(updated(3, "late", 104), updated(30, "there", 104))
    table.apply()
    table.put(updated(7, "late", 104))
    table.apply()
    assert table.rows("id", "name") == [("cus_30", "there")]
    assert table.left() == []


def test_a_ledger_is_cleared_of_what_is_old_and_not_needed(table: InboxTable) -> None:
    """By who has seen the table's newest commit alone."""
    table.put(updated(1, "Ada", 100), deleted(2, 105))
    table.apply()
    stale = table.begin()
    table.put(updated(1, "Bob", 101), deleted(3, 105))
    table.apply()
    before = {each.path for each in table.store.list("_ledgers")}
    _made_old(table, timedelta(days=2))
    table.put(updated(1, "Bob", 101))
    table.step(stale, 0)
    assert {each.path for each in table.store.list("_ledgers")} == before
    table.put(updated(1, "Bob", 101))
    table.apply()
    assert len({each.path for each in table.store.list("_ledgers")}) == 2
    table.put(updated(2, "late", 104), updated(3, "late", 104))
    table.apply()
    assert table.rows("id", "name") == [("cus_1", "Bob")]


def _made_old(table: InboxTable, age: timedelta) -> None:
    at = (datetime.now(UTC) - age).timestamp()
    for each in table.store.list("_ledgers"):
        os.utime(f"{table.store.url.removeprefix('file://')}/{each.path}", (at, at))


def test_events_about_other_things_or_without_a_key_harm_nothing(table: InboxTable) -> None:
    nameless = {**customer(1, "Ada"), "id": None}
    table.put(
        event("customer.updated", nameless, 100), InboxEvent("customer.updated", b"[1]", 100), updated(2, "Bob", 100),
        event("invoice.paid", customer(3, "an invoice"), 100),
    )  # fmt: skip
    table.apply()
    assert table.rows("id", "name") == [("cus_2", "Bob")]


def test_a_row_that_the_filter_leaves_out_now_goes(table: InboxTable) -> None:
    filtered = InboxTable(table.store, row_filter=[{"column": "name", "op": "!=", "value": "out"}])
    filtered.put(updated(1, "in", 100), updated(2, "in", 100), updated(3, "out", 100))
    filtered.apply()
    filtered.put(updated(1, "out", 101), updated(2, "still in", 101), updated(3, "in", 101))
    filtered.apply()
    assert filtered.rows("id", "name") == [("cus_2", "still in"), ("cus_3", "in")]


def test_only_enabled_columns_come(table: InboxTable) -> None:
    narrow = InboxTable(table.store, enabled_columns=["name"])
    narrow.put(updated(1, "Ada", 100))
    narrow.apply()
    assert narrow.rows("id", "name", "_sync_order") == [("cus_1", "Ada", 100_000_000)]
    with pytest.raises(ValueError, match="balance"):
        narrow.rows("balance")


def test_files_of_a_commit_go_with_the_next_run_where_the_one_before_was_cut_off(
    table: InboxTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are known by the commit's own ledger: nothing is applied a second time."""
    table.put(updated(1, "Ada", 100))
    with monkeypatch.context() as patch:
        patch.setattr(table.inbox.__class__, "delete", lambda self, names: None)
        table.apply()
    assert len(table.left()) == 1
    (done,) = table.apply()
    assert (done.published, table.left(), table.rows("id", "name")) == (None, [], [("cus_1", "Ada")])


def test_what_came_after_an_attempt_that_committed_is_not_taken_for_committed(
    table: InboxTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.put(updated(1, "Ada", 100))
    table.apply()
    table.put(updated(2, "Bob", 101))
    base = table.begin()
    with monkeypatch.context() as patch:
        patch.setattr(table.inbox.__class__, "delete", lambda self, names: None)
        table.step(base, 0)
    table.put(updated(3, "Cleo", 102))
    table.step(base, 0)
    assert len(table.left()) == 2
    table.apply()
    assert table.rows("id", "name") == [("cus_1", "Ada"), ("cus_2", "Bob"), ("cus_3", "Cleo")]
    assert table.left() == []


def test_an_attempt_that_froze_commits_while_its_successor_is_about_to(
    table: InboxTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.put(updated(1, "Ada", 100))
    table.apply()
    table.put(updated(2, "Bob", 101))
    base, publish = table.begin(), publishing.publish

    def frozen(*first: Any) -> Any:
        def overtaken(*second: Any) -> Any:
            monkeypatch.undo()
            publish(*first)
            return commit(*second)

        monkeypatch.setattr(applying, "publish", publish)
        monkeypatch.setattr(publishing, "commit", overtaken)
        table.put(updated(3, "Cleo", 102))
        table.step(base, 0)
        return publish(*first)

    monkeypatch.setattr(applying, "publish", frozen)
    table.step(base, 0)
    assert table.rows("id", "name") == [("cus_1", "Ada"), ("cus_2", "Bob")]
    table.apply()
    assert table.rows("id", "name") == [("cus_1", "Ada"), ("cus_2", "Bob"), ("cus_3", "Cleo")]
    assert table.left() == []


def test_a_full_inbox_is_emptied_in_batches(table: InboxTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "MOST_EVENTS", 20)
    monkeypatch.setattr(applying, "READERS", 2)
    for number in range(50):
        table.put(*(updated(number % 7, f"{number}", 1000 + number) for _ in range(3)), deleted(number + 100, 10))
    done = table.apply()
    newest = {number % 7: f"{number}" for number in range(50)}
    assert len(done) > 5
    assert table.rows("id", "name") == sorted((f"cus_{number}", name) for number, name in newest.items())
    table.apply()
    assert table.left() == []


def test_what_the_provider_has_answered_is_committed_before_it_is_asked_for_much_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "MOST_ASKED", 10)
    monkeypatch.setattr(Pace, "wait", lambda *_, **__: None)
    with running() as provider:
        player = StripePlayer(provider)
        store = LakeStore(f"file://{tmp_path}/lake")
        table = InboxTable(store, player.inputs()["base_url"], schema_name="charges")
        for number in range(35):
            charge = player.put("charges", number, number)["id"]
            for kind in ("created", "updated"):
                told = {"id": f"dp_{number}", "object": "dispute", "name": "a dispute", "charge": charge}
                table.put(event(f"charge.dispute.{kind}", told, 100))
        done = table.apply()
        asked = [each.path for each in provider.asked if each.path.startswith("/v1/charges/")]
    assert len(done) == 4
    # A batch may end between two events of one object.
    assert (len(set(asked)), len(asked) < 35 + len(done)) == (35, True)
    assert table.rows("id") == sorted((each["id"],) for each in player.objects["charges"])


def test_events_by_another_key_wait(table: InboxTable) -> None:
    """Until the settings know of it, and there are no rows by the old one."""

    def told(**inputs: str) -> InboxTable:
        own = InboxTable(table.store, inputs={"tables": "customers", **inputs}, source_type="Webhook", reads=False)
        own.run = replace(own.run, fence=open_table(table.store, own.run.table_path).position.fence)
        return own

    table.inbox.put([InboxEvent("event", b'{"id": 1, "name": "Ada"}', 100)])
    told(key="id").apply()
    table.inbox.put([InboxEvent("event", b'{"email": "ada@example.com", "name": "Ada"}', 101)])
    changed = told(key="email")
    with pytest.raises(SchemaChangedError, match="The key of customers was id and is email now: refresh"):
        changed.apply()
    changed.run = replace(changed.run, primary_key=["email"])
    with pytest.raises(SchemaChangedError, match="go by the key id, and its events by email now: give them back"):
        changed.apply()
    assert (table.rows("id", "name"), len(table.left())) == ([(1, "Ada")], 1)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_order_the_newest_state_stands(table: InboxTable, seed: int) -> None:
    """Late, doubled and out of order, in files and runs of any size, beside runs that are cut off."""
    chance = random.Random(seed)  # noqa: S311
    events, truth = history(chance, 400)
    while events:
        size = chance.randrange(1, 60)
        table.put(*events[:size])
        events = events[size:]
        if chance.random() < 0.5:
            table.apply()
    table.apply()
    assert table.rows("id", "name") == truth


@pytest.mark.parametrize("seed", [2, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 20))])
def test_attempts_that_freeze_die_and_wake_up_lose_nothing(
    table: InboxTable, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Those of one batch beside each other, and beside later runs."""
    chance = random.Random(seed)  # noqa: S311
    monkeypatch.setattr(applying, "MOST_EVENTS", 12 if seed % 2 else 1000)
    monkeypatch.setattr(applying, "READERS", 2)
    events, truth = history(chance, 150)
    table.put(events.pop(0))
    table.apply()
    base, attempts = table.begin(), [Attempt(lambda: None)]
    with freezing():
        while events:
            what = chance.random()
            if what < 0.15:
                size = chance.randrange(1, 8)
                table.put(*events[:size])
                events = events[size:]
            elif what < 0.25:
                base = table.begin() if chance.random() < 0.5 else base
                attempts.append(Attempt(partial(copy(table).step, base, 0)))
            elif what < 0.97:
                chance.choice(attempts[-4:]).go_on()
            else:
                chance.choice(attempts).die()
            attempts = [each for each in attempts if not each.is_over] or [Attempt(lambda: None)]
        for each in attempts:
            each.finish()
    table.apply()
    assert table.rows("id", "name") == truth
    table.apply()
    assert table.left() == []


def history(chance: random.Random, count: int) -> tuple[list[InboxEvent], list[tuple[str, str]]]:
    """Events of customers, late, doubled and out of order, and the rows that are to be there in the end."""
    names: dict[int, str | None] = {}
    events: list[InboxEvent] = []
    for created in range(1, count):
        number = chance.randrange(40)
        if chance.random() < 0.2 and names.get(number) is not None:
            names[number] = None
            events.append(deleted(number, created))
        else:
            names[number] = f"name {created}"
            events.append(updated(number, f"name {created}", created))
    events = [each for each in events for _ in range(chance.choice((1, 1, 1, 2)))]
    events.sort(key=lambda each: each.received_at + chance.gauss(0, 30))
    return events, sorted((f"cus_{number}", name) for number, name in names.items() if name)


def test_a_column_without_a_value_in_all_events_of_a_batch_keeps_its_type(table: InboxTable) -> None:
    table.put(updated(1, "Ada", 100))
    table.apply()
    table.put(event("customer.updated", {**customer(1, "Ada"), "balance": None}, 101))
    table.apply()
    table.put(event("customer.updated", {**customer(2, "Bob"), "balance": 7}, 102))
    table.apply()
    assert table.rows("id", "balance") == [("cus_1", None), ("cus_2", 7)]
