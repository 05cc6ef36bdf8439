"""The OpenAPI document: what FastAPI sees by itself, and the bodies that we read ourselves."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from api.bodies.schema_requests import BulkChanges, SchemaChanges
from api.bodies.source_requests import SourceChanges, SourceCreate
from api.errors import ErrorBody

REFERENCES = "#/components/schemas/{model}"
REQUESTS = (BulkChanges, SchemaChanges, SourceCreate, SourceChanges)

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorBody, "description": "The request is wrong; attr names the field."},
    401: {"model": ErrorBody, "description": "No valid API key."},
    403: {"model": ErrorBody, "description": "The key does not have the scope."},
    404: {"model": ErrorBody, "description": "Not found, or another project's."},
    "default": {"model": ErrorBody, "description": "Any other error."},
}


def operation_id(route: APIRoute) -> str:
    """Stable, whatever the paths and functions are called: ``external_data_sources_create``."""
    return f"{route.tags[0]}_{route.name}"


def documenting(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """FastAPI's own document with the requests' schemas added, made once."""
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = generate()
            _, schemas = models_json_schema([(m, "validation") for m in REQUESTS], ref_template=REFERENCES)
            made["components"]["schemas"] |= schemas["$defs"]
            app.openapi_schema = made
        return app.openapi_schema

    return document
