"""What a REST source is: a declaration of its resources, how they are paged, filtered and logged in to. Pure.

It is JSON or TOML of these models. Texts may refer to the inputs of the connection by ``{name}``.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from connectors.errors import ConfigurationError
from connectors.rest.mistakes import described
from connectors.rest.templates import names_in
from connectors.rest.terms import UNIX_TYPES as UNIX_TYPES
from connectors.rest.terms import ColumnType, Model, Name, ParamName, PathExpression, PlacePath, Target, Template, Value
from connectors.rest.webhook_declaration import WebhookDeclaration

MOST_RESOURCES = 1000


class ApiKeyAuth(Model):
    """A key in a header or in the query."""

    type: Literal["api_key"]
    name: ParamName
    key: Template
    into: Literal["header", "query"] = Field("header", alias="in")


class BearerAuth(Model):
    type: Literal["bearer"]
    token: Template


class BasicAuth(Model):
    type: Literal["basic"]
    username: Template = ""
    password: Template = ""


class OAuth2Auth(Model):
    """Tokens of a token endpoint: by the client's own credentials, or by a refresh token."""

    type: Literal["oauth2"]
    token_url: Template
    client_id: Template
    client_secret: Template = ""
    refresh_token: Template | None = None
    """None: the grant ``client_credentials``."""
    scope: Template | None = None
    client_auth: Literal["body", "basic"] = "body"


Auth = Annotated[ApiKeyAuth | BearerAuth | BasicAuth | OAuth2Auth, Field(discriminator="type")]


class SinglePage(Model):
    """All objects come in one answer."""

    type: Literal["single"]


class PageNumberPaging(Model):
    """Pages are counted. The last one is empty, or says so."""

    type: Literal["page_number"]
    param: ParamName = "page"
    first: int = 1
    size: Annotated[int, Field(ge=1)]
    size_param: ParamName | None = None
    more: PathExpression | None = None
    """Where an answer says whether more follow."""
    into: Target = "query"


class OffsetPaging(Model):
    """Objects are counted from 0."""

    type: Literal["offset"]
    param: ParamName = "offset"
    size: Annotated[int, Field(ge=1)]
    size_param: ParamName = "limit"
    more: PathExpression | None = None
    into: Target = "query"


class CursorPaging(Model):
    """Each answer, or its last object, has what the next request is to bring. There is no more where it has none."""

    type: Literal["cursor"]
    param: ParamName
    token: PathExpression | None = None
    """Where the answer has it."""
    last_record: PathExpression | None = None
    """Where the last object has it."""
    header: Name | None = None
    """The header that has it."""
    more: PathExpression | None = None
    into: Target = "query"
    scroll: bool = False
    """The API moves a place of its own, which may always be called the same, and soon forgets it: all pages are read in
    one batch. ``more`` says where they end.
    """

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.scroll and self.more is None:
            raise ValueError("a scroll needs more: where the answer has whether another page follows")
        return self

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(each is not None for each in (self.token, self.last_record, self.header)) != 1:
            raise ValueError("must have one of token, last_record and header: where the next page's cursor is found")
        return self


class NextUrlPaging(Model):
    """Each answer has the address of the next."""

    type: Literal["next_url"]
    url: PathExpression


class LinkHeaderPaging(Model):
    """The header ``Link`` has the address of the next, with ``rel="next"``."""

    type: Literal["link_header"]


Paging = Annotated[
    SinglePage | PageNumberPaging | OffsetPaging | CursorPaging | NextUrlPaging | LinkHeaderPaging,
    Field(discriminator="type"),
]


class Incremental(Model):
    """How the API gives objects that are new or changed since a time or a number."""

    field: Name
    """The column that is the cursor; its type must be declared in ``columns``."""
    param: ParamName | None = None
    """What the API filters by, inclusive or not. Without one all objects are read, and older ones left out."""
    format: Literal["iso8601", "unix", "unix_ms", "date", "number"] = "iso8601"
    margin_seconds: Annotated[int, Field(ge=1)] = 1
    """How long before the cursor the filter begins where that is a time: APIs that filter by whole days need more."""
    template: Template = "{value}"
    """Around the value, such as ``updated_at>={value}``."""
    into: Target = "query"
    params: Mapping[ParamName, Value] = Field(default_factory=dict)
    """Sent when a pass goes by the cursor, such as an order that brings the newest first."""
    newest_first: bool = False
    """Objects come by the cursor, the newest first: without ``param``, reading ends with the first one that is old."""
    token: PathExpression | None = None
    """Where the last answer of a pass has what ``param`` is to be in the next one, which brings what changed since."""

    @model_validator(mode="after")
    def _of_token(self) -> Self:
        if self.token is not None and self.param is None:
            raise ValueError("a token needs param, which gets it")
        if self.token is not None and (self.newest_first or self.template != "{value}"):
            raise ValueError("a token goes without newest_first and template")
        return self


