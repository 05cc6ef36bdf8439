"""Which errors each call of the OpenAPI document may answer: by rule from what it takes, and a list of the rest."""

from collections.abc import Iterator, Mapping
from typing import Any

ERROR = {"$ref": "#/components/schemas/ErrorBody"}

NAMES = {
    400: ("Invalid", "The request is wrong; `attr` names the field, where it is one."),
    401: ("Unauthenticated", "No valid API key."),
    403: ("Forbidden", "The key does not have the scope or the role."),
    404: ("NotFound", "It does not exist, or it is another project's."),
    406: ("NotAcceptable", "None of the formats in `Accept` can be answered."),
    409: ("Conflict", "It does not fit the state that things are in."),
    413: ("TooLarge", "The body is too large."),
    429: ("Throttled", "Too many requests: wait as long as `Retry-After` says."),
    499: ("ClientGone", "The client went away before the answer was there: nobody reads this."),
    503: ("Unavailable", "The database, the scheduler or the source is out of reach, or too busy: try again later."),
    504: ("TimedOut", "The source did not answer in time."),
}
EXAMPLES: Mapping[int, tuple[str, str, str, str | None]] = {
    400: ("validation_error", "invalid_choice", "Input should be 'never', '5min' or '1hour'.", "sync_frequency"),
    401: ("authentication_error", "not_authenticated", "Send an API key: Authorization: Bearer <key>.", None),
    403: ("permission_error", "permission_denied", "This API key does not have the scope.", None),
    404: ("not_found", "not_found", "Not found.", None),
    406: ("validation_error", "not_acceptable", "Ask for JSON, CSV or an Arrow stream.", None),
    409: ("conflict", "conflict", "It was changed by somebody else meanwhile: look at it and try again.", None),
    413: ("validation_error", "body_too_large", "The body is too large.", None),
    429: ("throttled", "throttled", "This API key asks too much: try again later.", None),
    499: ("validation_error", "client_gone", "The client went away before the answer was there.", None),
    503: ("upstream_error", "unavailable", "The scheduler is out of reach: try again later.", None),
    504: ("upstream_error", "timeout", "The source did not answer in time.", None),
}
HEADERS = {
    401: {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}},
    429: {
        "Retry-After": {"description": "seconds to wait", "required": True, "schema": {"type": "integer", "minimum": 1}}
    },
    503: {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 1}}},
}

ALSO: Mapping[str, tuple[int, ...]] = {
    "external_data_sources_create": (409, 504),
    "external_data_sources_database_schema": (504,),
    "external_data_sources_preview_resource": (504,),
    "external_data_sources_partial_update": (409, 504),
    "external_data_sources_reload": (400,),
    "external_data_sources_refresh_schemas": (400, 504),
    "external_data_sources_create_webhook": (400, 409, 504),
    "external_data_sources_update_webhook_inputs": (409,),
    "external_data_sources_delete_webhook": (400, 409, 504),
    "external_data_sources_check_cdc_prerequisites": (504,),
    "external_data_sources_check_cdc_prerequisites_for_source": (504,),
    "external_data_sources_enable_cdc": (409, 504),
    "external_data_sources_cdc_status": (400, 504),
    "external_data_sources_bulk_update_schemas": (409, 504),
    "external_data_schemas_partial_update": (409, 504),
    "external_data_schemas_update": (409, 504),
    "external_data_schemas_reload": (400,),
    "external_data_schemas_resync": (400,),
    "external_data_schemas_cancel": (409,),
    "external_data_schemas_incremental_fields": (400, 504),
    "projects_destroy": (409,),
    "api_keys_destroy": (409,),
    "api_keys_destroy_many": (409,),
    "query_query": (406, 499),
    "health_ready": (503,),
}
"""What a call answers beyond the rules, for reasons of its own."""


def add_errors(document: dict[str, Any]) -> None:
    """Each call gets its errors, which are written down once."""
    used: set[int] = set()
    for path, calls in document["paths"].items():
        for method, operation in calls.items():
            declared = operation["responses"]
            statuses = set(_by_rule(path, method, operation)) | set(ALSO.get(operation["operationId"], ()))
            for status in ("422", "default", *map(str, statuses)):
                declared.pop(status, None)
            declared |= {str(status): {"$ref": f"#/components/responses/{NAMES[status][0]}"} for status in statuses}
            operation["responses"] = dict(sorted(declared.items()))
            used |= statuses
    document["components"]["responses"] = {NAMES[status][0]: _response(status) for status in sorted(used)}


def _by_rule(path: str, method: str, operation: dict[str, Any]) -> Iterator[int]:
    if operation.get("security"):
        yield from (401, 403, 429, 503)
    if "{" in path:
        yield 404
    if method != "get" and operation.get("security"):
        yield 413
    if "requestBody" in operation or any(part["in"] == "query" for part in operation.get("parameters", ())):
        yield 400


def _response(status: int) -> dict[str, Any]:
    example = dict(zip(("type", "code", "detail", "attr"), EXAMPLES[status], strict=True))
    response: dict[str, Any] = {"description": NAMES[status][1]}
    if status in HEADERS:
        response["headers"] = HEADERS[status]
    return response | {"content": {"application/json": {"schema": ERROR, "example": example}}}
