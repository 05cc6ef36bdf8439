"""What the steps of a run write into its log, for the people who own the table.

A log that cannot be written is never a reason for a run to fail or to stop.
"""

import time

import structlog

from activities.messages import Extracted, ExtractInput, Plan, Run
from activities.reading import Read
from lake.maintenance import Maintained
from lake.publish import Published
from metadata.logs import Line, RunLogs
from metadata.models import LogLevel

log = structlog.get_logger()


class RunLog:
    """Thread-safe."""

    def __init__(self, logs: RunLogs) -> None:
        self._logs = logs

    def planned(self, run: Run, action: str, reason: str) -> None:
        because = f", because {reason}" if reason else ""
        self._write(run, Line(f"Planned: {action}{because}.", {"event": "planned", "action": action, "reason": reason}))

    def waiting(self, run: Run, writers: int) -> None:
        """A table's first read waits for transactions of others."""
        those = "transaction that has" if writers == 1 else "transactions that have"
        text = f"Waiting for the end of {writers:,} {those} written to the table and may not be seen yet."
        self._write(run, Line(text, {"event": "waiting", "writers": writers}))

    def capture_late(self, run: Run, message: str) -> None:
        text = f"{message} The table gets what was captured before."
        self._write(run, Line(text, {"event": "capture_late"}, LogLevel.WARNING))

    def reading_again(self, order: ExtractInput, attempt: int) -> None:
        """Nothing is written for a first attempt: what it read says enough."""
        if attempt == 1 and not order.narrow:
            return
        what = _what(order)
        steps = " in small steps, for it did not fit into the memory" if order.narrow else ""
        fields = {"event": "reading", "batch": order.batch + 1, "attempt": attempt, "narrow": order.narrow}
        self._write(order.run, Line(f"Reading {what} again{steps}, attempt {attempt}.", fields | _part(order)))

    def read(self, order: ExtractInput, plan: Plan, read: Read, begun: float) -> None:
        """What was read and, where it was published at once, that too. ``begun`` by ``time.monotonic``."""
        lines = [Line(f"The source's program said: {each}", {"event": "said"}) for each in read.extracted.said]
        lines.append(_read_line(order, read.extracted, time.monotonic() - begun))
        lines += _published_lines(plan, order.batch, read.published) if read.published else []
        self._write(order.run, *lines)

    def read_anew(self, run: Run, reason: str) -> None:
        text = f"The table is read anew, because {reason}; its rows serve until that is done."
        self._write(run, Line(text, {"event": "read_anew", "reason": reason}, LogLevel.WARNING))

    def folded(self, order: ExtractInput, plan: Plan, read: Read, begun: float) -> None:
        """What came from the change log. ``begun`` by ``time.monotonic``."""
        extracted, seconds = read.extracted, time.monotonic() - begun
        if extracted.repeats:
            lines = [Line("No changes in the change log.", {"event": "folded", "changes": 0})]
        else:
            more = "; the log has more" if extracted.more else ""
            text = f"Batch {order.batch + 1}: {extracted.rows:,} changes folded in {seconds:.1f} s{more}."
            fields = {"event": "folded", "batch": order.batch + 1, "changes": extracted.rows, "more": extracted.more}
            lines = [Line(text, fields | {"seconds": round(seconds, 3), "bytes": extracted.size_bytes})]
        lines += _published_lines(plan, order.batch, read.published) if read.published else []
        self._write(order.run, *lines)

    def published(self, run: Run, plan: Plan, batch: int, published: Published) -> None:
        self._write(run, *_published_lines(plan, batch, published))

    def swapped_in(self, run: Run, published: Published) -> None:
        text = f"The rebuilt table took the place of the old one, as version {published.position.version}."
        self._write(run, Line(text, {"event": "swapped_in", **_figures(published)}), *_columns_changed(published))

    def maintained(self, run: Run, maintained: Maintained) -> None:
        merged = f"{maintained.files_before} small files became {maintained.files_after}"
        done = [merged] if maintained.files_before else []
        done += ["a checkpoint was written"] if maintained.checkpoint else []
        if done:
            fields = {
                "event": "maintained",
                "version": maintained.position.version,
                "files_before": maintained.files_before,
                "files_after": maintained.files_after,
                "bytes_written": maintained.bytes_written,
                "checkpoint": maintained.checkpoint,
            }
            self._write(run, Line(f"Table maintained: {', '.join(done)}.", fields))

    def attempt_failed(self, run: Run, step: str, attempt: int, code: str, message: str, *, goes_on: bool) -> None:
        """``message`` as users read it, ``goes_on`` where the run tries again."""
        fields = {"event": "attempt_failed", "step": step, "attempt": attempt, "code": code}
        level = LogLevel.WARNING if goes_on else LogLevel.ERROR
        self._write(run, Line(f"Attempt {attempt} of the step {step} failed: {message}", fields, level))

    def _write(self, run: Run, *lines: Line) -> None:
        try:
            self._logs.write(run.job_id, *lines)
        except Exception as error:
            told = [line.message for line in lines]
            log.warning("lines not recorded", job_id=run.job_id, lines=told, error=type(error).__name__)


