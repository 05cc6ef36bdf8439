"""Source types whose tables are the resources of a declared API."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa

from connectors.addresses import check_address
from connectors.base import DiscoveredTable, FormField, ReadRequest, SourceForm, TableRead
from connectors.errors import ConfigurationError
from connectors.rest.client import Api, base_url
from connectors.rest.config import RestConfig
from connectors.rest.declaration import Declaration, OAuth2Auth, parse_declaration
from connectors.rest.discovery import tables
from connectors.rest.paging import FIRST
from connectors.rest.reader import open_read
from connectors.rest.templates import filled, names_in
from connectors.rest.walking import pages
from connectors.surroundings import Surroundings

_HOST_PART = re.compile(r"[A-Za-z0-9\-]{1,63}")
"""What may be put into the name of a host."""

LOOK_SECONDS = 5.0
"""How long a login that is tried is tried again: somebody waits for it."""

INPUTS = (
    FormField("base_url", "Base URL", required=True, placeholder="https://api.example.com/v1", decides_host=True),
    FormField("token_url", "Token URL (OAuth 2)", decides_host=True),
    FormField("api_key", "API key or token", type="password", secret=True),
    FormField("username", "User"),
    FormField("password", "Password", type="password", secret=True),
    FormField("client_id", "Client id (OAuth 2)"),
    FormField("client_secret", "Client secret (OAuth 2)", type="password", secret=True),
    FormField("refresh_token", "Refresh token (OAuth 2)", type="password", secret=True),
)
"""What a user's declaration may refer to in braces."""


class RestConnector(ABC):
    """``connectors.base.Batched``, but for the configuration."""

    sync_types: tuple[str, ...] = ("full_refresh", "incremental", "append")
    batched: Literal[True] = True

    @abstractmethod
    def parse_config(self, inputs: Mapping[str, Any], surroundings: Surroundings) -> RestConfig: ...

    def validate(self, config: RestConfig) -> None:
        declaration = config.declaration
        resource = declaration.resource(declaration.check or declaration.resources[0].name)
        assert resource is not None
        with Api(config, LOOK_SECONDS) as api:
            next(pages(api, config, resource, FIRST, None), None)

    def discover(self, config: RestConfig, names: Sequence[str] | None = None) -> list[DiscoveredTable]:
        return [each for each in tables(config.declaration) if names is None or each.name in names]

    def read(self, config: RestConfig, request: ReadRequest) -> AbstractContextManager[TableRead]:
        return open_read(config, request)

    def preview(self, config: RestConfig, table: str) -> pa.Table:
        """The first page."""
        if config.declaration.resource(table) is None:
            raise ConfigurationError(f"The declaration has no resource {table}.", attr="resource")
        with open_read(config, ReadRequest(table, "preview"), most_rows=1) as opened:
            return pa.Table.from_batches(list(opened.batches()), opened.schema)

    def cancel(self, config: RestConfig, read_id: str) -> None:  # noqa: B027 - nothing is what there is to do
        """Nothing is left at the API when the reading process ends."""


class RestApiConnector(RestConnector):
    """Any API, by a declaration that its user gives."""

    source_type: str = "RestApi"
    form: SourceForm = SourceForm(
        name="RestApi",
        label="REST API",
        caption="Give the base URL, what the API asks of a login, and the declaration of its resources as JSON.",
        docs_url="https://datatracker.ietf.org/doc/html/rfc9110",
        fields=(
            *INPUTS,
            FormField(
                "declaration", "Declaration (JSON)", type="textarea", required=True, placeholder='{"resources": …}'
            ),
        ),
    )

    def parse_config(self, inputs: Mapping[str, Any], surroundings: Surroundings) -> RestConfig:
        values = _values(INPUTS, inputs)
        given = {"base_url": "{base_url}", **_declared(inputs.get("declaration"))}
        if given["base_url"] != "{base_url}":
            raise ConfigurationError(
                "The declaration is wrong at base_url: the address is a field of its own.", attr="declaration"
            )
        if "webhooks" in given:
            raise ConfigurationError(
                "The declaration is wrong at webhooks: only providers that Syncline knows have it. Events of others "
                "are received by the source type Webhook.",
                attr="declaration",
            )
        return _config(parse_declaration(given, values, attr="declaration"), INPUTS, values, surroundings)


class DeclaredConnector(RestConnector):
    """A provider whose API is declared in a file of ``connectors/rest/sources``."""

    def __init__(self, form: SourceForm, given: Mapping[str, Any]) -> None:
        self.source_type = form.name
        self.form = form
        self._given = given

    @cached_property
    def declaration(self) -> Declaration:
        return parse_declaration(self._given, [field.name for field in self.form.fields], attr=None)

    def parse_config(self, inputs: Mapping[str, Any], surroundings: Surroundings) -> RestConfig:
        values = _values(self.form.fields, inputs)
        for field in self.form.fields:
            # An address that has the name of an account in it.
            if names := names_in(str(field.default or "")):
                _check_host_parts(names, values)
                values[field.name] = filled(values[field.name], values)
        return _config(self.declaration, self.form.fields, values, surroundings)


def _check_host_parts(names: Sequence[str], values: Mapping[str, str]) -> None:
    for name in names:
        if not _HOST_PART.fullmatch(values[name]):
            raise ConfigurationError(f"The field {name} has letters, digits and hyphens only.", attr=name)


def _config(
    declaration: Declaration, fields: Sequence[FormField], values: Mapping[str, str], surroundings: Surroundings
) -> RestConfig:
    secrets = tuple(values[each.name] for each in fields if each.secret and values[each.name])
    config = RestConfig(declaration, values, secrets, surroundings.outbound, surroundings.budget, surroundings.tokens)
    base_url(config)
    if isinstance(declaration.auth, OAuth2Auth):
        check_address(filled(declaration.auth.token_url, values), "token_url", surroundings)
    return config


def _values(fields: Sequence[FormField], inputs: Mapping[str, Any]) -> dict[str, str]:
    values = {each.name: _text(inputs, each) for each in fields}
    for each in fields:
        if each.required and not values[each.name]:
            raise ConfigurationError(f"The field {each.name} is missing.", attr=each.name)
        if each.options and values[each.name] not in each.options:
            raise ConfigurationError(f"The field {each.name} is one of {', '.join(each.options)}.", attr=each.name)
    return values


def _text(inputs: Mapping[str, Any], field: FormField) -> str:
    value = inputs.get(field.name)
    if value is None:
        return str(field.default or "")
    if not isinstance(value, str) or "\0" in value or "\n" in value.strip():
        raise ConfigurationError(f"The field {field.name} must be a line of text.", attr=field.name)
    return value.strip()


def _declared(given: Any) -> dict[str, Any]:
    if given in (None, ""):
        raise ConfigurationError("The field declaration is missing.", attr="declaration")
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            raise ConfigurationError(f"The declaration is no valid JSON{place}.", attr="declaration") from error
    if not isinstance(given, Mapping):
        raise ConfigurationError("The declaration must be an object.", attr="declaration")
    return dict(given)
