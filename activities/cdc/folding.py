"""Folding in a child process: what the change log has of a table, into staged rows and deleted keys."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from activities.jobs import folding_of, publish_plan
from activities.messages import Extracted, ExtractInput, Plan, Run
from activities.reading import Read, is_short, note_of
from lake.changelog import ChangeLog, Entry, Segment, change_log_root
from lake.failpoints import reach
from lake.fold import fold
from lake.history import record
from lake.manifest import save
from lake.position import LogMark, Position
from lake.publish import publish
from lake.storage import LakeStore

Report = Callable[[int, int, int | None], None]

MOST_CHANGES = 2_000_000
"""Of one batch, but for an entry that has more: what a crash may cost."""
FOLLOWED_BYTES = 40
"""What each change takes that must be told from the others."""
KEPT_ALIVE = timedelta(days=1)
"""A table without changes says where it stands so often: entries are not kept for ever."""


@dataclass(frozen=True)
class FoldOrder:
    """``memory_bytes``: of the process that folds."""

    order: ExtractInput
    plan: Plan
    memory_bytes: int


class TableChangedError(Exception):
    """The table was changed at its source in a way that a read of it shows and its log does not, or not at a price that
    can be paid: it must be read anew.
    """


def fold_changes(report: Report, store: LakeStore, folding: FoldOrder) -> Read:
    """Fold what is behind the table's position. A short batch is published too."""
    pa.set_memory_pool(pa.system_memory_pool())
    order, plan, run = folding.order, folding.plan, folding.order.run
    base = Position.from_dict(plan.base)
    assert base.log is not None
    changes = ChangeLog(store, change_log_root(run.project_id, run.source_id))
    entries, more = _entries(changes, run, base.log)
    if run.is_history:
        # Up to a gap: the next plan looks for one, and closes it.
        whole, entries = len(entries), _before_gap(changes, run, base.log, entries)
        if plan.rebuild and len(entries) < whole:
            raise TableChangedError("its changes were not captured for a while")
    else:
        _check_shapes(changes, run, base.log, entries)
    if not entries:
        return Read(_nothing(0))
    newest = entries[-1]
    mark = replace(base.log, sequence=newest.sequence, position=newest.position, members=newest.members)
    behind = mark.position < base.log.horizon
    segments = _segments(run, entries)
    rows = sum(segment.rows for segment in segments)
    if not run.is_history:
        _check_size(segments, rows, folding.memory_bytes)
    if not segments and base.loaded and not behind and not more and not _is_stale(changes, base.log, newest):
        return Read(_nothing(0))
    reach("folding")
    make = record if run.is_history else fold
    manifest = make(store, segments, folding_of(report, run, plan, order.batch, mark, rows))
    reach("staged")
    extracted = Extracted(
        manifest="",
        rows=rows,
        size_bytes=manifest.size_bytes,
        more=more or behind,
        row_estimate=rows,
        warnings=_warnings(segments),
    )
    if is_short(order, extracted):
        published = replace(
            publish_plan(run, plan, order.batch, last=True), note=note_of(extracted), keep_alive=not segments
        )
        return Read(extracted, publish(store, manifest, published))
    return Read(replace(extracted, manifest=save(store, run.table_path, manifest)))


def _nothing(rows: int) -> Extracted:
    return Extracted("", rows, 0, more=False, repeats=True)


def _entries(changes: ChangeLog, run: Run, mark: LogMark) -> tuple[list[Entry], bool]:
    """Those behind the mark, as many as one batch may have, and whether there are more."""
    found: list[Entry] = []
    rows = 0
    while (entry := changes.entry(mark.epoch, mark.sequence + len(found) + 1)) is not None:
        more = sum(segment.rows for segment in entry.segments.get(run.schema_id, ()))
        if found and rows + more > MOST_CHANGES:
            return found, True
        found.append(entry)
        rows += more
    return found, False


def _before_gap(changes: ChangeLog, run: Run, mark: LogMark, entries: list[Entry]) -> list[Entry]:
    """Those before the first whose capture left the table out."""
    members = mark.members
    for number, entry in enumerate(entries):
        if entry.members != members and run.schema_id not in changes.members(entry.members):
            return entries[:number]
        members = entry.members
    return entries


def _segments(run: Run, entries: list[Entry]) -> list[Segment]:
    return [segment for entry in entries for segment in entry.segments.get(run.schema_id, ())]


def _check_shapes(changes: ChangeLog, run: Run, mark: LogMark, entries: list[Entry]) -> None:
    """``TableChangedError`` where rows may have changed without a trace in the log since the table's position."""
    known = changes.members(mark.members).get(run.schema_id)
    digest = mark.members
    for entry in entries:
        if entry.members == digest:
            continue
        digest = entry.members
        member = changes.members(digest).get(run.schema_id)
        if known is None or member is None:
            raise TableChangedError("its changes were not captured for a while")
        if reason := _untold(known["shape"], member["shape"]):
            raise TableChangedError(reason)
        known = member


def _check_size(segments: list[Segment], rows: int, memory_bytes: int) -> None:
    """``TableChangedError`` where memory would depend on how much one transaction changed."""
    followed = any(one.has_deletes or one.has_moves or one.has_unchanged for one in segments)
    if followed and rows * FOLLOWED_BYTES > memory_bytes // 2:
        raise TableChangedError(f"one transaction made {rows:,} changes of it, more than are followed one by one")


def _untold(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """What changed of a table, between two looks at it, that may have changed rows without a trace in the log."""
    if before["identity"] != after["identity"]:
        return "it was dropped and made anew"
    if before["publication"] != after["publication"]:
        return "it was taken out of the publication for a while"
    if any(after["parts"].get(part) != storage for part, storage in before["parts"].items()):
        return "a partition was emptied, rewritten, detached or dropped"
    if any(part not in before["parts"] for part in after["attached"]):
        return "a table was attached to it as a partition"
    rewritten = before["storage"] != after["storage"]
    numbers = {column["number"]: name for name, column in before["columns"].items()}
    for name, column in after["columns"].items():
        if numbers.get(column["number"], name) != name:
            return f"the column {numbers[column['number']]} is called {name} now"
        if reason := _untold_of(name, before["columns"].get(name), column, rewritten):
            return reason
    return None


def _untold_of(name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any], rewritten: bool) -> str | None:
    if old is None or old["number"] != new["number"]:
        # One of that name that is gone has left its values in the lake.
        filled = new["filled"] or rewritten or old is not None
        return f"the column {name} may have values in old rows" if filled else None
    if old["logged"] != new["logged"]:
        return f"the column {name} {'is' if new['logged'] else 'is no longer'} in the source's log"
    if rewritten and old["revision"] != new["revision"]:
        return f"the column {name} was {old['type']} and is {new['type']} now"
    return None


def _is_stale(changes: ChangeLog, mark: LogMark, newest: Entry) -> bool:
    """Whether the table's own mark is so old that the entry behind it may go."""
    at = changes.entry(mark.epoch, mark.sequence + 1) or newest
    return datetime.now(UTC) - datetime.fromisoformat(at.captured_at) > KEPT_ALIVE


def _warnings(segments: list[Segment]) -> list[dict[str, Any]]:
    counts: Counter[tuple[str, str]] = Counter()
    for segment in segments:
        for warning in segment.warnings:
            counts[warning["column"], warning["reason"]] += warning["count"]
    return [{"column": column, "reason": reason, "count": count} for (column, reason), count in counts.items()]
