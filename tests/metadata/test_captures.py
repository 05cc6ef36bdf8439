import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from metadata.captures import Captures, captures_of, newest_events
from metadata.errors import NotFoundError
from metadata.intents import CapturedSchema
from metadata.logs import RunLogs
from metadata.models import Capture, CaptureEvent, Source, SyncType, utc_now
from metadata.projects import delete_project
from metadata.sources import delete_source
from tests.metadata.conftest import Workshop

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def captures(workshop: Workshop) -> Captures:
    return Captures(workshop.database, workshop.vault)


@pytest.fixture
def source(workshop: Workshop) -> Source:
    return workshop.source(inputs={"host": "db.example", "password": "hunter2"})


def row(workshop: Workshop, source: Source) -> Capture:
    found: Capture = workshop.fresh(Capture, source.id)
    return found


def events(workshop: Workshop, source: Source) -> list[tuple[str, str, dict[str, Any]]]:
    with workshop.database.read() as session:
        return [(event.level, event.message, event.fields) for event in newest_events(session, source.id, 10)]


# What is wanted


def test_the_intent_says_what_is_wanted(workshop: Workshop, captures: Captures, source: Source) -> None:
    assert captures.intent(workshop.project_id, str(source.id)) is None
    workshop.capture(source, epoch=2, sequence=5, position=2**50, cluster="7/1", captured_at=NOON, continuous=True)
    intent = captures.intent(workshop.project_id, str(source.id))
    assert intent is not None
    assert intent.__dict__ == {
        "project_id": workshop.project_id,
        "source_id": str(source.id),
        "source_type": "postgres",
        "slot": "a_slot",
        "publication": "a_publication",
        "managed": True,
        "auto_drop": False,
        "warning_mb": 1024,
        "critical_mb": 10240,
        "delete_mode": "hard",
        "continuous": True,
        "epoch": 2,
        "sequence": 5,
        "position": 2**50,
        "captured_at": NOON,
        "cluster": "7/1",
        "latest_error": None,
        "removing": False,
        "tables": (),
    }
    assert intent.frequency is None
    assert captures.intent(workshop.project(), str(source.id)) is None
    assert captures.intent(workshop.project_id, "no-id") is None


def test_its_tables_are_the_enabled_live_ones_of_cdc(workshop: Workshop, captures: Captures, source: Source) -> None:
    workshop.capture(source)
    cdc: dict[str, Any] = {"sync_type": SyncType.CDC, "discovered": {"primary_key": ["id"]}}
    wanted = [
        workshop.schema(source, name="a", sync_frequency="never", **cdc),
        workshop.schema(source, name="b", sync_frequency="15min", primary_key_columns=["x", "y"], **cdc),
        workshop.schema(source, name="c", sync_frequency="1hour", **cdc),
    ]
    workshop.schema(source, name="disabled", should_sync=False, **cdc)
    workshop.schema(source, name="deleted", deleted_at=NOON, **cdc)
    workshop.schema(source, name="another mode", sync_frequency="5min")
    other = workshop.source(prefix="other")
    workshop.schema(other, sync_frequency="1min", **cdc)

    intent = captures.intent(workshop.project_id, str(source.id))
    assert intent is not None
    keys = {"a": ("id",), "b": ("x", "y"), "c": ("id",)}
    assert intent.tables == tuple(
        CapturedSchema(str(schema.id), schema.name, keys[schema.name], str(schema.sync_frequency))
        for schema in sorted(wanted, key=lambda schema: schema.id)
    )
    assert intent.frequency == "15min"
    for schema in wanted[1:]:
        workshop.change(schema, should_sync=False)
    intent = captures.intent(workshop.project_id, str(source.id))
    assert intent is not None
    assert intent.frequency == "never"


def test_pages_have_all_by_source_id(workshop: Workshop, captures: Captures) -> None:
    sources = [workshop.source(prefix=f"p{number}") for number in range(5)]
    for number, each in enumerate(sources):
        workshop.capture(each, removing=number == 0)
    with workshop.database.transaction() as session:
        delete_source(session, session.get_one(Source, sources[1].id))
    ids = sorted(str(each.id) for each in sources)
    pages = [captures.page(None, 3), captures.page(ids[2], 3), captures.page(ids[4], 3)]
    assert [intent.source_id for page in pages for intent in page] == ids
    assert [len(page) for page in pages] == [3, 2, 0]
    removing = {intent.source_id for page in pages for intent in page if intent.removing}
    assert removing == {str(sources[0].id), str(sources[1].id)}


def test_what_is_being_set_up_is_nobody_elses(workshop: Workshop, captures: Captures, source: Source) -> None:
    capture = workshop.capture(source, removing=True, claimed_until=utc_now() + timedelta(minutes=5))
    assert captures.intent(workshop.project_id, str(source.id)) is None
    assert captures.page(None, 10) == []
    captures.removed(str(source.id))
    workshop.change(capture, claimed_until=utc_now() - timedelta(seconds=1))
    [intent] = captures.page(None, 10)
    assert intent.removing


def test_inputs_are_there_until_the_slot_is_gone(workshop: Workshop, captures: Captures, source: Source) -> None:
    workshop.capture(source)
    with workshop.database.transaction() as session:
        delete_source(session, session.get_one(Source, source.id))
    intent = captures.intent(workshop.project_id, str(source.id))
    assert intent is not None
    assert intent.removing
    assert captures.inputs(str(source.id)) == {"host": "db.example", "password": "hunter2"}
    for unknown in (str(uuid.uuid4()), "no-id"):
        with pytest.raises(NotFoundError):
            captures.inputs(unknown)


