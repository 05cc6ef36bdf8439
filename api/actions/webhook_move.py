"""A source that leads to another account now: its webhook goes along."""

import structlog
from sqlmodel import Session

from api.actions.webhook_setup import claim, held, register, taken_back
from api.backend import Backend
from api.errors import ApiError
from api.webhooks import receiving
from connectors.errors import SourceError
from metadata.live import locked_schemas
from metadata.models import Source, SyncFrequency, WishKind
from metadata.outbox import wish
from metadata.registrations import followed_schemas, live_webhook
from metadata.schemas import raise_generation
from metadata.sources import find_source

log = structlog.get_logger(__name__)


def follow(backend: Backend, before: Source) -> None:
    """Where the account that the source leads to now knows nothing of its webhook, it is registered there, no more at
    the old one, and the tables are read anew. ``before``: the source with its old connection.

    What fails is left as it is: ``webhook_info`` shows what is missing.
    """
    connector = receiving(before.source_type)
    with backend.database.read() as session:
        webhook = live_webhook(session, before.id)
        now = find_source(session, before.project_id, before.id)
    if connector is None or webhook is None or now is None:
        return
    try:
        old, new = backend.stored_config(connector, before), backend.stored_config(connector, now)
        with backend.source_calls.bounded(before.project_id):
            if connector.endpoint(new, webhook.url) is not None or webhook.made_by_hand:
                return
            registration, tables = claim(backend, before.project_id, before.id)
            with held(backend, registration, connector, new):
                outcome = register(backend, connector, new, registration, tables)
            if outcome.error is not None:
                raise outcome.error
            taken_back(connector, old, webhook.url)
        with backend.database.transaction() as session:
            anew = _read_anew(session, now)
    except (SourceError, ApiError) as error:
        log.warning("a webhook is not where its source is", source_id=str(before.id), reason=repr(error))
        return
    backend.relay.deliver(anew)


def _read_anew(session: Session, source: Source) -> list[str]:
    ids = [schema.id for schema in followed_schemas(session, source.id)]
    followed = locked_schemas(session, source.id, ids).values()
    readable = [schema for schema in followed if not schema.discovered.get("webhook_only")]
    raise_generation(session, [schema.id for schema in readable])
    wish(session, [each for each in readable if each.sync_frequency != SyncFrequency.NEVER], WishKind.RESYNC)
    return [str(schema.id) for schema in readable]
