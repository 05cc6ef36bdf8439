"""Managing webhooks at a provider: what is the same for all of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from connectors.errors import AccessError, SchemaChangedError, SourceError
from connectors.receiving import ALL_EVENTS, Endpoint, Registered
from connectors.rest.client import Api
from connectors.rest.config import RestConfig
from connectors.rest.declaration import Resource
from connectors.rest.requests import Answer, Request

SECRET = "signing_secret"  # noqa: S105 - the name of the field
DESCRIPTION = "Syncline"
MOST_PAGES = 50


class WebhookPlace(Protocol):
    """A provider's API for webhooks, as ``connectors.receiving.Receiving`` has it. Raises ``SourceError`` only."""

    def register(
        self, config: RestConfig, url: str, event_types: Iterable[str], inputs: Mapping[str, str]
    ) -> Registered: ...

    def endpoint(self, config: RestConfig, url: str) -> Endpoint | None: ...

    def unregister(self, config: RestConfig, url: str) -> bool: ...

    def send_again(self, config: RestConfig, url: str, since: float) -> int: ...


class Hooks:
    """Questions to the part of an API that webhooks are managed by."""

    def __init__(self, api: Api, scope: str) -> None:
        self._api = api
        self._scope = scope

    def ask(self, method: str, path: str, params: Mapping[str, str] | None = None) -> Answer:
        return self._send(Request("webhooks", method, self._api.url(path), params=params or {}))

    def post(self, path: str, form: Mapping[str, str | list[str]]) -> Any:
        """As a form. What has no answer is not sent a second time."""
        return self._send(Request("webhooks", "POST", self._api.url(path), form=form, moves=True)).body

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """As JSON. What has no answer is not sent a second time."""
        return self._send(Request("webhooks", method, self._api.url(path), body=body, moves=True)).body

    def _send(self, request: Request) -> Answer:
        try:
            return self._api.ask(
                Resource(name="webhooks", path="webhooks", scope=self._scope, records_optional=True), request
            )
        except (AccessError, SchemaChangedError) as error:
            # Some answer that there is nothing where a right is missing.
            raise AccessError(f"The credentials may not manage webhooks: they need {self._scope}.") from error


@contextmanager
def hooks(config: RestConfig) -> Iterator[Hooks]:
    assert config.declaration.webhooks is not None
    with Api(config) as api:
        yield Hooks(api, config.declaration.webhooks.scope)


def joined(known: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """What is sent with what is wanted beside it; the same list where nothing is missing."""
    sent, missing = list(known), set(wanted) - set(known)
    if ALL_EVENTS in sent:
        return sent
    return [ALL_EVENTS] if ALL_EVENTS in missing else [*sent, *sorted(missing)]


def objects_of(body: Any) -> list[Mapping[str, Any]]:
    """``SourceError`` for an answer that is no list of objects."""
    if not isinstance(body, list) or not all(isinstance(each, dict) for each in body):
        raise SourceError("The API's answer for webhooks has no list of them.")
    return body


def text_of(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
