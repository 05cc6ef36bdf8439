"""Tables that are to be synced by events: the provider sends these before the settings are stored that need them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from api.actions.webhook_setup import claim, held, register, require
from api.backend import Backend
from api.errors import InvalidError
from api.schema_rules import RuleError, SchemaSettings, TableFacts, check, newly_followed
from api.webhooks import receiving
from connectors.errors import SourceError
from connectors.receiving import Receiving
from metadata.models import Schema, Source


@contextmanager
def attached(
    backend: Backend, source: Source, schemas: Sequence[Schema], changes: Sequence[Mapping[str, Any]], under: str = ""
) -> Iterator[None]:
    """Around the storing of changes. Where some table comes to be synced by events, the source has a webhook within the
    block, and its provider sends what that table needs, beside what it sent before. Where the block fails, a webhook
    that was not there before is taken back; ``InvalidError`` where the provider refuses.
    """
    connector = receiving(source.source_type)
    wanted = {
        place: schema.name
        for place, (schema, change) in enumerate(zip(schemas, changes, strict=True))
        if _comes_to_be_followed(schema, change)
    }
    if connector is None or not wanted:
        yield
        return
    place = next(iter(wanted))
    attr = f"{under}.{place}.sync_type" if under else "sync_type"
    with backend.source_calls.bounded(source.project_id):
        try:
            with _registered(backend, connector, source, list(wanted.values()), attr):
                yield
        except SourceError as error:
            raise InvalidError(error.message, attr=attr, code=error.code) from error


@contextmanager
def _registered(
    backend: Backend, connector: Receiving, source: Source, tables: Sequence[str], attr: str
) -> Iterator[None]:
    config = backend.stored_config(connector, source)
    registration, known = claim(backend, source.project_id, source.id, attr)
    with held(backend, registration, connector, config):
        require(register(backend, connector, config, registration, sorted({*known, *tables})))
        yield


def _comes_to_be_followed(schema: Schema, changes: Mapping[str, Any]) -> bool:
    """And the rules let it."""
    before = SchemaSettings.of(schema)
    after = before.with_changes(changes)
    if not newly_followed(before, after):
        return False
    try:
        check(before, after, TableFacts.from_discovered(schema.discovered, vanished=schema.vanished_at is not None))
    except RuleError:
        return False
    return True
