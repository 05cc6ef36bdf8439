"""Bodies of requests: JSON, or forms that are read as the JSON they stand for."""

import json
import types
from collections.abc import Callable
from datetime import time
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin
from urllib.parse import parse_qs

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from api.errors import InvalidError, invalid_body

FORM = "application/x-www-form-urlencoded"
MOST_FORM_FIELDS = 20_000
PARSED_AT_ONCE_BYTES = 64 * 2**10


def _storable(value: str) -> str:
    if "\0" in value:
        raise ValueError("Null characters are not allowed")
    return value


storable = AfterValidator(_storable)
"""To stand behind a text's other constraints."""

Text = Annotated[str, storable]


class RequestBody(BaseModel):
    """Nothing is converted: a wrong type is an error. Unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")

    def given(self) -> dict[str, Any]:
        """The fields that the request has, ``null`` or not."""
        return {name: getattr(self, name) for name in self.model_fields_set if name in type(self).model_fields}


Body = TypeVar("Body", bound=RequestBody)


def reader(model: type[Body]) -> Callable[..., Any]:
    """A dependency that reads the body as ``model``. An empty body is an empty object."""

    async def read(request: Request) -> Body:
        content = await request.body()
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if len(content) > PARSED_AT_ONCE_BYTES:
            # Nobody else's request waits for a large one.
            return await run_in_threadpool(_parsed, model, content, kind)
        return _parsed(model, content, kind)

    return read


def _parsed(model: type[Body], content: bytes, kind: str) -> Body:
    if kind == FORM and not content.lstrip().startswith(b"{"):
        content = json.dumps(_from_form(model, content)).encode()
    try:
        return model.model_validate_json(content or b"{}")
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid" and kind not in ("", FORM) and "json" not in kind:
            raise InvalidError(
                f"Send the body as JSON, or as a form of the type {FORM}.", code="parse_error"
            ) from error
        raise invalid_body(error) from error


def documented(model: type[RequestBody]) -> dict[str, Any]:
    """For ``openapi_extra`` of a route that reads ``model``."""
    schema = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    required = any(field.is_required() for field in model.model_fields.values())
    return {"requestBody": {"required": required, "content": {"application/json": schema, FORM: schema}}}


def _from_form(model: type[RequestBody], content: bytes) -> dict[str, Any]:
    """Texts stay texts where the field is one; else they are JSON. A field given several times is a list."""
    values: dict[str, Any] = {}
    try:
        given = parse_qs(content.decode(errors="replace"), keep_blank_values=True, max_num_fields=MOST_FORM_FIELDS)
    except ValueError as error:
        raise InvalidError(f"A form has at most {MOST_FORM_FIELDS} fields.") from error
    for name, texts in given.items():
        field = model.model_fields.get(name)
        if field is None:
            if model.model_config.get("extra") == "allow":
                values[name] = texts[-1]
            continue
        kinds = _kinds(field.annotation)
        parts = list in kinds and not (texts[-1] in ("", "null") or texts[-1].lstrip().startswith("["))
        values[name] = texts if parts else _from_text(texts[-1], kinds)
    return values


def _from_text(text: str, kinds: set[Any]) -> Any:
    if text == "" and str not in kinds:
        return None
    if any(isinstance(kind, type) and issubclass(kind, str | time) for kind in kinds):
        return text
    try:
        return from_json(text)
    except ValueError:
        return text


def _kinds(annotation: Any) -> set[Any]:
    """The plain types that a field's annotation is made of."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return set().union(*(_kinds(part) for part in get_args(annotation)))
    return {origin or annotation}
