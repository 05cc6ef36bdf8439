"""``/api/projects/:project_id/query/``"""

from collections.abc import Iterator
from typing import Annotated, Any

from anyio import from_thread
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse

from api.actions import query
from api.auth import Reader
from api.backend import BackendDep
from api.bodies.query_requests import MOST_JSON_ROWS, QueryRequest, QueryResult
from api.bodies.reading import documented, reader
from api.errors import ClientGoneError, InvalidError, NotAcceptableError
from query.errors import QueryAbandonedError
from query.messages import Format
from query.runner import Answer

router = APIRouter(prefix="/api/projects/{project_id}/query", tags=["query"])

PIECE_BYTES = 64 * 1024
MEDIA_TYPES = {
    "application/json": Format.JSON,
    "text/csv": Format.CSV,
    "application/vnd.apache.arrow.stream": Format.ARROW,
}
CONTENT_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.ARROW: "application/vnd.apache.arrow.stream",
}
_ROWS_AND_BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": QueryResult,
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
        },
        "headers": {
            "X-Syncline-Row-Count": {"schema": {"type": "integer"}, "description": "rows in the answer"},
            "X-Syncline-Truncated": {
                "schema": {"type": "string", "enum": ["true", "false"]},
                "description": "whether there are more rows than the limit",
            },
        },
    },
}


async def _format(request: Request) -> Format:
    """The first of our types that the client likes best."""
    accepted = request.headers.get("accept", "*/*") or "*/*"
    weighted = [_weight(part) for part in accepted.lower().split(",") if part.strip()]
    best: tuple[float, Format] | None = None
    for media_type, format in MEDIA_TYPES.items():
        family = media_type.partition("/")[0]
        matching = [
            (wanted != "*/*", not wanted.endswith("/*"), quality)
            for wanted, quality in weighted
            if wanted in (media_type, f"{family}/*", "*/*")
        ]
        quality = max(matching)[2] if matching else 0.0
        if quality > (best[0] if best else 0.0):
            best = quality, format
    if best is None:
        raise NotAcceptableError(f"A query answers {', '.join(MEDIA_TYPES)}.")
    return best[1]


def _weight(part: str) -> tuple[str, float]:
    media_type, *parameters = (piece.strip() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return media_type, float(parameter[2:])
            except ValueError:
                return media_type, 0.0
    return media_type, 1.0


@router.post(
    "/",
    name="query",
    response_class=Response,
    responses=_ROWS_AND_BYTES,
    openapi_extra=documented(QueryRequest),
)
def run_query(
    request: Request,
    backend: BackendDep,
    caller: Reader,
    format: Annotated[Format, Depends(_format)],
    body: Annotated[QueryRequest, Depends(reader(QueryRequest))],
) -> Response:
    """Read-only SQL over the project's tables and its direct sources. The answer is JSON, CSV or an Arrow stream."""
    most = MOST_JSON_ROWS if format is Format.JSON else backend.queries.most_rows
    if body.limit > most:
        raise InvalidError(f"The limit is at most {most} rows in this format.", attr="limit")
    try:
        answer = query.answer(
            backend, caller, body.query, body.limit, format, lambda: not from_thread.run(request.is_disconnected)
        )
    except QueryAbandonedError as error:
        raise ClientGoneError("The client went away before the answer was there.") from error
    headers = {
        "X-Syncline-Row-Count": str(answer.summary.row_count),
        "X-Syncline-Truncated": str(answer.summary.truncated).lower(),
    }
    return StreamingResponse(_pieces(answer), headers=headers, media_type=CONTENT_TYPES[format])


def _pieces(answer: Answer) -> Iterator[bytes]:
    with answer.body as body:
        while piece := body.read(PIECE_BYTES):
            yield piece
