"""What runs in a child process: reading, staging, committing. Plain functions of picklable values."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from activities.messages import Extracted, ExtractInput, Plan, PublishInput, Run, SwapInput
from connectors import cursor, registry
from connectors.base import CursorRange, ReadRequest, RowFilter
from lake import query
from lake.position import Position
from lake.publish import Published, PublishPlan, publish as publish_staged, swap_in as swap_shadow_in
from lake.staging import RunRef, StagedBatch, stage
from lake.storage import LakeStore

Report = Callable[[int, int], None]

BATCH_ROWS = 2_000_000
"""A cursor read is cut after so many rows, at the next change of the cursor's value: what a crash may cost."""


@dataclass(frozen=True)
class Reading:
    order: ExtractInput
    config: Any
    read_id: str


@dataclass(frozen=True)
class TableFacts:
    """What the database shows of a table."""

    row_count: int
    size_bytes: int
    columns: list[dict[str, Any]]


def shadow_path(table_path: str, generation: int) -> str:
    """Root of the Delta table in which a rebuild grows."""
    return f"{table_path}/g{generation}"


def selection(run: Run) -> str:
    """Canonical text of which columns and rows are read; empty where all are."""
    if run.enabled_columns is None and not run.row_filter:
        return ""
    return json.dumps([run.enabled_columns, run.row_filter], sort_keys=True, separators=(",", ":"))
