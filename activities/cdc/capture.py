"""The steps of capturing: thin, they join a source's log to the change log and tell the database how far it is."""

import asyncio
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, CancelledError

from activities.cdc import capturing
from activities.cdc.capturing import Round
from activities.cdc.messages import Captured
from activities.child import Progress
from activities.children import Children
from activities.errors import StillRunningError, WorkerShutdownError, classify
from activities.heartbeat import attended, beating, stop_if_asked
from connectors import registry
from connectors.capture import CaptureRequest, CaptureSetup, Capturing, FollowedTable
from connectors.errors import BusyError, LogLostError
from connectors.surroundings import Surroundings
from lake.changelog import change_log_root
from lake.errors import StalePositionError
from lake.failpoints import reach
from lake.storage import LakeStore
from metadata.captures import Captures
from metadata.intents import CaptureIntent
from scheduling.contract import CaptureInput
from scheduling.gateway import SyncGateway

log = structlog.get_logger()

QUIET_SECONDS = 10.0
"""How long a thread waits for a round to stop, before that waits for its next attempt."""
PASSING_ATTEMPTS = 2
"""A source that is busy for longer is worth a word."""
AT_ONCE = "1min"
"""Tables of this frequency are brought up to date as soon as the change log has news of them."""


class CaptureActivities:
    """Registered as bound methods. They block, each on a thread of the worker's pool."""

    def __init__(
        self,
        captures: Captures,
        store: LakeStore,
        children: Children,
        gateway: SyncGateway,
        loop: asyncio.AbstractEventLoop,
        surroundings: Surroundings,
    ) -> None:
        self._captures = captures
        self._store = store
        self._children = children
        self._gateway = gateway
        self._loop = loop
        self._surroundings = surroundings

    @activity.defn(name="capture", no_thread_cancel_exception=True)
    def capture(self, order: CaptureInput) -> Captured:
        """One round. What an earlier attempt has written stays written; the source sends the rest again."""
        intent = self._captures.intent(order.project_id, order.source_id)
        if intent is None or intent.removing:
            self._await(self._gateway.captures.delete(order.source_id))
            return Captured(gone=True)
        try:
            return self._capture(intent)
        except (ApplicationError, CancelledError, WorkerShutdownError):
            raise
        except StalePositionError as error:
            raise BusyError("Another round wrote into the change log.", retry_after_seconds=1) from error
        except Exception as error:
            if not isinstance(error, BusyError) or activity.info().attempt > PASSING_ATTEMPTS:
                self._captures.failed(order.source_id, classify(error).message)
            raise

    @activity.defn(name="remove_capture", no_thread_cancel_exception=True)
    def remove_capture(self, order: CaptureInput) -> None:
        """Leave nothing behind: neither a schedule, nor at the source, nor in the change log."""
        intent = self._captures.intent(order.project_id, order.source_id)
        if intent is None or not intent.removing:
            return
        self._quieten(order.source_id)
        connector, config = self._connector(intent)
        try:
            attended(lambda: connector.tear_down_capture(config, _setup(intent)))
        except Exception as error:
            self._captures.failed(order.source_id, classify(error).message)
            raise
        with beating():
            self._store.delete_prefix(change_log_root(intent.project_id, intent.source_id))
        self._await(self._gateway.captures.delete(order.source_id))
        self._captures.removed(order.source_id)
        log.info("capture removed", source_id=order.source_id)

    def _quieten(self, source_id: str) -> None:
        """Return once nothing captures: a round that goes on could make a slot again."""
        deadline = time.monotonic() + QUIET_SECONDS
        with beating():
            while not self._await(self._gateway.captures.is_quiet(source_id)):
                stop_if_asked()
                if time.monotonic() > deadline:
                    raise StillRunningError
                time.sleep(0.2)

    def _capture(self, intent: CaptureIntent) -> Captured:
        connector, config = self._connector(intent)
        setup = _setup(intent)
        tables = [FollowedTable(one.schema_id, one.name, tuple(one.primary_key)) for one in intent.tables]

        def prepare() -> str | None:
            for name, problem in connector.publish_tables(config, setup, [table.name for table in tables]).items():
                # Its own run says so, too; the others are captured all the same.
                log.warning("table not published", source_id=intent.source_id, table=name, reason=problem.message)
            status = connector.capture_status(config, setup)
            if not status.slot_exists:
                raise LogLostError("The replication slot is gone.")
            if status.wal_status == "lost":
                raise LogLostError("The source no longer has the log that the slot needed.")
            moved = intent.cluster is not None and status.cluster != intent.cluster
            if moved or (status.log_end is not None and status.log_end < intent.position):
                raise LogLostError("The source is another server than before, or goes on from another point in time.")
            return status.cluster

        try:
            attended(prepare)
            return self._round(intent, connector, config, tables)
        except LogLostError as error:
            return self._renew(intent, connector, config, error.message)
        except BusyError:
            # Of this source one attempt is wanted at a time, and that is this one: another is a leftover.
            connector.cancel(config, _capture_id(intent))
            raise

    def _round(self, intent: CaptureIntent, connector: Capturing, config: Any, tables: list[FollowedTable]) -> Captured:
        begun = datetime.now(UTC)
        request = CaptureRequest(_setup(intent), tables, after=intent.position, capture_id=_capture_id(intent))
        captured = self._children.run(
            capturing.capture,
            self._store,
            Round(
                source_type=intent.source_type,
                config=config,
                request=request,
                root=change_log_root(intent.project_id, intent.source_id),
                epoch=intent.epoch,
                start=intent.position if intent.sequence == 0 else 0,
                sequence=intent.sequence,
                continuous=intent.continuous,
            ),
            on_progress=_Telling(self, intent),
            on_stop=lambda: connector.cancel(config, _capture_id(intent)),
        )
        with beating():
            self._captures.captured(intent.source_id, intent.epoch, captured.sequence, captured.position, begun)
        log.info("captured", source_id=intent.source_id, entries=captured.entries, changes=captured.changes)
        return captured

    def _renew(self, intent: CaptureIntent, connector: Capturing, config: Any, reason: str) -> Captured:
        """Begin again from now, as a new epoch: each table finds that its place in the log is gone, and is read anew
        behind the scenes while its old rows serve.
        """
        setup = _setup(intent)
        # Not to be left to come to its end unheard: what it makes must be known.
        with beating():
            connector.tear_down_capture(config, setup)
            position = connector.set_up_capture(config, setup, [one.name for one in intent.tables])
            cluster = connector.capture_status(config, setup).cluster
        reach("before-renewed")
        self._captures.renewed(intent.source_id, intent.epoch + 1, position, cluster, reason)
        log.warning("capture renewed", source_id=intent.source_id, epoch=intent.epoch + 1, reason=reason)
        raise ApplicationError(
            f"{reason} A new slot was made; the tables are read anew.", {"own": False}, type="log_renewed"
        )

    def told(self, intent: CaptureIntent, news: dict[str, Any]) -> None:
        """An entry was made: the database learns of it, and so do the tables that wait for nothing else."""
        self._captures.captured(intent.source_id, intent.epoch, news["sequence"], news["position"], None)
        waiting = {one.schema_id for one in intent.tables if one.sync_frequency == AT_ONCE}
        for schema_id in waiting.intersection(news["tables"]):
            request = f"{intent.source_id}-{intent.epoch}-{news['sequence']}-{schema_id}"
            try:
                self._await(self._gateway.trigger(schema_id, request))
            except Exception as error:
                # Its own schedule starts it soon all the same.
                log.warning("table not told of its changes", schema_id=schema_id, reason=repr(error))

    def _connector(self, intent: CaptureIntent) -> tuple[Capturing, Any]:
        connector = registry.connector(intent.source_type)
        if not isinstance(connector, Capturing):
            raise LogLostError(f"Sources of the type {intent.source_type} have no log of their changes.")
        return connector, connector.parse_config(self._captures.inputs(intent.source_id), self._surroundings)

    def _await(self, call: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(timeout=30)


class _Telling:
    """What a round tells of its entries. A database that cannot take it now hears it at the end of the round."""

    def __init__(self, activities: CaptureActivities, intent: CaptureIntent) -> None:
        self._activities = activities
        self._intent = intent

    def __call__(self, done: Progress) -> None:
        if done.told is None:
            return
        try:
            self._activities.told(self._intent, done.told)
        except Exception as error:
            log.warning("entry not recorded", source_id=self._intent.source_id, error=type(error).__name__)


def _setup(intent: CaptureIntent) -> CaptureSetup:
    return CaptureSetup(slot=intent.slot, publication=intent.publication, managed=intent.managed)


def _capture_id(intent: CaptureIntent) -> str:
    return f"capture-{intent.source_id}"
