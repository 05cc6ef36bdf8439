"""One envelope for every error: ``{type, code, detail, attr}``. Nothing of an exception's own words gets out."""

import re
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from api.temporal import TemporalUnavailableError
from connectors.errors import SourceError

log = structlog.get_logger(__name__)

TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found", 409: "conflict", 429: "throttled"}
CODES = {
    "missing": "required",
    "enum": "invalid_choice",
    "literal_error": "invalid_choice",
    "json_invalid": "parse_error",
}
_NO_ID = "This is not an id: one looks like 497f6eca-6276-4993-bfeb-53cbbbba6f08."
_NO_TIME = "This is not a time: one looks like 2030-01-01T00:00:00Z."
SENTENCES = {
    "missing": "This field is required.",
    "string_too_short": "This must not be blank.",
    "too_short": "Give at least one.",
    "uuid_parsing": _NO_ID,
    "uuid_type": _NO_ID,
    "datetime_parsing": _NO_TIME,
    "datetime_from_date_parsing": _NO_TIME,
}
"""In place of what the validator has to say of itself. Whatever has a shortest length here has the length one."""
PLACEHOLDER = re.compile(r"\{\w+\}")
DETAILS = {404: "There is nothing here.", 405: "This method is not allowed here.", 413: "The body is too large."}


class ErrorBody(BaseModel):
    """What every answer of 400 and above carries."""

    type: str = Field(
        description="validation_error, authentication_error, permission_error, not_found, conflict, throttled, "
        "upstream_error or server_error"
    )
    code: str
    detail: str
    attr: str | None = Field(default=None, description="dotted path of the offending field")


class ApiError(Exception):
    """An answer that is not a success."""

    status = 500
    type = "server_error"
    code = "error"

    def __init__(self, detail: str, *, attr: str | None = None, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.attr = attr
        self.code = code or type(self).code
        self.headers: Mapping[str, str] = {}
        self.more: Mapping[str, Any] = {}


class InvalidError(ApiError):
    """The request cannot be what its sender wants."""

    status, type, code = 400, "validation_error", "invalid_input"


class UnauthenticatedError(ApiError):
    """Nobody knows this key."""

    status, type, code = 401, "authentication_error", "not_authenticated"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.headers = {"WWW-Authenticate": "Bearer"}


class ForbiddenError(ApiError):
    """The key is good, but not for this."""

    status, type, code = 403, "permission_error", "permission_denied"


class NotFoundError(ApiError):
    """It does not exist, or not for this key."""

    status, type, code = 404, "not_found", "not_found"

    def __init__(self) -> None:
        super().__init__("Not found.")


class NotAcceptableError(ApiError):
    """None of the forms that an answer may have is one that the client takes."""

    status, type, code = 406, "validation_error", "not_acceptable"


class ConflictError(ApiError):
    """It does not fit the state that things are in."""

    status, type, code = 409, "conflict", "conflict"


class ClientGoneError(ApiError):
    """Nobody waits for the answer any more."""

    status, type, code = 499, "validation_error", "client_gone"


class UnavailableError(ApiError):
    """Something behind the API is out of reach."""

    status, type, code = 503, "upstream_error", "unavailable"


class TooSlowError(ApiError):
    """Something behind the API did not answer in the time that there is."""

    status, type, code = 504, "upstream_error", "timeout"


def invalid_source(error: SourceError, under: str) -> InvalidError:
    """What a connector has to say about the inputs that lie ``under`` this field of the body; blank: beside it all."""
    attr = ".".join(part for part in (under, error.attr) if part) or None
    return InvalidError(error.message, attr=attr, code=error.code)


def invalid_body(error: ValidationError) -> InvalidError:
    """The first thing that is wrong with a body."""
    return _invalid(error.errors(include_url=False, include_input=False, include_context=False)[0], loc_from=0)


def install(app: FastAPI) -> None:
    """Give the app its error handlers."""
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(TemporalUnavailableError, _on_temporal_away)
    app.add_exception_handler(OperationalError, _on_database_away)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameter)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)


def envelope(error: ApiError, **more: Any) -> JSONResponse:
    body = ErrorBody(type=error.type, code=error.code, detail=error.detail, attr=error.attr)
    return JSONResponse(body.model_dump() | more, error.status, headers=dict(error.headers))


def _invalid(first: ErrorDetails, loc_from: int) -> InvalidError:
    attr = ".".join(str(part) for part in first["loc"][loc_from:]) or None
    own = first["msg"].removeprefix("Value error, ").partition(", unable to ")[0].rstrip(".") + "."
    detail = SENTENCES.get(first["type"], own)
    return InvalidError(detail, attr=attr, code=CODES.get(first["type"]))


def _on_api_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return envelope(error, **error.more)


def _on_temporal_away(_: Request, error: Exception) -> JSONResponse:
    log.warning("temporal is away", reason=repr(error.__cause__))
    return envelope(UnavailableError("The scheduler is out of reach: try again later."))


def _on_database_away(_: Request, error: Exception) -> JSONResponse:
    """It does not answer, or gave up on a lock; the transaction is rolled back either way."""
    log.warning("the metadata database does not do its work", reason=repr(error))
    return envelope(UnavailableError("The database is out of reach or too busy: try again later."))


def _on_invalid_parameter(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return envelope(_invalid(error.errors()[0], loc_from=1))


def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        error = HTTPException(405, headers={"Allow": _allowed(request)})
    return http_error(error)


def _allowed(request: Request) -> str:
    """Every method of the path; the router names those of one route only."""
    paths: dict[str, Any] = request.app.openapi()["paths"]
    asked = request.scope["path"]
    fitting = [t for t in paths if re.fullmatch(PLACEHOLDER.sub("[^/]+", t), asked)]
    own = min(fitting, key=lambda template: len(PLACEHOLDER.findall(template)), default=None)
    return ", ".join(sorted(method.upper() for method in paths[own])) if own else "GET"


def http_error(error: HTTPException) -> JSONResponse:
    """The envelope of what has nothing but a status."""
    answer = ApiError(DETAILS.get(error.status_code, "The request cannot be answered."))
    answer.status = error.status_code
    answer.type = TYPES.get(error.status_code, "server_error" if error.status_code >= 500 else "validation_error")
    answer.code = {405: "method_not_allowed", 413: "body_too_large"}.get(error.status_code, answer.type)
    answer.headers = error.headers or {}
    return envelope(answer)


def _on_bug(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error", method=request.method, path=request.url.path, exc_info=error)
    return envelope(ApiError("Something went wrong on our side.", code="error"))
