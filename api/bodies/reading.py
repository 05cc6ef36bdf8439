"""Bodies of requests: JSON, or forms that are read as the JSON they stand for."""

import json
import types
from collections.abc import Callable
from datetime import time
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from fastapi import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json
from starlette.datastructures import FormData

from api.errors import invalid_body

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def _storable(value: str) -> str:
    if "\0" in value:
        raise ValueError("Null characters are not allowed")
    return value


Text = Annotated[str, AfterValidator(_storable)]


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
        form = request.headers.get("content-type", "").partition(";")[0].strip().lower() in FORMS
        if form and not content.lstrip().startswith(b"{"):
            content = json.dumps(_from_form(model, await request.form())).encode()
        try:
            return model.model_validate_json(content or b"{}")
        except ValidationError as error:
            raise invalid_body(error) from error

    return read


def documented(model: type[RequestBody]) -> dict[str, Any]:
    """For ``openapi_extra`` of a route that reads ``model``."""
    schema = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    required = any(field.is_required() for field in model.model_fields.values())
    return {"requestBody": {"required": required, "content": {"application/json": schema, FORMS[0]: schema}}}


def _from_form(model: type[RequestBody], form: FormData) -> dict[str, Any]:
    """Texts stay texts where the field is one; else they are JSON. A field given several times is a list."""
    values: dict[str, Any] = {}
    for name in form:
        texts = [part for part in form.getlist(name) if isinstance(part, str)]
        field = model.model_fields.get(name)
        if field is None or not texts:
            continue
        kinds = _kinds(field.annotation)
        if list in kinds and not texts[0].lstrip().startswith("["):
            values[name] = [text for text in texts if text]
        else:
            values[name] = _from_text(texts[-1], kinds)
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