class Parent(Model):
    """A resource whose objects each have objects of this one."""

    resource: Name
    include: Mapping[Name, PathExpression] = Field(min_length=1)
    """Columns, with where the parent's object has their value. ``path``, ``params`` and ``body`` may name them in
    braces.
    """
    none: tuple[int, ...] = ()
    """Statuses of an answer that say that this parent has no such objects."""


class Limits(Model):
    requests_per_second: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Of the whole source."""
    concurrency: Annotated[int, Field(ge=1, le=16)] = 4
    """Requests of one table that are under way at once."""
    answer: PathExpression | None = None
    """Where an answer that refuses says that it is for too many requests, if its status does not: true, or a text."""
    wait: Annotated[float, Field(ge=0, le=3600)] | None = None
    """Seconds to wait where such an answer does not say how many."""


class _Requests(Model):
    """What a resource has, or takes from ``defaults``."""

    method: Literal["GET", "POST"] = "GET"
    headers: Mapping[Name, Template] = Field(default_factory=dict)
    params: Mapping[ParamName, Value] = Field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    records: PlacePath | None = None
    """Where an answer has the objects; None: the answer is the list, or the one object."""
    records_optional: bool = False
    """An answer may have no list there: then it is one object, or there is none. Else what has none is not the API's
    answer."""
    paging: Paging = SinglePage(type="single")
    primary_key: tuple[Name, ...] = ()
    incremental: Incremental | None = None
    columns: Mapping[str, ColumnType] = Field(default_factory=dict)
    """Columns whose types are not to be inferred."""
    failed: PathExpression | None = None
    """Where an answer of status 200 says that the request failed: true, or a text."""
    expired: PathExpression | None = None
    """Where an answer that failed says that the API no longer knows the token of ``incremental``: true, or a text."""


class Resource(_Requests):
    name: Name
    path: Template
    description: str | None = None
    scope: str | None = None
    """What the credentials need to be allowed, in the provider's words."""
    parent: Parent | None = None


class Declaration(Model):
    base_url: Template
    auth: Auth | None = None
    login_refused: PathExpression | None = None
    """Where an answer that refuses says that the login is wrong, if its status is not 401: true, or a text."""
    access_refused: PathExpression | None = None
    """Where an answer of status 403 says that a right is missing: one that does not say so is of a wrong login."""
    headers: Mapping[Name, Template] = Field(default_factory=dict)
    limits: Limits = Limits()
    check: str | None = None
    """The resource that is asked for to try the login; None: the first."""
    webhooks: WebhookDeclaration | None = None
    """How the provider sends events. Only declarations that come with Syncline have it."""
    resources: tuple[Resource, ...] = Field(min_length=1, max_length=MOST_RESOURCES)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [each.name for each in self.resources]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"resources: two are called {twice}")
        for number, each in enumerate(self.resources):
            self._check(each, f"resources.{number}")
        if self.check is not None and self.check not in names:
            raise ValueError(f"check: there is no resource {self.check}")
        if self.webhooks is not None:
            self._check_webhooks(self.webhooks)
        return self

    def resource(self, name: str) -> Resource | None:
        return next((each for each in self.resources if each.name == name), None)

    def _check(self, each: Resource, at: str) -> None:
        cursor = each.incremental
        if cursor is not None and cursor.field not in each.columns:
            raise ValueError(f"{at}.incremental.field: declare the type of {cursor.field} in columns")
        if cursor is not None and each.columns[cursor.field] not in _CURSOR_TYPES:
            raise ValueError(f"{at}.columns.{cursor.field}: a cursor is one of {', '.join(_CURSOR_TYPES)}")
        if cursor is not None and cursor.token is not None and each.expired is None:
            raise ValueError(f"{at}.expired: say where an answer has it that the token has ended")
        if each.parent is None:
            return
        parent = self.resource(each.parent.resource)
        if parent is None:
            raise ValueError(f"{at}.parent.resource: there is no resource {each.parent.resource}")
        if parent.parent is not None:
            raise ValueError(f"{at}.parent.resource: {parent.name} has a parent itself, which goes too deep")
        if is_scrolled(parent) or is_scrolled(each):
            raise ValueError(f"{at}.parent: a scroll goes with neither parents nor children, between which it ends")
        if cursor is not None and cursor.token is not None:
            raise ValueError(f"{at}.incremental.token: each parent has one of its own, which nothing keeps")

    def _check_webhooks(self, webhooks: WebhookDeclaration) -> None:
        for name in webhooks.tables:
            each, at = self.resource(name), f"webhooks.tables.{name}"
            if each is None:
                raise ValueError(f"{at}: there is no resource {name}")
            if not each.primary_key:
                raise ValueError(f"{at}: the resource needs a primary_key, by which events find the row")
            if each.parent is not None and each.parent.resource not in webhooks.parents:
                raise ValueError(f"{at}: say in webhooks.parents where an event has the {each.parent.resource}")


