"""Source types whose tables are the resources of a declared API."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

from connectors.base import DiscoveredTable, FormField, ReadRequest, SourceForm, TableRead
from connectors.errors import ConfigurationError
from connectors.rest.client import Api, base_url
from connectors.rest.config import RestConfig
from connectors.rest.declaration import parse_declaration
from connectors.rest.discovery import tables
from connectors.rest.paging import FIRST
from connectors.rest.reader import open_read
from connectors.rest.walking import pages
from connectors.surroundings import Surroundings

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
"""What a declaration may refer to in braces."""

FORM = SourceForm(
    name="RestApi",
    label="REST API",
    caption="Give the base URL, what the API asks of a login, and the declaration of its resources as JSON.",
    docs_url="https://datatracker.ietf.org/doc/html/rfc9110",
    fields=(
        *INPUTS,
        FormField("declaration", "Declaration (JSON)", type="textarea", required=True, placeholder='{"resources": …}'),
    ),
)


class RestApiConnector:
    """``connectors.base.Batched`` for any API, by a declaration that its user gives."""

    source_type: str = "RestApi"
    form: SourceForm = FORM
    sync_types: tuple[str, ...] = ("full_refresh", "incremental", "append")
    batched: Literal[True] = True

    def parse_config(self, inputs: Mapping[str, Any], surroundings: Surroundings) -> RestConfig:
        values = {each.name: _text(inputs, each.name) for each in INPUTS}
        if not values["base_url"]:
            raise ConfigurationError("The field base_url is missing.", attr="base_url")
        given = {"base_url": "{base_url}", **_declared(inputs.get("declaration"))}
        if given["base_url"] != "{base_url}":
            raise ConfigurationError(
                "The declaration is wrong at base_url: the address is a field of its own.", attr="declaration"
            )
        declaration = parse_declaration(given, values, attr="declaration")
        secrets = tuple(values[each.name] for each in INPUTS if each.secret and values[each.name])
        config = RestConfig(declaration, values, secrets, surroundings.outbound)
        base_url(config)
        return config

    def validate(self, config: RestConfig) -> None:
        declaration = config.declaration
        resource = declaration.resource(declaration.check or declaration.resources[0].name)
        assert resource is not None
        with Api(config) as api:
            next(pages(api, config, resource, FIRST, None), None)

    def discover(self, config: RestConfig, names: Sequence[str] | None = None) -> list[DiscoveredTable]:
        return [each for each in tables(config.declaration) if names is None or each.name in names]

    def read(self, config: RestConfig, request: ReadRequest) -> AbstractContextManager[TableRead]:
        return open_read(config, request)

    def cancel(self, config: RestConfig, read_id: str) -> None:
        """Nothing is left at the API when the reading process ends."""


def _text(inputs: Mapping[str, Any], name: str) -> str:
    value = inputs.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise ConfigurationError(f"The field {name} must be text.", attr=name)
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
