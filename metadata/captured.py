"""The schemas whose changes come from their source's capture."""

import uuid

from sqlalchemy.orm import defer
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from metadata.database import for_update
from metadata.models import Schema, SchemaState, SyncType, WishKind, utc_now
from metadata.outbox import wish


def captured_schemas(session: Session, source_id: uuid.UUID) -> list[Schema]:
    """The enabled ones, by name."""
    return list(session.exec(_captured(source_id).where(col(Schema.should_sync)).order_by(col(Schema.name))))


def captured_states(session: Session, source_id: uuid.UUID) -> list[tuple[Schema, SchemaState]]:
    """The same with how far their tables came."""
    enabled = (
        select(Schema, SchemaState)
        .join(SchemaState, col(SchemaState.schema_id) == Schema.id)
        .where(Schema.source_id == source_id, Schema.sync_type == SyncType.CDC, col(Schema.deleted_at).is_(None))
        .where(col(Schema.should_sync))
        .order_by(col(Schema.name))
        .options(defer(Schema.discovered))  # type: ignore[arg-type]
    )
    return list(session.exec(enabled).all())


def end_capturing(session: Session, source_id: uuid.UUID) -> list[str]:
    """Leave the schemas without a sync type, enabled or not; the ids of those that leave something to do, which the
    outbox has. The caller holds the locks of source and capture.
    """
    schemas = session.exec(for_update(_captured(source_id).order_by(col(Schema.id)))).all()
    for schema in schemas:
        schema.sync_type, schema.should_sync, schema.updated_at = None, False, utc_now()
        session.add(schema)
    scheduled = [schema for schema in schemas if schema.enabled_at is not None]
    # A schema without a sync type has no schedule: when it is enabled again it gets a new one.
    wish(session, scheduled, WishKind.CANCEL, WishKind.UNSCHEDULE)
    return [str(schema.id) for schema in scheduled]


def _captured(source_id: uuid.UUID) -> SelectOfScalar[Schema]:
    return select(Schema).where(
        Schema.source_id == source_id, Schema.sync_type == SyncType.CDC, col(Schema.deleted_at).is_(None)
    )