def is_scrolled(resource: Resource) -> bool:
    return isinstance(resource.paging, CursorPaging) and resource.paging.scroll


_CURSOR_TYPES = ("date", "timestamp", "timestamp_ntz", "long", "unix", "unix_ms")


def parse_declaration(given: Mapping[str, Any], inputs: Collection[str], *, attr: str | None) -> Declaration:
    """``ConfigurationError`` with the path of what is wrong, and what to write.

    ``inputs``: names that its texts may refer to.
    """
    try:
        # As JSON, of which a list may be a tuple.
        found = Declaration.model_validate_json(json.dumps(_with_defaults(given, attr)))
    except ValidationError as error:
        raise ConfigurationError(f"The declaration is wrong at {described(error, _members())}.", attr=attr) from error
    for at, names, known in _references(found, inputs):
        if unknown := next((name for name in names if name not in known), None):
            there = ", ".join(sorted(known)) or "none"
            raise ConfigurationError(
                f"The declaration is wrong at {at}: {{{unknown}}} is no input; there are: {there}.", attr=attr
            )
    return found


def _members() -> list[str]:
    models = [each for each in globals().values() if isinstance(each, type) and issubclass(each, Model)]
    return sorted({field.alias or name for model in models for name, field in model.model_fields.items()})


def _with_defaults(given: Mapping[str, Any], attr: str | None) -> dict[str, Any]:
    """``defaults`` are what each resource has that does not say otherwise."""
    rest = {name: value for name, value in given.items() if name != "defaults"}
    defaults = given.get("defaults", {})
    resources = rest.get("resources")
    if not isinstance(defaults, Mapping):
        raise ConfigurationError("The declaration is wrong at defaults: must be an object.", attr=attr)
    if defaults and isinstance(resources, list):
        rest["resources"] = [{**defaults, **each} if isinstance(each, Mapping) else each for each in resources]
    return rest


def _references(found: Declaration, inputs: Collection[str]) -> Iterator[tuple[str, Collection[str], Collection[str]]]:
    """Where names stand in braces, which, and which may."""
    yield "base_url", names_in(found.base_url), inputs
    for name, text in found.headers.items():
        yield f"headers.{name}", names_in(text), inputs
    if found.auth is not None:
        for name, value in found.auth:
            if isinstance(value, str):
                yield f"auth.{name}", names_in(value), inputs
    for number, each in enumerate(found.resources):
        known = {*inputs, *(each.parent.include if each.parent else ())}
        yield f"resources.{number}.path", names_in(each.path), known
        for part, values in (("headers", each.headers), ("params", each.params)):
            for name, value in values.items():
                yield f"resources.{number}.{part}.{name}", names_in(str(value)), known
        if each.incremental is not None:
            for name, value in each.incremental.params.items():
                yield f"resources.{number}.incremental.params.{name}", names_in(str(value)), known
            yield f"resources.{number}.incremental.template", names_in(each.incremental.template), {"value"}
