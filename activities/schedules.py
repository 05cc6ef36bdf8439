"""Schedules as the settings want them: Temporal's list against the database, page by page."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from temporalio.exceptions import CancelledError

from activities.errors import WorkerShutdownError
from activities.heartbeat import stop_if_asked
from metadata.inventory import Inventory
from scheduling.gateway import ListedSchedule, SyncGateway

log = structlog.get_logger()

PAGE = 500
MOST_FAILURES_IN_A_ROW = 20
"""So many are no accident of one schema: something that all of them need is away."""


class Failures:
    """Counts what failed for one schema alone, and lets the others go on."""

    def __init__(self) -> None:
        self.count = 0
        self._in_a_row = 0

    @contextmanager
    def survived(self, event: str, schema_id: str) -> Iterator[None]:
        try:
            yield
        except (CancelledError, WorkerShutdownError):
            raise
        except Exception as error:
            # Whatever it is, it must not keep the schemas behind this one from being looked after.
            log.warning(event, schema_id=schema_id, reason=repr(error))
            self.count += 1
            self._in_a_row += 1
            if self._in_a_row >= MOST_FAILURES_IN_A_ROW:
                raise
        else:
            self._in_a_row = 0


class ScheduleRepair:
    """One round. Only what looks wrong in the list, or is not in it, is asked for by itself.

    What is held of each schedule is its id.
    """

    def __init__(
        self,
        inventory: Inventory,
        gateway: SyncGateway,
        wait: Callable[[Coroutine[Any, Any, Any]], Any],
        failures: Failures,
    ) -> None:
        self._inventory = inventory
        self._gateway = gateway
        self._wait = wait
        self._failures = failures

    def run(self) -> tuple[int, int]:
        """How many schedules were repaired, and how many without a schema removed."""
        repaired = removed = 0
        listed: set[str] = set()
        for page in self._pages():
            stop_if_asked()
            listed.update(one.schema_id for one in page)
            fixed, gone = self._compare(page)
            repaired, removed = repaired + fixed, removed + gone
        return repaired + self._make_missing(listed), removed

    def _pages(self) -> Iterator[list[ListedSchedule]]:
        pages = self._gateway.schedule_pages()

        async def following() -> list[ListedSchedule] | None:
            return await anext(pages, None)

        while (page := self._wait(following())) is not None:
            yield page

    def _compare(self, page: list[ListedSchedule]) -> tuple[int, int]:
        ids = [one.schema_id for one in page]
        intents = self._inventory.schedulable_among(ids)
        unknown = [schema_id for schema_id in ids if schema_id not in intents]
        strays = set(unknown) - self._inventory.live_schema_ids(unknown)
        repaired = 0
        for one in page:
            if one.schema_id not in intents:
                continue
            with self._failures.survived("schedule not repaired", one.schema_id):
                if not self._gateway.looks_right(intents[one.schema_id], one):
                    repaired += self._repair(one.schema_id)
        return repaired, sum(self._remove(schema_id) for schema_id in strays)

    def _make_missing(self, listed: set[str]) -> int:
        made = 0
        after: str | None = None
        while page := self._inventory.schedulable(after, PAGE):
            stop_if_asked()
            for schema_id in (intent.schema_id for intent in page if intent.schema_id not in listed):
                with self._failures.survived("schedule not repaired", schema_id):
                    made += self._repair(schema_id)
            after = page[-1].schema_id
        return made

    def _repair(self, schema_id: str) -> bool:
        """The list may lag and the page be old: what counts is what Temporal has and the settings say now."""
        stop_if_asked()
        intent = self._inventory.schedule_intent(schema_id)
        if intent is None or self._wait(self._gateway.schedule_matches(intent)):
            return False
        self._wait(self._gateway.ensure_schedule(intent))
        log.info("schedule repaired", schema_id=schema_id)
        return True

    def _remove(self, schema_id: str) -> bool:
        """A schedule whose schema is gone, if it is this installation's."""
        stop_if_asked()
        with self._failures.survived("stray schedule not removed", schema_id):
            if self._wait(self._gateway.is_ours(schema_id)):
                self._wait(self._gateway.delete_schedule(schema_id))
                log.info("stray schedule removed", schema_id=schema_id)
                return True
        return False