def _read_line(order: ExtractInput, extracted: Extracted, seconds: float) -> Line:
    what = _what(order).capitalize()
    if extracted.parts:
        text = f"The table is large: it is read in {len(extracted.parts)} parts, all of one snapshot."
        return Line(text, {"event": "divided", "parts": len(extracted.parts)})
    if order.part and order.part.earlier and extracted == order.part.earlier.extracted:
        text = f"{what} has not changed: what was read of it counts."
        return Line(text, {"event": "unchanged"} | _part(order))
    if extracted.repeats:
        text = f"{what} read: the same {extracted.rows:,} rows as before, nothing new."
        return Line(text, {"event": "repeated", "rows": extracted.rows})
    more = "; the source has more" if extracted.more else ""
    fields = {
        "event": "staged",
        "batch": order.batch + 1,
        "rows": extracted.rows,
        "bytes": extracted.size_bytes,
        "seconds": round(seconds, 3),
        "more": extracted.more,
    }
    text = f"{what} read: {extracted.rows:,} rows, {extracted.size_bytes:,} bytes in {seconds:.1f} s{more}."
    return Line(text, fields | _part(order))


def _published_lines(plan: Plan, batch: int, published: Published) -> list[Line]:
    number = batch + 1
    where = "the rebuild" if plan.rebuild else "the table"
    if published.already_done:
        text = f"Batch {number} was in {where} already: an earlier attempt had published it."
    elif published.nothing_new:
        text = f"Batch {number} had nothing new for {where}."
    else:
        done = f"{published.rows_added:,} rows added, {published.rows_changed:,} changed"
        done += f", {published.rows_deleted:,} deleted" if published.rows_deleted else ""
        text = f"Batch {number} published: {done} in {where}, {published.bytes_written:,} bytes."
    fields = {"event": "published", "batch": number, **_figures(published)}
    return [Line(text, fields), *_columns_changed(published)]


def _columns_changed(published: Published) -> list[Line]:
    changes = published.columns_changed
    if not changes:
        return []
    return [Line(f"The columns changed: {'; '.join(changes)}.", {"event": "columns_changed", "changes": list(changes)})]


def _what(order: ExtractInput) -> str:
    return f"part {order.part.number + 1} of {order.part.count}" if order.part else f"batch {order.batch + 1}"


def _part(order: ExtractInput) -> dict[str, int]:
    return {"part": order.part.number + 1, "snapshot": order.part.held.number} if order.part else {}


def _figures(published: Published) -> dict[str, int]:
    return {
        "version": published.position.version,
        "rows_added": published.rows_added,
        "rows_changed": published.rows_changed,
        "bytes_written": published.bytes_written,
    }
