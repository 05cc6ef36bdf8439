"""Where a table stands in the change log of its source: joining it, waiting for it, and whether it can go on."""

import time
from asyncio import AbstractEventLoop, run_coroutine_threadsafe
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from activities.heartbeat import POLL_SECONDS, attended, beating, stop_if_asked
from activities.messages import Run
from activities.run_log import RunLog
from connectors import registry
from connectors.capture import CaptureSetup, Capturing, FollowedTable
from connectors.errors import BusyError, ConfigurationError
from connectors.surroundings import Surroundings
from lake.changelog import ChangeLog, change_log_root
from lake.errors import StalePositionError
from lake.position import LogMark, Position
from lake.storage import LakeStore
from metadata.intents import CapturePlace
from metadata.runs import Runs
from scheduling.gateway import SyncGateway

Found = TypeVar("Found")

PATIENCE_SECONDS = 60.0
"""How long a thread waits for the capture, before that waits for its next attempt."""
FRESHENING_SECONDS = 20.0
FRESH = timedelta(seconds=30)
"""A run need not have captured what is younger, unless somebody asked for it."""

NOT_CAPTURED = "Change data capture is not enabled for this source: enable it, or choose another sync type."


@dataclass(frozen=True)
class Follower:
    """Within an activity: it heartbeats. Thread-safe."""

    runs: Runs
    store: LakeStore
    gateway: SyncGateway
    loop: AbstractEventLoop
    run_log: RunLog
    surroundings: Surroundings

    def place(self, run: Run) -> CapturePlace:
        """What the database knows of the capture; ``ConfigurationError`` where there is none."""
        intent = self.runs.intent(run.project_id, run.schema_id)
        if intent is None or intent.capture is None:
            raise ConfigurationError(NOT_CAPTURED)
        return intent.capture

    def broken(self, run: Run, position: Position) -> str | None:
        """Why changes cannot be folded into a table that stands there; None where they can."""
        mark, place = position.log, self.place(run)
        if mark is None:
            return "it was not read behind the change log"
        if mark.epoch != place.epoch:
            return "the log of the source had to be begun anew"
        changes = change_log(self.store, run)

        def look() -> str | None:
            if changes.head(mark.epoch, max(mark.sequence, place.sequence)) == mark.sequence:
                return None
            there = changes.entry(mark.epoch, mark.sequence + 1) is not None
            return None if there else "the change log does not reach back to where it stands"

        return attended(look)

    def left_out(self, run: Run, position: Position) -> str | None:
        """Why the entries behind a position do not have all changes of the table; None where they do."""
        mark = position.log
        assert mark is not None
        changes = change_log(self.store, run)

        def look() -> str | None:
            sequence, members = mark.sequence, mark.members
            while (entry := changes.entry(mark.epoch, sequence := sequence + 1)) is not None:
                if entry.members != members and run.schema_id not in changes.members(entry.members):
                    return "its changes were not captured for a while"
                members = entry.members
            return None

        return attended(look)

    def join(self, run: Run) -> LogMark:
        """The entry from which on the log holds what a read from now on may not show.

        It names the table as a member, in the shape that later changes of it have, and no transaction is under way any
        more that may have written to the table before it: such a one could be in an earlier entry, and yet be
        invisible to a read.
        """
        begun = datetime.now(UTC)
        mark = self._wait(run, lambda: self._membership(run, begun), "to come to this table")
        connector, config = self._source(run)
        told = 0
        with beating():
            waited_for = attended(lambda: connector.writers(config, run.schema_name))
            while waited_for:
                if len(waited_for) != told:
                    told = len(waited_for)
                    self.run_log.waiting(run, told)
                _pause(1.0)
                now = attended(lambda: connector.writers(config, run.schema_name))
                waited_for = waited_for & now
        return mark

    def freshen(self, run: Run, mark: LogMark) -> None:
        """Have the change log hold what was committed by now, where somebody asked for that or it is long since.

        A capture that does not get there is no reason not to go on with what the log has. ``StalePositionError`` where
        the log was begun anew: a table that stands at the mark is to be planned again.
        """
        if not self._is_wanting(run):
            return
        known = attended(lambda: change_log(self.store, run).head(mark.epoch, mark.sequence))
        try:
            self._await(run, mark, self._log_end(run), known, FRESHENING_SECONDS)
        except BusyError as error:
            self.run_log.capture_late(run, error.message)

    def _is_wanting(self, run: Run) -> bool:
        intent = self.runs.intent(run.project_id, run.schema_id)
        if intent is None or intent.capture is None:
            return False
        captured_at = intent.capture.captured_at
        if captured_at is None or (intent.asked_at is not None and intent.asked_at > captured_at):
            return True
        return not intent.capture.continuous and datetime.now(UTC) - captured_at > FRESH

    def _log_end(self, run: Run) -> int:
        connector, config = self._source(run)
        return attended(lambda: connector.log_end(config))

    def _source(self, run: Run) -> tuple[Capturing, Any]:
        connector = registry.connector(run.source_type)
        assert isinstance(connector, Capturing)
        return connector, connector.parse_config(self.runs.inputs(run.project_id, run.schema_id), self.surroundings)

    def await_horizon(self, run: Run, mark: LogMark) -> None:
        """Until the change log has all that a first read may have shown. ``BusyError`` where that takes longer,
        ``StalePositionError`` as ``freshen``.
        """
        self._await(run, mark, mark.horizon, mark.sequence, PATIENCE_SECONDS)

    def _await(self, run: Run, mark: LogMark, position: int, known: int, patience_seconds: float) -> None:
        """Until the log is there, by an entry behind the known one: of a server that took over, positions say nothing
        before the capture has found out.
        """
        changes = change_log(self.store, run)

        def reached() -> bool:
            place = self.place(run)
            if place.epoch != mark.epoch:
                raise StalePositionError("The log of the source had to be begun anew.")
            head = changes.head(place.epoch, max(place.sequence, known))
            newest = changes.entry(place.epoch, head) if head > known else None
            return newest is not None and newest.has_all_until(position)

        self._wait(run, reached, "to catch up", patience_seconds)

    def _membership(self, run: Run, since: datetime) -> LogMark | None:
        """``ConfigurationError`` where it was left out of what was captured since then for a reason of its own."""
        place, changes = self.place(run), change_log(self.store, run)
        if mark := changes.mark(place.epoch, place.sequence, run.schema_id):
            return mark
        if place.captured_at is not None and place.captured_at > since:
            self._check_table(run, place)
        return None

    def _check_table(self, run: Run, place: CapturePlace) -> None:
        connector, config = self._source(run)
        setup = CaptureSetup(place.slot, place.publication, place.managed)
        table = FollowedTable(run.schema_id, run.schema_name, tuple(run.primary_key))
        for problem in connector.capture_problems(config, setup, [table], existing=True):
            raise ConfigurationError(f"{problem.message} {problem.fix}")

    def _wait(
        self, run: Run, look: Callable[[], Found | None], what: str, patience_seconds: float = PATIENCE_SECONDS
    ) -> Found:
        """``BusyError`` with what keeps the capture, after some time: the next attempt waits on."""
        begun, triggered = time.monotonic(), 0.0
        # Each look is too short to have a heartbeat of its own.
        with beating():
            while not (found := attended(look)):
                if time.monotonic() - begun > patience_seconds:
                    reason = self.place(run).latest_error
                    told = f": {reason}" if reason else ""
                    raise BusyError(f"Waiting for the capture of the source's changes {what}{told}.".replace("..", "."))
                if time.monotonic() - triggered > 5:
                    run_coroutine_threadsafe(self.gateway.captures.trigger(run.source_id), self.loop).result(30)
                    triggered = time.monotonic()
                _pause(0.2)
        return found


def change_log(store: LakeStore, run: Run) -> ChangeLog:
    return ChangeLog(store, change_log_root(run.project_id, run.source_id))


def _pause(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stop_if_asked()
        time.sleep(POLL_SECONDS)
