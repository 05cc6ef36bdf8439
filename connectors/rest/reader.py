"""Reading a resource in batches: each ends behind a page, and says how the next one goes on."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import DiscoveredTable, ReadReport, ReadRequest, ValueWarning
from connectors.cursor import encode
from connectors.errors import (
    AccessError,
    BusyError,
    ConfigurationError,
    CredentialsError,
    SchemaChangedError,
    SourceError,
    UnreachableError,
)
from connectors.inference.filters import filtered
from connectors.inference.gathering import gathered
from connectors.inference.kinds import ZONED
from connectors.reads import WITHOUT_CURSOR
from connectors.rest.answers import NoAnswerError, TokenEndedError
from connectors.rest.client import Api
from connectors.rest.config import RestConfig
from connectors.rest.cursors import check_cursor, edge_of, is_by_token, is_older, since
from connectors.rest.declaration import Resource, is_scrolled
from connectors.rest.discovery import described
from connectors.rest.progress import Progress, begun, ended_state, lower_after
from connectors.rest.rows import TypedRows, spool_of, with_order
from connectors.rest.spool import Spool
from connectors.rest.walking import ByCursor, Page, Record, pages

BATCH_ROWS = 50_000
BATCH_BYTES = 2**26
"""Of texts: what a crash may cost."""
LATE_SECONDS = 2
"""How old what an API answers may be: an event of that time is newer, in doubt."""
NARROW = 8
"""Batches are so many times smaller where memory ran out."""


@contextmanager
def open_read(config: RestConfig, request: ReadRequest, most_rows: int | None = None) -> Iterator["RestRead"]:
    """Ask for pages until the batch is full, or has so many rows; then its rows can be given."""
    resource = config.declaration.resource(request.table)
    if resource is None:
        raise SchemaChangedError(f"The source declares no resource {request.table} any more.")
    check_cursor(resource, request)
    with Api(config) as api, spool_of(resource, request) as spool:
        yield RestRead(config, resource, request, api, spool, most_rows or BATCH_ROWS)


class RestRead:
    """An open read: ``connectors.base.TableRead``."""

    def __init__(
        self,
        config: RestConfig,
        resource: Resource,
        request: ReadRequest,
        api: Api,
        spool: Spool,
        most_rows: int,
    ) -> None:
        self._resource = resource
        self._request = request
        self._spool = spool
        self._most_rows = most_rows
        self.report = ReadReport()
        self._ended: str | None = None
        self._place = config.account
        progress = self._progress()
        self._edge = None if is_by_token(resource) else edge_of(resource, progress.lower)
        self._fill(api, config, progress)
        resumed = request.state is not None or (request.cursor is not None and request.cursor.lower is not None)
        self._rows = TypedRows(resource, request, spool, resumed=resumed)
        self.schema = self._rows.schema
        self.table: DiscoveredTable | None = described(resource)

    @property
    def row_estimate(self) -> int | None:
        return None

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in gathered(self._pieces(), self._request.batch_bytes):
            yield filtered(batch, self._request.row_filters)
        self.report.warnings += self._rows.warnings()

    def _pieces(self) -> Iterator[pa.RecordBatch]:
        """Behind the last one the report says how far the next pass has to look back."""
        name = self._time_cursor()
        known = self._request.cursor.lower if name and self._request.cursor else None
        seen = [] if known is None else [edge_of(self._resource, known)]
        for piece in self._rows.pieces():
            found = self._from_edge(piece)
            if name is not None and found.num_rows > found.column(name).null_count:
                seen.append(pc.max(found.column(name)).as_py())
            yield found
        if self._ended is not None and seen:
            self.report.state = ended_state(self._ended, max(seen))

    def _time_cursor(self) -> str | None:
        cursor = self._request.cursor
        if cursor is None or is_by_token(self._resource):
            return None
        return cursor.field if self.schema.field(cursor.field).type == ZONED else None

    def _from_edge(self, piece: pa.RecordBatch) -> pa.RecordBatch:
        """Without what is older than the edge that the pass began at, or has no cursor value.

        Where the API filters, it decides what is new: some of it may bear an older time.
        """
        if self._edge is None or self._resource.incremental is None or self._resource.incremental.param is not None:
            return piece
        name = self._resource.incremental.field
        values = piece.column(name)
        if values.null_count:
            self.report.warnings.append(ValueWarning(name, WITHOUT_CURSOR, values.null_count))
        return piece.filter(pc.fill_null(pc.greater_equal(values, pa.scalar(self._edge, values.type)), False))

    def _progress(self) -> Progress:
        """What a token brings is never all there is, nor ordered by the cursor: it has no edge."""
        cursor, state = self._request.cursor, self._request.state
        found = begun(state, self._resource, self._place)
        if found is not None and (cursor is not None or found.token is None):
            return found
        return Progress(None if cursor is None or is_by_token(self._resource) else lower_after(state, cursor.lower))

    def _fill(self, api: Api, config: RestConfig, progress: Progress) -> None:
        """Until the batch is full, the pass is over, or the API wants a longer rest than a read has patience."""
        by_cursor, began = self._by_cursor(progress), progress.began
        # A preview is one page, and where memory ran out there is none for what is not awaited.
        is_whole = self._most_rows >= BATCH_ROWS and not self._request.narrow
        try:
            with closing(
                pages(api, config, self._resource, progress.at, by_cursor, self._may_fill if is_whole else None)
            ) as found:
                for page in found:
                    self._spool.add(self._ordered(page), page.size_bytes)
                    began = began or (encode(api.began) if api.began else None)
                    if page.after is None:
                        self._end(page.token, began)
                        break
                    progress = replace(progress, at=page.after, began=began)
                    if self._is_full():
                        self._go_on_later(progress)
                        break
                else:
                    # The last parents had no objects.
                    self._end(None, began)
        except (BusyError, UnreachableError, NoAnswerError) as error:
            if self._spool.rows and not is_scrolled(self._resource):
                self._go_on_later(progress)
            elif isinstance(error, NoAnswerError) and progress.at:
                # Pages have come from this address.
                raise UnreachableError(
                    f"Something in front of the API answers in its place; {self._resource.name} is read on later."
                ) from error
            else:
                raise
        except (ConfigurationError, CredentialsError, AccessError):
            raise
        except TokenEndedError:
            if progress.token is None:
                raise
            self._begin_anew(api, config)
        except SourceError as error:
            if is_scrolled(self._resource) and progress.at:
                raise BusyError(f"The API has lost its place in {self._resource.name}, which is read anew.") from error
            # A page's cursor may be one that the API knows no longer: then the pass begins anew. What came before is
            # recognised, by its key or beside the cursor.
            recognised = self._resource.primary_key or self._request.cursor is not None
            anew = progress.begin_anew()
            if self._spool.rows or not progress.at or not recognised or anew is None:
                raise
            self._fill(api, config, anew)

    def _ordered(self, page: Page) -> Sequence[Record]:
        if not self._request.ordered:
            return page.records
        order = int((page.asked_at - LATE_SECONDS) * 1_000_000)
        return [with_order(each, order) for each in page.records]

    def _may_fill(self, page: Page) -> bool:
        return self._is_full(len(page.records), page.size_bytes)

    def _is_full(self, more_rows: int = 0, more_bytes: int = 0) -> bool:
        """What is scrolled over is one batch, but for a preview of it: nobody could go on with it."""
        if is_scrolled(self._resource) and self._most_rows >= BATCH_ROWS:
            return False
        share = NARROW if self._request.narrow else 1
        rows, size_bytes = self._spool.rows + more_rows, self._spool.size_bytes + more_bytes
        return rows >= self._most_rows // share or size_bytes >= BATCH_BYTES // share

    def _begin_anew(self, api: Api, config: RestConfig) -> None:
        """With all objects there are; in a batch of its own, as those that came by the token would be in it twice."""
        if self._spool.rows:
            self._go_on_later(Progress(None))
        else:
            self._fill(api, config, Progress(None))

    def _go_on_later(self, progress: Progress) -> None:
        self.report.more = True
        self.report.state = progress.as_state(self._resource, self._place)

    def _end(self, token: str | None, began: str | None) -> None:
        if not is_by_token(self._resource):
            self._ended = began
        elif token is not None and self._request.cursor is not None:
            found = Progress(None, token=token).as_state(self._resource, self._place)
            # Where nothing has changed the token before it is as good, and there is nothing to commit.
            self.report.state = (
                found if self._spool.rows or not self._has_ended(self._request.state) else self._request.state
            )

    def _has_ended(self, state: str | None) -> bool:
        """Whether it is of a pass that is over, and left a token."""
        found = begun(state, self._resource, self._place)
        return found is not None and found.token is not None and not found.at

    def _by_cursor(self, progress: Progress) -> ByCursor | None:
        if self._request.cursor is None:
            return None
        by_token = is_by_token(self._resource)
        return ByCursor(progress.token if by_token else since(self._resource, progress.lower), self._is_past)

    def _is_past(self, records: Sequence[Record]) -> bool:
        """Whether only older objects follow."""
        cursor = self._resource.incremental
        if self._edge is None or cursor is None or not cursor.newest_first or cursor.param is not None:
            return False
        return bool(records) and all(is_older(each, self._resource, self._edge) for each in records)
