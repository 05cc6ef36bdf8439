"""Single objects as the API has them now."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.errors import SourceError
from connectors.inference.texts import value_text
from connectors.receiving import ObjectChange, Record
from connectors.rest.client import Api
from connectors.rest.config import RestConfig
from connectors.rest.declaration import Parent, Resource
from connectors.rest.paths import found as found_at
from connectors.rest.reader import LATE_SECONDS
from connectors.rest.requests import Request
from connectors.rest.templates import filled_path, names_in
from connectors.rest.webhook_declaration import WebhookDeclaration
from connectors.rest.webhook_events import as_row, has_key, record_order

_NOT_THERE = (404, 410)


def current_objects(config: RestConfig, table: str, records: Sequence[Record]) -> Iterator[ObjectChange | None]:
    """One request for each; under the read's own patience and pace. ``SourceError``."""
    webhooks, resource = config.declaration.webhooks, config.declaration.resource(table)
    path = None if webhooks is None or table not in webhooks.tables else webhooks.tables[table].path
    if webhooks is None or resource is None or path is None:
        yield from [None] * len(records)
        return
    with Api(config) as api:
        for known in records:
            yield _current(api, config, webhooks, resource, path, known)


def _current(
    api: Api, config: RestConfig, webhooks: WebhookDeclaration, resource: Resource, path: str, known: Record
) -> ObjectChange | None:
    members = {name: value_text(value) for name, value in known.items() if value is not None}
    values = {**members, **config.inputs}
    if not all(values.get(name) for name in names_in(path)):
        return None
    answer = api.ask(_single(resource), Request(resource.name, "GET", api.url(filled_path(path, values))))
    order = int((answer.asked_at - LATE_SECONDS) * 1_000_000)
    found = answer.body
    if found is not None and not isinstance(found, dict):
        raise SourceError(f"The API gives no object where one of {resource.name} is asked for.")
    if found is None or (webhooks.gone and found_at(webhooks.gone, found) is True):
        return ObjectChange(known, order, deleted=True) if has_key(resource, known) else None
    parents = resource.parent.include if resource.parent else ()
    row, is_in = as_row(webhooks, resource, {**found, **{name: members[name] for name in parents if name in members}})
    if not _is_same(resource, known, row):
        return ObjectChange(known, order, deleted=True)
    return ObjectChange(row, max(order, record_order(webhooks, found) or order), deleted=not is_in)


def _single(resource: Resource) -> Resource:
    """As a resource of one object, which may not be there."""
    nowhere = Parent(resource=resource.name, include={"id": "id"}, none=_NOT_THERE)
    return resource.model_copy(update={"parent": nowhere, "failed": None, "records_optional": True})


def _is_same(resource: Resource, known: Mapping[str, Any], row: Record) -> bool:
    """An API may lead on to another object, such as what the old one became elsewhere."""
    keys = [name for name in resource.primary_key if known.get(name) is not None]
    return all(value_text(known[name]) == value_text(row.get(name)) for name in keys)
