"""Which sources revenue analytics looks at, and what there is of them in the lake."""

import uuid
from dataclasses import dataclass

from sqlmodel import Session, col, select

from metadata.models import DIRECT, LakeTable, Schema, Source, SyncType, TableKind

BY_DEFAULT = "Stripe"
"""The source type that it looks at where nobody says otherwise."""


@dataclass(frozen=True)
class SourceTable:
    """A table of a source that has been loaded. ``columns``: those that are enabled, None for all; key and cursor come
    with them.
    """

    path: str
    sync_type: SyncType | None
    columns: frozenset[str] | None


def looks_at(source: Source) -> bool:
    """Whether revenue analytics is on for it: as somebody chose, or by its type."""
    chosen = source.revenue_analytics_enabled
    return source.source_type == BY_DEFAULT if chosen is None else chosen


def analysed_sources(session: Session, project_id: int, source_type: str) -> list[Source]:
    """Those of that type that are copied and looked at, by prefix."""
    live = (
        select(Source)
        .where(
            Source.project_id == project_id,
            Source.source_type == source_type,
            Source.access_method != DIRECT,
            col(Source.deleted_at).is_(None),
        )
        .order_by(col(Source.prefix), col(Source.id))
    )
    return [source for source in session.exec(live) if looks_at(source)]


def loaded_tables(session: Session, source_id: uuid.UUID) -> dict[str, SourceTable]:
    """By their names at the source."""
    live = (
        select(Schema, LakeTable.path)
        .join(LakeTable, col(LakeTable.schema_id) == Schema.id)
        .where(Schema.source_id == source_id, LakeTable.kind == TableKind.MAIN, col(Schema.deleted_at).is_(None))
    )
    return {schema.name: _loaded(schema, path) for schema, path in session.exec(live)}


def _loaded(schema: Schema, path: str) -> SourceTable:
    if schema.enabled_columns is None:
        return SourceTable(path, schema.sync_type, None)
    key = schema.primary_key_columns or schema.discovered.get("primary_key") or ()
    always = {*key, *([schema.incremental_field] if schema.incremental_field else ())}
    return SourceTable(path, schema.sync_type, frozenset(schema.enabled_columns) | always)
