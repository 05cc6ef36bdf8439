"""The OpenAPI document: what FastAPI sees by itself, completed by rule so that no route can be forgotten."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import openapi_texts as texts
from api.bodies.reading import RequestBody
from api.errors import ErrorBody
from api.openapi_errors import add_errors
from api.openapi_examples import Examples

Document = dict[str, Any]
PLACEHOLDER = re.compile(r"\{(\w+)\}")
REFERENCE = re.compile(r"#/components/schemas/([^\"/]+)")


def operation_id(route: APIRoute) -> str:
    """Stable, whatever the paths and functions are called: ``external_data_sources_create``."""
    return f"{route.tags[0]}_{route.name}"


def documenting(app: FastAPI) -> Callable[[], Document]:
    """FastAPI's own document, completed; made once."""
    generate = app.openapi

    def document() -> Document:
        if app.openapi_schema is None:
            app.openapi_schema = completed(generate())
        return app.openapi_schema

    return document


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every call: its path, its method and what is said of it."""
    for path, calls in document["paths"].items():
        for method, operation in calls.items():
            yield path, method, operation


def completed(document: Document) -> Document:
    """With the request bodies' schemas, every error, examples, links and words for people."""
    document["info"] |= {"description": texts.INTRODUCTION, "license": texts.LICENSE}
    document["servers"] = [{"url": "/", "description": "This installation."}]
    used = {operation["tags"][0] for _, _, operation in operations(document)}
    document["tags"] = [{"name": tag, "description": text} for tag, text in texts.TAGS.items() if tag in used]
    add_errors(document)
    _add_models(document)
    examples = Examples(document["components"]["schemas"])
    for _, _, operation in operations(document):
        _describe(operation)
        examples.add_to(operation)
    _link(document)
    return document


def _add_models(document: Document) -> None:
    """The models of bodies that we read ourselves, which FastAPI does not know; and none that nobody refers to."""
    schemas = document["components"].setdefault("schemas", {})
    known: dict[str, type[BaseModel]] = {model.__name__: model for model in _subclasses(RequestBody)}
    known[ErrorBody.__name__] = ErrorBody
    missing = sorted(_referred(document) - set(schemas))
    _, made = models_json_schema(
        [(known[name], "validation") for name in missing], ref_template="#/components/schemas/{model}"
    )
    schemas |= made.get("$defs", {})
    needed = _referred({**document, "components": {**document["components"], "schemas": {}}})
    while more := _referred({name: schemas[name] for name in needed}) - needed:
        needed |= more
    document["components"]["schemas"] = {name: schemas[name] for name in sorted(needed)}


def _subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for subclass in model.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _referred(part: Any) -> set[str]:
    """The names of the models that this part of the document refers to."""
    if isinstance(part, dict):
        own = part.get("$ref")
        found = {match[1]} if isinstance(own, str) and (match := REFERENCE.fullmatch(own)) else set()
        return found.union(*(_referred(value) for value in part.values()))
    return set().union(*(_referred(value) for value in part)) if isinstance(part, list) else set()


def _describe(operation: dict[str, Any]) -> None:
    """A summary out of the first sentence, the scope, and words for every parameter."""
    said = inspect.cleandoc(operation.get("description", ""))
    first = re.split(r"(?<=[.;:])\s", said, maxsplit=1)[0].rstrip(".;:")
    operation["summary"] = " ".join(first.split())
    scopes = [scope for need in operation.get("security", ()) for part in need.values() for scope in part]
    operation["description"] = "\n\n".join([said, *(f"The key needs the scope `{scope}`." for scope in scopes)])
    for parameter in operation.get("parameters", ()):
        parameter.setdefault("description", texts.PARAMETERS.get(parameter["name"], ""))
    if "requestBody" in operation:
        operation["requestBody"].setdefault("description", texts.BODY)
    for status, response in operation["responses"].items():
        if response.get("description") == "Successful Response":
            response["description"] = texts.SUCCESS[status]


def _link(document: Document) -> None:
    """From what is made to every call on it, so that a client, or a fuzzer, can follow."""
    for path, method, operation in operations(document):
        response = operation["responses"].get("201")
        if method == "post" and response is not None:
            response["links"] = _links(document, path, path, "/id")
            if inner := texts.MADE_WITHIN.get(operation["operationId"]):
                response["links"] |= _links(document, path, *inner)


def _links(document: Document, path: str, collection: str, pointer: str) -> dict[str, Any]:
    """To every call on the object of that collection whose id stands there in the answer to ``path``."""
    outer = {name: f"$request.path.{name}" for name in PLACEHOLDER.findall(path)}
    return {
        target["operationId"]: {
            "operationId": target["operationId"],
            "description": target["summary"],
            "parameters": {**outer, PLACEHOLDER.findall(below)[-1]: f"$response.body#{pointer}"},
        }
        for below, _, target in operations(document)
        if below.startswith(collection) and len(PLACEHOLDER.findall(below.removeprefix(collection))) == 1
    }
