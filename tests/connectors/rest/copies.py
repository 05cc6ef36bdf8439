"""Tables of a source copied into a lake by the steps that the platform's runs have, and held against the source."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa

from activities.jobs import publish_plan
from activities.messages import Extracted, ExtractInput, Plan, Run
from activities.planning import Intent, decide
from activities.reading import Reading, extract
from connectors.base import DiscoveredTable
from connectors.errors import SourceError
from connectors.rest.config import RestConfig
from lake.position import EMPTY, Position
from lake.publish import Published, publish, swap_in
from lake.storage import LakeStore
from lake.table import open_table

PATIENCE = 50
"""How often a step is tried."""
Row = dict[str, Any]


@dataclass
class Copied:
    """A table in the lake. ``failed``: what ended attempts of its runs, which went on all the same."""

    store: LakeStore
    source_type: str
    table: DiscoveredTable
    mode: str
    failed: list[SourceError] = field(default_factory=list)
    batches: int = 0
    _runs: int = 0

    @property
    def path(self) -> str:
        return f"1/rest/{self.mode}_{self.table.name}"

    def run(self, config: RestConfig) -> None:
        """To its end, each step as often as it takes. What does not pass by itself is raised, and ends the run."""
        self._runs += 1
        run = self._begun()
        batch, last = 0, self._batch(run, config, 0, self._base(run))
        while last[1].more:
            batch += 1
            last = self._batch(run, config, batch, last[0].position)
        if run.mode == "full_refresh":
            plan = Plan(run.generation, rebuild=True, base=last[0].position.as_dict())
            swap_in(self.store, publish_plan(run, plan, batch, last=True))

    def rows(self) -> list[Row]:
        frame = pl.read_delta(self.store.uri(self.path))
        return frame.select([name for name in frame.columns if not name.startswith("_sync_")]).to_dicts()

    def position(self) -> Position:
        return open_table(self.store, self.path).position

    def _begun(self) -> Run:
        is_whole = self.mode == "full_refresh"
        (cursor, *_) = self.table.incremental_fields or (None,)
        return Run(
            1, "s", "t", self.source_type, self.table.name, self.table.name, self.path, f"j{self._runs}", self._runs,
            generation=self._runs if is_whole else 1,
            mode=self.mode,
            primary_key=list(self.table.primary_key),
            key_detected=True,
            cursor_field=None if is_whole or cursor is None else cursor.field,
            cursor_type=None if is_whole or cursor is None else cursor.field_type,
        )  # fmt: skip

    def _base(self, run: Run) -> Position:
        """What the first batch builds on."""
        is_whole = run.mode == "full_refresh"
        key = () if is_whole else tuple(run.primary_key)
        intent = Intent(run.mode, run.generation, key, run.cursor_field, batches_of=run.job_id if is_whole else None)
        return decide(intent, self.position(), EMPTY).base

    def _batch(self, run: Run, config: RestConfig, batch: int, base: Position) -> tuple[Published, Extracted]:
        plan = Plan(run.generation, rebuild=run.mode == "full_refresh", base=base.as_dict())
        reading = Reading(ExtractInput(run, plan, batch), plan, config, "test-read", 2**30)
        for _ in range(PATIENCE):
            try:
                with _memory():
                    read = extract(lambda rows, size_bytes, estimate: None, self.store, reading)
            except SourceError as error:
                if not error.retryable:
                    raise
                self.failed.append(error)
                continue
            self.batches += 1
            found = read.extracted
            last = publish_plan(run, plan, batch, last=not found.more)
            return read.published or publish(self.store, found.manifest, last), found
        raise AssertionError(f"tried {PATIENCE} times: {self.failed[-1].message}")


def differences(
    rows: Iterable[Mapping[str, Any]], objects: Mapping[Any, Iterable[Mapping[str, Any]]], key: Any
) -> list[str]:
    """What rows and objects do not have in common; of each object any of its versions will do."""
    found, seen = [], set()
    for row in rows:
        name = key(row)
        if name in seen:
            found.append(f"{name} twice")
        seen.add(name)
        versions = list(objects.get(name, ()))
        if not versions:
            found.append(f"{name} is too much")
        elif not any(_is_same(row, each) for each in versions):
            found.append(f"{name} is {row}, not {versions[-1]}")
    return found + [f"{name} is missing" for name in objects if name not in seen]


def _is_same(row: Mapping[str, Any], made: Mapping[str, Any]) -> bool:
    return all(_is_value(row.get(name), value) for name, value in made.items())


def _is_value(found: Any, made: Any) -> bool:
    """Of a row, and as the API gives it."""
    if found is None or made is None:
        return found is made
    if isinstance(found, datetime):
        moment = datetime.fromtimestamp(made, UTC) if isinstance(made, int) else datetime.fromisoformat(made)
        return found == moment
    if isinstance(made, dict | list):
        return bool(json.loads(found) == made)
    return bool(found == (str(made) if isinstance(found, str) else made))


@contextmanager
def _memory() -> Iterator[None]:
    """Reading takes the system's, as its process is its own."""
    before = pa.default_memory_pool()
    try:
        yield
    finally:
        pa.set_memory_pool(before)
