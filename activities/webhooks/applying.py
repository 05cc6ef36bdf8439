"""Applying in a child process: what is in a table's inbox becomes rows and deleted keys of one batch.

Files of the inbox are deleted once a commit has their events: by the attempt that committed, or by the next run, whose
first look is at the table's ledger.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from activities.jobs import publish_plan, run_ref, table_root
from activities.messages import Extracted, Run
from activities.reading import TEXT, Read, Reading, as_dicts, is_short, note_of, request_of
from activities.webhooks.newest import Told, asked, identity_of, key_of, newest, news
from activities.webhooks.standing import alike, check_key, known_since
from connectors import registry
from connectors.base import ReadRequest, ValueWarning
from connectors.receiving import ObjectChange, Receiving
from lake import query
from lake.arrivals import stage_deleted
from lake.failpoints import reach
from lake.inbox import Inbox, InboxEvent, inbox_root, name_of
from lake.ledger import GONE_DAYS, Gone, Ledger, Ledgers, ledger_root
from lake.manifest import Manifest, save
from lake.orders import Key, own_columns, stored_orders, stored_rows
from lake.position import Position
from lake.publish import publish
from lake.staging import stage
from lake.storage import LakeStore
from lake.table import OpenTable, open_table

Report = Callable[[int, int, int | None], None]

MOST_FILES = 2_000
MOST_EVENTS = 50_000
MOST_BYTES = 2**26
"""Of one batch: what a crash may cost, and about a fourth of the memory that it takes."""
MOST_ASKED = 500
"""Objects of one batch that the provider is asked for, about: what was answered counts once it is committed."""
READERS = 8
WITHOUT_KEY = "an event tells of an object without a key"


def apply_events(report: Report, store: LakeStore, reading: Reading) -> Read:
    """Bring the table up to date with what came until now, or a batch of it. Published at once where it is short."""
    pa.set_memory_pool(pa.system_memory_pool())
    return _Applying(report, store, reading).run()


@dataclass(frozen=True)
class _Batch:
    """``changes``: with when they came, in seconds since the epoch."""

    names: tuple[str, ...]
    changes: list[tuple[ObjectChange, float]]
    more: bool


class _Applying:
    """One attempt."""

    def __init__(self, report: Report, store: LakeStore, reading: Reading) -> None:
        self._report = report
        self._store = store
        self._reading = reading
        self._run: Run = reading.order.run
        self._base = Position.from_dict(reading.plan.base)
        connector = registry.connector(self._run.source_type)
        assert isinstance(connector, Receiving)
        self._connector = connector
        self._inbox = Inbox(store, inbox_root(self._run.schema_id))
        self._ledgers = Ledgers(store, ledger_root(self._run.schema_id))
        # While the table is read the state is that of the read.
        self._state = self._base.state if self._base.loaded or not self._run.reads else None
        self._without_key = 0

    def run(self) -> Read:
        if self._reading.plan.rebuild and self._base.loaded:
            # All of it was read. It takes the table's place first: who else may put it there has it as it is now.
            return _nothing(more=False)
        begun_at = datetime.now(UTC)
        ledger = self._ledgers.read(self._state)
        self._inbox.delete(ledger.taken)
        batch = self._batch(set(ledger.taken))
        if not batch.names and self._base.loaded:
            return _nothing(more=batch.more)
        table = open_table(self._store, table_root(self._run, self._reading.plan))
        check_key(self._run, self._connector.discover(self._reading.config, [self._run.schema_name]), table)
        if table.position.sequence == self._base.sequence:
            self._ledgers.clear(self._state, begun_at)
        if self._state is None and self._run.reads:
            ledger = replace(ledger, since=known_since(table))
        told = self._told(batch.changes)
        while table.schema is None and batch.more and all(each.change.deleted for each in told.values()):
            # Of what is gone no table can be made, and without one nobody would know of it.
            batch = self._with_more(batch)
            told = self._told(batch.changes)
        keys = list(told)
        orders = stored_orders(table, self._run.primary_key, keys)
        stored = {key: order for key, order in zip(keys, orders, strict=True) if order is not None}
        found = news(told, stored, ledger, lambda same: self._held(table, same), self._ask)
        reach("applying")
        gone = self._gone(ledger.gone, found)
        if self._base.loaded and not found and gone == ledger.gone:
            # Nothing of it is new, whatever comes: no commit has to say so.
            self._inbox.delete(batch.names)
            return _nothing(more=batch.more)
        manifest, warnings = self._staged(table, found, set(stored))
        if manifest is None:
            return _nothing(more=batch.more)
        reach("staged")
        state = self._ledgers.keep(Ledger(batch.names, gone, ledger.since), self._state, ledger.gone)
        return self._committed(replace(manifest, state=state), batch, warnings)

    def _committed(self, manifest: Manifest, batch: _Batch, warnings: list[dict[str, Any]]) -> Read:
        order, plan = self._reading.order, self._reading.plan
        extracted = Extracted("", manifest.rows, manifest.size_bytes, more=batch.more, warnings=warnings)
        if not is_short(order, extracted):
            return Read(replace(extracted, manifest=save(self._store, self._run.table_path, manifest)))
        publishing = replace(publish_plan(self._run, plan, order.batch, last=True), note=note_of(extracted))
        published = publish(self._store, manifest, publishing)
        # An earlier attempt may have been faster: its commit has not the events that came since.
        if not plan.rebuild and published.position.state == manifest.state:
            self._inbox.delete(batch.names)
        return Read(extracted, published)

    def _batch(self, taken: set[str]) -> _Batch:
        """The oldest files, whole, until there are enough; several are fetched at once."""
        lying = self._inbox.files(MOST_FILES + 1 + len(taken))
        files = [each for each in lying if name_of(each.path) not in taken]
        names: list[str] = []
        changes: list[tuple[ObjectChange, float]] = []
        asked_for: set[str] = set()
        size = 0
        with ThreadPoolExecutor(READERS, "inbox") as pool:
            paths = [each.path for each in files[:MOST_FILES]]
            for path, found in zip(paths, _ahead(pool, self._inbox.read, paths), strict=False):
                told = list(self._changes(found))
                names.append(name_of(path))
                changes += told
                asked_for.update(identity_of(change) for change, _ in told if not change.whole)
                size += sum(len(event.body) for event in found)
                self._report(len(changes), size, None)
                if len(changes) >= MOST_EVENTS or size >= MOST_BYTES or len(asked_for) >= MOST_ASKED:
                    break
        return _Batch(tuple(names), changes, more=len(names) < len(files))

    def _with_more(self, batch: _Batch) -> _Batch:
        behind = self._batch(set(batch.names))
        return _Batch((*batch.names, *behind.names), [*batch.changes, *behind.changes], behind.more)

    def _changes(self, events: Sequence[InboxEvent]) -> Iterator[tuple[ObjectChange, float]]:
        config, table = self._reading.config, self._run.schema_name
        for event in events:
            for change in self._connector.changes(config, table, event.event_type, event.body, event.event_id):
                yield change, event.received_at

    def _told(self, changes: Sequence[tuple[ObjectChange, float]]) -> dict[Key, Told]:
        now = time.time()
        shown = [(change, came_at) for change, came_at in changes if change.whole]
        shown += [(each, now) for each in asked([change for change, _ in changes if not change.whole], self._ask)]
        self._without_key = 0
        return newest(self._keyed(shown))

    def _keyed(self, changes: Sequence[tuple[ObjectChange, float]]) -> Iterator[tuple[Key, ObjectChange, float]]:
        for change, came_at in changes:
            key = key_of(change.record, self._run.primary_key)
            if key is None:
                self._without_key += 1
            else:
                yield key, change, came_at

    def _ask(self, records: Sequence[Mapping[str, Any]]) -> Iterator[ObjectChange | None]:
        return self._connector.current(self._reading.config, self._run.schema_name, records)

    def _held(self, table: OpenTable, told: Mapping[Key, Told]) -> set[Key]:
        shown = {key: each for key, each in told.items() if not each.change.deleted}
        if not shown:
            return set()
        changes = [replace(each.change, order=each.order) for each in shown.values()]
        with self._connector.rows(self._reading.config, self._request(table), changes) as read:
            rows = [row for batch in read.batches() for row in batch.to_pylist()]
        stored = stored_rows(table, self._run.primary_key, list(shown))
        told_by = {key_of(row, self._run.primary_key): row for row in rows}
        return {key for key, row in stored.items() if alike(row, told_by.get(key))}

    def _gone(self, known: Mapping[Key, Gone], found: Mapping[Key, Told]) -> dict[Key, Gone]:
        """Without what is old, or has come back."""
        now = time.time()
        kept = {key: gone for key, gone in known.items() if gone.at > now - GONE_DAYS * 86_400 and key not in found}
        return kept | {key: Gone(told.order, now) for key, told in found.items() if told.change.deleted}

    def _staged(
        self, table: OpenTable, found: Mapping[Key, Told], stored: set[Key]
    ) -> tuple[Manifest | None, list[dict[str, Any]]]:
        """None where there is neither a table nor a row for one."""
        run = self._run
        changes = [replace(told.change, order=told.order) for told in found.values() if not told.change.deleted]
        # What the row filter has no place for now goes, too: of a key that is staged the row stays.
        deleted = [key for key, told in found.items() if key in stored and (told.change.deleted or run.row_filter)]
        warnings = [ValueWarning(run.primary_key[0], WITHOUT_KEY, self._without_key)] if self._without_key else []
        if changes:
            with self._connector.rows(self._reading.config, self._request(table), changes) as read:
                manifest = stage(
                    self._store,
                    run.table_path,
                    run_ref(run, self._reading.plan),
                    read.batches(),
                    read.schema,
                    batch=self._reading.order.batch,
                    primary_key=run.primary_key,
                    progress=lambda rows, size_bytes: self._report(rows, size_bytes, len(changes)),
                    ordered=True,
                )
                warnings = [*read.report.warnings, *warnings]
        elif table.schema is not None:
            manifest = Manifest(run.job_id, self._reading.order.batch, own_columns(table, run.primary_key))
        else:
            return None, as_dicts(warnings)
        ref = run_ref(run, self._reading.plan)
        files = stage_deleted(self._store, run.table_path, ref, manifest, run.primary_key, deleted)
        return replace(manifest, deleted=files), as_dicts(warnings)

    def _request(self, table: OpenTable) -> ReadRequest:
        texts = {} if table.schema is None else query.column_types(table)
        return request_of(self._reading, self._base, tuple(name for name, kind in texts.items() if kind == TEXT))


def _nothing(*, more: bool) -> Read:
    return Read(Extracted("", 0, 0, more=more, repeats=True))


def _ahead(
    pool: ThreadPoolExecutor, read: Callable[[str], list[InboxEvent]], paths: Sequence[str]
) -> Iterator[list[InboxEvent]]:
    """Some files are fetched while another one is looked at, and no more than that."""
    waiting: deque[Future[list[InboxEvent]]] = deque()
    for path in paths:
        waiting.append(pool.submit(read, path))
        if len(waiting) == READERS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