def test_with_a_project_go_its_captures(workshop: Workshop, captures: Captures, source: Source) -> None:
    kept = workshop.source(project_id=workshop.project(), prefix="kept")
    for each in (source, kept):
        workshop.capture(each)
    with workshop.database.transaction() as session:
        delete_project(session, workshop.project_id)
    assert {intent.source_id: intent.removing for intent in captures.page(None, 10)} == {
        str(source.id): True,
        str(kept.id): False,
    }


# How far it came


def test_a_capture_never_goes_back(workshop: Workshop, captures: Captures, source: Source) -> None:
    workshop.capture(source, position=10, latest_error="The source is away.")
    for sequence, position, minute in [(1, 20, 1), (3, 40, 3), (2, 30, 2), (3, 45, 4)]:
        captures.captured(str(source.id), 1, sequence, position, NOON + timedelta(minutes=minute))
    after = row(workshop, source)
    assert (after.sequence, after.position, after.captured_at) == (3, 45, NOON + timedelta(minutes=4))
    assert after.latest_error is None
    for epoch in (0, 2):
        captures.captured(str(source.id), epoch, 9, 99, NOON + timedelta(hours=1))
    assert row(workshop, source).sequence == 3
    captures.captured(str(uuid.uuid4()), 1, 1, 1, NOON)


def test_an_error_is_told_once(workshop: Workshop, captures: Captures, source: Source) -> None:
    workshop.capture(source)
    for message in ("Away.", "Away.", "Full.", "Away."):
        captures.failed(str(source.id), message)
    assert row(workshop, source).latest_error == "Away."
    assert [message for _, message, _ in events(workshop, source)] == ["Away.", "Full.", "Away."]
    captures.failed("no-id", "Away.")


def test_another_slot_is_another_epoch(workshop: Workshop, captures: Captures, source: Source) -> None:
    workshop.capture(source, sequence=9, position=1000, captured_at=NOON, cluster="one")
    for epoch in (1, 3, 2, 2):
        captures.renewed(str(source.id), epoch, 500, "two", reason="The slot is gone.")
    after = row(workshop, source)
    assert (after.epoch, after.sequence, after.position, after.captured_at) == (2, 0, 500, None)
    assert after.cluster == "two"
    [(level, message, fields)] = events(workshop, source)
    assert level == "warning"
    assert message.endswith("The slot is gone.")
    assert fields == {"event": "renewed", "epoch": 2, "position": 500, "reason": "The slot is gone."}


def test_what_is_watched_shows_how_it_grows(workshop: Workshop, captures: Captures, source: Source) -> None:
    workshop.capture(source)

    def watch(minute: int, retained: int | None) -> float | None:
        at = NOON + timedelta(minutes=minute)
        captures.watched(str(source.id), retained, 7, 2**40, "extended", at)
        return row(workshop, source).growth

    assert watch(0, 1000) is None
    assert watch(1, 7000) == 100
    assert watch(1, 9000) == 100, "the same look again"
    assert watch(2, 7000) == 50
    assert watch(3, 1000) == -25
    after = row(workshop, source)
    assert (after.retained_bytes, after.lag_bytes, after.limit_bytes, after.wal_status) == (1000, 7, 2**40, "extended")
    assert watch(4, None) is None


def test_events_are_kept_as_long_as_log_lines(workshop: Workshop, captures: Captures, source: Source) -> None:
    workshop.capture(source)
    captures.event(str(source.id), "info", "Begun.\0", {"event": "begun"})
    captures.event("no-id", "info", "Lost.", {})
    assert events(workshop, source) == [("info", "Begun.", {"event": "begun"})]
    captures.event(str(source.id), "warning", "Later.", {})
    with workshop.database.transaction() as session:
        first = session.exec(select(CaptureEvent).where(CaptureEvent.message == "Begun.")).one()
        first.at = NOON
    assert RunLogs(workshop.database).delete_before(NOON + timedelta(days=1)) == 1
    assert [message for _, message, _ in events(workshop, source)] == ["Later."]


# The end


def test_only_what_is_removing_is_removed(workshop: Workshop, captures: Captures, source: Source) -> None:
    capture = workshop.capture(source, epoch=4)
    captures.removed(str(source.id))
    with workshop.database.read() as session:
        assert set(captures_of(session, [source.id])) == {source.id}
    workshop.change(capture, removing=True)
    with workshop.database.read() as session:
        assert captures_of(session, [source.id]) == {}
    for _ in range(2):
        captures.removed(str(source.id))
    assert captures.page(None, 10) == []
    assert workshop.fresh(Source, source.id).capture_epoch == 4


def test_many_tell_at_once_and_the_furthest_holds(workshop: Workshop, captures: Captures, source: Source) -> None:
    workshop.capture(source)
    together = threading.Barrier(6)

    def tell(worker: int) -> None:
        together.wait(30)
        for step in range(10):
            sequence = step * 6 + worker
            captures.captured(str(source.id), 1, sequence, sequence * 10, NOON + timedelta(seconds=sequence))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(tell, range(6)))
    after = row(workshop, source)
    assert (after.sequence, after.position, after.captured_at) == (59, 590, NOON + timedelta(seconds=59))
