"""Watching what sources keep for us: no source is ever endangered by its log."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime, timedelta

import structlog
from temporalio import activity

from activities.errors import classify
from activities.heartbeat import beating, stop_if_asked
from connectors import registry
from connectors.capture import CaptureSetup, CaptureStatus, Capturing
from connectors.deadline import patience
from connectors.surroundings import Surroundings
from lake.changelog import ChangeLog, change_log_root
from lake.storage import LakeStore
from metadata.captures import Captures
from metadata.intents import CaptureIntent
from scheduling.gateway import SyncGateway

log = structlog.get_logger()

PAGE = 100
AT_ONCE = 8
MIB = 2**20
SOURCE_SECONDS = 20.0
"""How long one source may take to answer: the others are looked at meanwhile, and it is again a minute later."""


class WatchActivities:
    """Each may be killed anywhere and run again."""

    def __init__(
        self,
        captures: Captures,
        store: LakeStore,
        gateway: SyncGateway,
        loop: asyncio.AbstractEventLoop,
        retention: timedelta,
        surroundings: Surroundings,
    ) -> None:
        self._captures = captures
        self._store = store
        self._gateway = gateway
        self._loop = loop
        self._retention = retention
        self._surroundings = surroundings

    @activity.defn(name="watch_captures", no_thread_cancel_exception=True)
    def watch_captures(self, _: None = None) -> int:
        """Look at every source whose changes are captured; how many could be."""
        looked = 0
        with beating(), ThreadPoolExecutor(AT_ONCE, "watch") as threads:
            for page in self._pages():
                stop_if_asked()
                looked += sum(threads.map(self._look_safely, page))
        return looked

    def _pages(self) -> Iterator[list[CaptureIntent]]:
        after: str | None = None
        while page := self._captures.page(after, PAGE):
            yield page
            after = page[-1].source_id

    def _look_safely(self, intent: CaptureIntent) -> bool:
        """One that cannot be looked after does not keep the others waiting."""
        try:
            copy_context().run(self._look, intent)
        except Exception as error:
            log.warning("capture not watched", source_id=intent.source_id, reason=classify(error).message)
            return False
        return True

    def _look(self, intent: CaptureIntent) -> None:
        # What the settings want of Temporal is looked at first: it needs no source.
        asyncio.run_coroutine_threadsafe(self._gateway.ensure_capture(intent), self._loop).result(30)
        if intent.removing:
            return
        self._prune(intent)
        connector = registry.connector(intent.source_type)
        if not isinstance(connector, Capturing):
            return
        config = connector.parse_config(self._captures.inputs(intent.source_id), self._surroundings)
        setup = CaptureSetup(intent.slot, intent.publication, intent.managed)
        with patience(SOURCE_SECONDS):
            status = connector.capture_status(config, setup)
            self._judge(intent, status, lambda: connector.tear_down_capture(config, setup))

    def _judge(self, intent: CaptureIntent, status: CaptureStatus, drop: Callable[[], None]) -> None:
        kept = status.retained_bytes or 0
        self._captures.watched(
            intent.source_id,
            status.retained_bytes,
            status.lag_bytes,
            status.limit_bytes,
            status.wal_status,
            status.observed_at or datetime.now(UTC),
        )
        if kept < intent.critical_mb * MIB:
            return
        log.warning("log of a source piles up", source_id=intent.source_id, kept_bytes=kept)
        if intent.auto_drop and intent.managed and status.slot_exists:
            drop()
            self._captures.failed(
                intent.source_id,
                f"The source kept {kept // MIB:,} MB of its log for the slot {intent.slot}, so it was dropped to save "
                "its disk. The tables are read anew.",
            )

    def _prune(self, intent: CaptureIntent) -> None:
        """Entries that are old enough go, and all of epochs that are over."""
        before = datetime.now(UTC) - self._retention
        changes = ChangeLog(self._store, change_log_root(intent.project_id, intent.source_id))
        changes.prune(intent.epoch, before)
