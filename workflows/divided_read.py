"""Reading one large table in parts, on as many workers as there are, all of them in one state of the source."""

import asyncio
from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.messages import Extracted, ExtractInput, Held, HoldInput, PartOrder, StagedPart
    from workflows import policies

IN_FLIGHT = 8
"""Parts that are read at once, by all workers together: what one table may take of them."""
MOST_SNAPSHOTS = 10
"""After so many the source keeps none for long enough, and the table is read as a whole."""

Extract = Callable[[ExtractInput], Awaitable[Extracted]]


class DividedRead:
    """One read. Whatever dies, a part that is staged stays staged: under a new snapshot it is looked at, and read again
    only where its rows are not what they were (``docs/decisions/0006-parts.md``).
    """

    def __init__(self, order: ExtractInput, division: Extracted, extract: Extract, report: Callable[[], None]) -> None:
        self._order = order
        self._division = division
        self._extract = extract
        self._report = report
        self._held: Held | None = None
        self._lost = False
        self._staged: dict[int, StagedPart] = {}
        self._text_columns: set[str] = set()

    @property
    def done(self) -> int:
        return len(self._staged)

    @property
    def count(self) -> int:
        return len(self._division.parts)

    @property
    def rows(self) -> int:
        return sum(part.extracted.rows for part in self._staged.values())

    def snapshot_held(self, held: Held) -> None:
        """A holder has one. Holders of earlier snapshots may still be about, and be heard last."""
        if self._held is None or held.number >= self._held.number:
            self._held = held

    async def read(self) -> list[Extracted] | None:
        """What was staged of each part; None where the source cannot show one state to several sessions."""
        for number in range(1, MOST_SNAPSHOTS + 1):
            holder = asyncio.create_task(self._hold(number))
            try:
                held = await self._taken(number, holder)
                if held is not None and await self._read_all(held):
                    return [self._staged[part].extracted for part in range(self.count)]
                if holder.done() and holder.result() == "not_divisible":
                    return None
            finally:
                holder.cancel()
                await asyncio.gather(holder, return_exceptions=True)
        return None

    async def _hold(self, number: int) -> str | None:
        """Until it is cancelled, or the source wants no more; then why."""
        try:
            await policies.hold(HoldInput(self._order.run, number))
        except ActivityError as error:
            if policies.type_of(error) not in ("snapshot_lost", "not_divisible"):
                raise
            return policies.type_of(error)
        return None

    async def _taken(self, number: int, holder: "asyncio.Task[str | None]") -> Held | None:
        await workflow.wait_condition(lambda: self._is_held(number) or holder.done())
        if self._is_held(number):
            return self._held
        await holder
        return None

    def _is_held(self, number: int) -> bool:
        return self._held is not None and self._held.number == number

    async def _read_all(self, held: Held) -> bool:
        """False when the snapshot was lost before each part was read of it."""
        self._lost = False
        while pending := [part for part in range(self.count) if not self._is_read(part, held)]:
            await self._read_each(pending, held)
            if self._lost:
                return False
        return True

    def _is_read(self, part: int, held: Held) -> bool:
        staged = self._staged.get(part)
        if staged is None or staged.held != held:
            return False
        # Values of one part may show that a column must be text: it must be so in all of them.
        return set(staged.extracted.text_columns) == self._text_columns

    async def _read_each(self, parts: list[int], held: Held) -> None:
        slots = asyncio.Semaphore(IN_FLIGHT)
        reads = [asyncio.create_task(self._read_one(part, held, slots)) for part in parts]
        try:
            await asyncio.gather(*reads)
        except BaseException:
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)
            raise

    async def _read_one(self, number: int, held: Held, slots: asyncio.Semaphore) -> None:
        async with slots:
            if self._lost:
                return
            try:
                extracted = await self._extract(self._order_for(number, held))
            except ActivityError as error:
                if policies.type_of(error) != "snapshot_lost":
                    raise
                self._lost = True
                return
            self._staged[number] = StagedPart(held, extracted)
            self._text_columns |= set(extracted.text_columns)
            self._report()

    def _order_for(self, number: int, held: Held) -> ExtractInput:
        staged = self._staged.get(number)
        order = self._order
        return ExtractInput(
            order.run,
            order.plan,
            order.batch,
            order.rows_before,
            order.bytes_before,
            part=PartOrder(
                number=number,
                count=self.count,
                part=self._division.parts[number],
                held=held,
                text_columns=sorted(self._text_columns),
                earlier=staged if staged and staged.held != held else None,
                row_estimate=self._division.row_estimate,
            ),
        )
