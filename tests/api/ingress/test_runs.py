"""Runs of what has events: asked for within seconds, once for many events, and not for what nobody wants any more."""

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from temporalio.client import Client, ScheduleDescription

from api.ingress import left, runs
from lake.inbox import Inbox, InboxEvent, inbox_root, name_of
from lake.storage import LakeStore
from metadata.database import Database
from metadata.intents import ScheduleIntent
from metadata.keys import FIRST_PROJECT_ID, ensure_bootstrap
from metadata.models import Schema
from metadata.vault import Vault, generate_key
from scheduling.gateway import SyncGateway
from tests.api.ingress.conftest import Served, serving
from tests.api.ingress.test_receiving import event
from tests.kit.hooks import Hook, make_hook
from tests.kit.platform import eventually
from tests.kit.servers import RunningStore, RunningTemporal, run_temporal

T = TypeVar("T")


class Temporal:
    """What the test asks of Temporal itself."""

    def __init__(self, server: RunningTemporal) -> None:
        self._server = server

    def schedule(self, hook: Hook, table: str = "customers") -> None:
        """As enabling makes it; nobody polls for what it starts."""
        intent = ScheduleIntent(
            project_id=FIRST_PROJECT_ID,
            source_id=hook.source_id,
            source_type="Webhook",
            schema_id=hook.schemas[table],
            schema_name=table,
            table_name=table,
            should_sync=True,
            sync_frequency="never",
            sync_time_of_day=None,
            enabled_at=None,
            erase_pending=False,
        )
        self._ask(lambda client: SyncGateway(client, "nobody").ensure_schedule(intent))

    def found(self, hook: Hook, table: str = "customers") -> ScheduleDescription:
        return self._ask(lambda client: client.get_schedule_handle(hook.schemas[table]).describe())

    def asked(self, hook: Hook) -> tuple[int, int]:
        """How many runs are active, and how many are to follow."""
        info = self.found(hook).raw_description.info
        return len(info.running_workflows), info.buffer_size

    def _ask(self, call: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        async def ask() -> T:
            client = await Client.connect(self._server.address, namespace=self._server.namespace)
            return await call(client)

        return asyncio.run(ask())


@pytest.fixture
def at(temporal: RunningTemporal) -> Temporal:
    return Temporal(temporal)


@pytest.fixture
def eager(
    sqlite_metadata_url: str, object_store: RunningStore, temporal: RunningTemporal, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """Asks for runs every second."""
    monkeypatch.setattr(runs, "QUIET_SECONDS", 0.5)
    url = object_store.new_url()
    with serving(sqlite_metadata_url, url, object_store, temporal.address, webhook_apply_seconds=1) as served:
        yield served


def test_a_run_follows_events_and_one_more_those_that_come_meanwhile(eager: Served, at: Temporal) -> None:
    hook = eager.hook()
    at.schedule(hook)
    begun = time.monotonic()
    for number in range(5):
        assert eager.send(hook, event(number)).status_code == 200
    eventually(lambda: at.asked(hook)[0] == 1, "a run", 10)
    assert time.monotonic() - begun >= 0.5
    for number in range(5):
        eager.send(hook, event(number))
        time.sleep(0.3)
    eventually(lambda: at.asked(hook) == (1, 1), "one more", 10)
    time.sleep(1.5)
    assert at.asked(hook) == (1, 1)


def test_what_is_disabled_meanwhile_gets_no_run(eager: Served, at: Temporal) -> None:
    hook, other = eager.hook(), eager.hook()
    for each in (hook, other):
        at.schedule(each)
        eager.send(each, event(1))
    eager.change(Schema, hook.schemas["customers"], should_sync=False)
    eventually(lambda: at.asked(other) == (1, 0), "the run of the other one", 10)
    assert at.asked(hook) == (0, 0)


def test_without_a_schedule_nothing_is_asked_for(eager: Served, at: Temporal) -> None:
    hook, other = eager.hook(), eager.hook()
    at.schedule(other)
    eager.send(hook, event(1))
    time.sleep(0.7)
    eager.send(other, event(1))
    eventually(lambda: at.asked(other) == (1, 0), "the run of the other one", 10)


def test_events_whose_process_died_are_found(
    sqlite_metadata_url: str,
    object_store: RunningStore,
    temporal: RunningTemporal,
    at: Temporal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before this one started, and while it runs; of those only whose events are wanted."""
    monkeypatch.setattr(left, "OLD_SECONDS", 1.0)
    monkeypatch.setattr(left, "LOOK_EVERY_SECONDS", 0.3)
    url, keys, database = object_store.new_url(), generate_key(), Database(sqlite_metadata_url)
    with database.transaction() as session:
        ensure_bootstrap(session, None)
    before, after = (make_hook(database, Vault([keys])) for _ in range(2))
    unwanted = make_hook(database, Vault([keys]), customers=False)
    for each in (before, after, unwanted):
        at.schedule(each)
    store = LakeStore(
        url, object_store.endpoint, object_store.access_key_id, object_store.secret_access_key, object_store.region
    )
    for each in (before, unwanted):
        put(store, each.schemas["customers"])
    with serving(sqlite_metadata_url, url, object_store, temporal.address, encryption_keys=keys):
        eventually(lambda: at.asked(before)[0] == 1, "a run of what was left", 10)
        put(store, after.schemas["customers"])
        eventually(lambda: at.asked(after)[0] == 1, "a run of what another process left", 10)
        assert at.asked(unwanted) == (0, 0)
    database.dispose()


@pytest.mark.long
def test_while_temporal_is_away_runs_are_kept_in_mind(sqlite_metadata_url: str, object_store: RunningStore) -> None:
    with run_temporal(in_memory=False) as temporal:
        at, url = Temporal(temporal), object_store.new_url()
        with serving(sqlite_metadata_url, url, object_store, temporal.address, webhook_apply_seconds=1) as served:
            hook = served.hook()
            at.schedule(hook)
            temporal.kill()
            assert served.send(hook, event(1)).status_code == 200
            time.sleep(2)
            temporal.restart()
            eventually(lambda: at.asked(hook)[0] == 1, "the run", 60)


# Inboxes with old files


class Asked:
    """``api.ingress.runs.Runs``, as far as it is told of inboxes."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def note(self, schema_id: str) -> None:
        self.ids.append(schema_id)

    def taken(self) -> list[str]:
        ids, self.ids = self.ids, []
        return ids


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_each_inbox_is_looked_at_by_its_oldest_file(
    kind: str, tmp_path: Path, object_store: RunningStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LakeStore(f"file://{tmp_path}")
    if kind == "bucket":
        keys = (object_store.access_key_id, object_store.secret_access_key)
        store = LakeStore(object_store.new_url(), object_store.endpoint, *keys)
    asked = Asked()
    looking = left.LeftInboxes(store, asked)  # type: ignore[arg-type]
    looking.look()
    assert asked.taken() == []
    ids = sorted(str(uuid.uuid4()) for _ in range(4))
    for schema_id in ids * 3:
        put(store, schema_id)
    looking.look()
    assert asked.taken() == [], "too young"
    monkeypatch.setattr(left, "OLD_SECONDS", -5.0)
    looking.look()
    assert asked.taken() == ids
    looking.look()
    assert asked.taken() == [], "asked for a moment ago"
    inbox = Inbox(store, inbox_root(ids[0]))
    (oldest,) = inbox.files(1)
    inbox.delete([name_of(oldest.path)])
    looking.look()
    assert asked.taken() == ids[:1], "there was a run, and there is more"


def test_what_is_being_written_into_a_folder_is_no_file_yet(tmp_path: Path) -> None:
    store, schema_id = LakeStore(f"file://{tmp_path}"), str(uuid.uuid4())
    put(store, schema_id)
    inbox = Inbox(store, inbox_root(schema_id))
    (whole,) = inbox.files(10)
    Path(tmp_path, whole.path).with_name(f".{name_of(whole.path)}.{uuid.uuid4().hex}").write_bytes(b"half")
    assert inbox.files(10) == [whole]


def test_what_no_run_takes_is_asked_for_ever_more_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left, "OLD_SECONDS", -5.0)
    now = 0.0
    monkeypatch.setattr(left.time, "monotonic", lambda: now)
    store, asked = LakeStore(f"file://{tmp_path}"), Asked()
    put(store, str(uuid.uuid4()))
    looking = left.LeftInboxes(store, asked)  # type: ignore[arg-type]
    when = []
    while now < 4_000:
        looking.look()
        if asked.taken():
            when.append(now)
        now += 30
    assert when == [0, 30, 90, 210, 450, 930, 1830, 2730, 3630]


def put(store: LakeStore, schema_id: str) -> None:
    Inbox(store, inbox_root(schema_id)).put([InboxEvent("a", b"{}", time.time())])
