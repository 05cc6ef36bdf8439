"""A table of Stripe's customers that is kept by its inbox, without a server: one call is one run's step."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from activities.jobs import publish_plan
from activities.messages import Extracted, ExtractInput, Plan, Run
from activities.reading import Reading, extract
from activities.webhooks import applying
from connectors.outbound import OPEN
from connectors.registry import connector
from connectors.surroundings import Surroundings
from lake.dataset import open_dataset
from lake.inbox import Inbox, InboxEvent, inbox_root
from lake.manifest import RunRef
from lake.position import EMPTY, Position
from lake.publish import Published, fence, publish, swap_in
from lake.storage import LakeStore
from lake.table import open_table

NOWHERE = "http://127.0.0.1:9"
Row = dict[str, Any]


def customer(number: int, name: str) -> Row:
    return {"id": f"cus_{number}", "object": "customer", "name": name, "created": 1_700_000_000, "balance": 0}


def event(kind: str, told: Row, created: int) -> InboxEvent:
    body = {"id": f"evt_{created}_{told['name']}", "type": kind, "created": created, "data": {"object": told}}
    return InboxEvent(kind, json.dumps(body).encode(), float(created))


class InboxTable:
    """As a run finds it; ``loaded``, with no row, from the beginning."""

    def __init__(
        self, store: LakeStore, base_url: str = NOWHERE, inputs: dict[str, str] | None = None, **settings: Any
    ) -> None:
        self.store = store
        self.inbox = Inbox(store, inbox_root("schema"))
        self.run = Run(
            1, "source", "schema", "Stripe", "customers", "customers", "1/customers", "job", 1, 1, "webhook",
            primary_key=["id"], key_detected=True,
        )  # fmt: skip
        self.run = replace(self.run, **settings)
        inputs = inputs or {"api_key": "rk_test_1", "base_url": base_url}
        self._config = connector(self.run.source_type).parse_config(inputs, Surroundings(OPEN))

    def put(self, *events: InboxEvent) -> None:
        self.inbox.put(events)

    def read(self, *, rebuild: bool = False) -> Position:
        """All that the provider has; into the table, or into the one that is to take its place."""
        self.begin()
        if rebuild:
            fence(self.store, self.run.table_path, RunRef(self.run.job_id, self.run.fence, self.run.generation))
            self.run = replace(self.run, generation=self.run.generation + 1)
        base = replace(EMPTY, mode="webhook", primary_key=tuple(self.run.primary_key))
        read = extract(_unreported, self.store, self._reading(base, 0, rebuild=rebuild))
        assert read.published is not None
        return read.published.position

    def swap_in(self, rebuilt: Position) -> None:
        plan = self._reading(rebuilt, 1, rebuild=True).plan
        swap_in(self.store, publish_plan(self.run, plan, 1, last=True))

    def begin(self) -> Position:
        """A run of its own; where its first batch begins."""
        self.run = replace(self.run, fence=self.run.fence + 1, job_id=f"job{self.run.fence + 1}")
        position = open_table(self.store, self.run.table_path).position
        return replace(position, loaded=True, mode="webhook", primary_key=tuple(self.run.primary_key))

    def apply(self) -> list[Extracted]:
        """All batches of a run of its own."""
        position = self.begin()
        done: list[Extracted] = []
        while not done or done[-1].more:
            extracted, published = self.step(position, len(done))
            done.append(extracted)
            if published is not None:
                position = published.position
        return done

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        found = open_dataset(self.store, self.run.table_path)
        if found is None:
            return []
        table = found.to_table(list(columns))
        return sorted(zip(*(table.column(name).to_pylist() for name in columns), strict=True))

    def left(self) -> Sequence[str]:
        return [each.path for each in self.inbox.files(1000)]

    def step(self, position: Position, batch: int, *, rebuild: bool = False) -> tuple[Extracted, Published | None]:
        """One attempt of a batch that builds on the position."""
        reading = self._reading(position, batch, rebuild=rebuild)
        read = applying.apply_events(_unreported, self.store, reading)
        if read.published is None and read.extracted.manifest:
            last = not read.extracted.more
            return read.extracted, publish(
                self.store, read.extracted.manifest, publish_plan(self.run, reading.plan, batch, last=last)
            )
        return read.extracted, read.published

    def _reading(self, base: Position, batch: int, *, rebuild: bool) -> Reading:
        plan = Plan(self.run.generation, rebuild=rebuild, base=base.as_dict())
        return Reading(ExtractInput(self.run, plan, batch), plan, self._config, "read", 2**28)


def _unreported(rows: int, size_bytes: int, expected: int | None) -> None:
    """Nobody watches."""
