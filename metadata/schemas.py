"""Schemas as the API reads and writes them, always inside one project."""

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, or_, select
from sqlmodel.sql.expression import SelectOfScalar

from metadata.database import for_update
from metadata.listing import page_of
from metadata.models import LakeTable, Schema, SchemaState, Source, SyncType, TableKind, TableMode, WishKind, utc_now
from metadata.outbox import wish


@dataclass(frozen=True)
class SchemaFilter:
    """What a list is narrowed to; ``None`` narrows nothing."""

    source_id: uuid.UUID | None = None
    status: str | None = None
    sync_type: str | None = None
    should_sync: bool | None = None
    search: str | None = None


@dataclass(frozen=True)
class TableFacts:
    """A table as discovery saw it. ``facts`` is what ``Schema.discovered`` keeps, as JSON."""

    name: str
    facts: dict[str, Any]
    label: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Reconciled:
    """What a look at the source changed among its schemas."""

    added: list[Schema]
    removed: list[Schema]
    vanished: list[Schema]
    """Kept for their data, disabled and marked."""


def list_schemas(
    session: Session, project_id: int, wanted: SchemaFilter, limit: int, offset: int
) -> tuple[int, list[Schema]]:
    """How many there are in all, and one page of them, newest first."""
    return page_of(session, Schema, _narrowed(_alive().where(Schema.project_id == project_id), wanted), limit, offset)


def schemas_of(session: Session, source_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[Schema]]:
    """The live schemas of each source, by name; a source without any is there with an empty list."""
    by_source: dict[uuid.UUID, list[Schema]] = {source_id: [] for source_id in source_ids}
    in_order = _alive().where(col(Schema.source_id).in_(source_ids)).order_by(col(Schema.name))
    for schema in session.exec(in_order):
        by_source[schema.source_id].append(schema)
    return by_source


def schemas_among(session: Session, source_id: uuid.UUID, schema_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Schema]:
    """The live ones among these that are of this source, by id."""
    wanted = _alive().where(Schema.source_id == source_id, col(Schema.id).in_(schema_ids))
    return {schema.id: schema for schema in session.exec(wanted)}


def tables_of(session: Session, schemas: Iterable[Schema]) -> dict[uuid.UUID, LakeTable]:
    """The lake table of each schema that has one: the main one, unless the schema is to have a history only."""
    kinds = {schema.id: shown_kind(schema) for schema in schemas}
    found = session.exec(select(LakeTable).where(col(LakeTable.schema_id).in_(kinds)))
    return {table.schema_id: table for table in found if table.kind == kinds[table.schema_id]}


def shown_kind(schema: Schema) -> TableKind:
    """Which of its tables in the lake stands for the schema."""
    history_only = schema.sync_type == SyncType.CDC and schema.cdc_table_mode == TableMode.CDC_ONLY
    return TableKind.HISTORY if history_only else TableKind.MAIN


def holding_data(session: Session, schemas: Iterable[Schema]) -> set[uuid.UUID]:
    """The ids of those that have any table in the lake."""
    ids = [schema.id for schema in schemas]
    return set(session.exec(select(LakeTable.schema_id).where(col(LakeTable.schema_id).in_(ids))))


def add_schemas(session: Session, schemas: Iterable[Schema]) -> None:
    """New schemas, each with its state."""
    added = list(schemas)
    session.add_all(added)
    session.flush()
    session.add_all(SchemaState(schema_id=schema.id) for schema in added)
    session.flush()


def schema_from(source: Source, table: TableFacts) -> Schema:
    """A disabled schema for a table that discovery saw; not yet in the database."""
    schema = Schema(project_id=source.project_id, source_id=source.id, name=table.name)
    describe(schema, table)
    return schema


def describe(schema: Schema, table: TableFacts) -> None:
    """Keep what discovery saw of the schema's table."""
    schema.label = table.label[:400] if table.label else None
    schema.description = table.description[:1000] if table.description else None
    schema.discovered = table.facts
    schema.vanished_at = None


def note_asked(session: Session, schema_ids: Collection[uuid.UUID]) -> None:
    """Somebody asks for a run: what is at the source by now is to be in it."""
    session.connection().execute(
        update(SchemaState).where(col(SchemaState.schema_id).in_(schema_ids)).values(asked_at=utc_now())
    )


def raise_generation(session: Session, schema_ids: Collection[uuid.UUID], *, erase: bool = False) -> None:
    """The data must be rebuilt; with ``erase`` it must first be gone."""
    rebuilt: dict[str, Any] = {"generation": col(SchemaState.generation) + 1}
    session.connection().execute(
        update(SchemaState)
        .where(col(SchemaState.schema_id).in_(schema_ids))
        .values(rebuilt | ({"erase_pending": True} if erase else {}))
    )


def delete_schemas(session: Session, schemas: Collection[Schema]) -> list[str]:
    """Soft here; what a run has written waits to be erased. The caller holds the schemas' locks. Answers the ids of
    those that leave something to do outside of the metadata, which the outbox has.
    """
    ids = [schema.id for schema in schemas]
    ran = select(SchemaState.schema_id).where(col(SchemaState.schema_id).in_(ids), SchemaState.fence > 0)
    written = set(session.exec(ran))
    raise_generation(session, written, erase=True)
    now = utc_now()
    for schema in schemas:
        schema.deleted_at = schema.updated_at = now
        schema.should_sync = False
        session.add(schema)
    scheduled = [schema for schema in schemas if schema.enabled_at is not None]
    erased = [schema for schema in schemas if schema.id in written]
    wish(session, scheduled, WishKind.UNSCHEDULE)
    wish(session, erased, WishKind.ERASE)
    session.flush()
    return sorted({str(schema.id) for schema in (*scheduled, *erased)})


def reconcile_discovered(session: Session, source: Source, tables: Collection[TableFacts]) -> Reconciled:
    """Make the source's schemas agree with what discovery saw. The caller holds the source's lock."""
    statement = _alive().where(Schema.source_id == source.id).order_by(col(Schema.id))
    known = {schema.name: schema for schema in session.exec(for_update(statement))}
    seen = {table.name: table for table in tables}
    for name in known.keys() & seen.keys():
        describe(known[name], seen[name])
    added = [schema_from(source, seen[name]) for name in sorted(seen.keys() - known.keys())]
    add_schemas(session, added)

    gone = [known[name] for name in sorted(known.keys() - seen.keys())]
    written = holding_data(session, gone)
    removed = [schema for schema in gone if schema.id not in written]
    vanished = [schema for schema in gone if schema.id in written and schema.vanished_at is None]
    for schema in vanished:
        schema.should_sync = False
        schema.vanished_at = schema.updated_at = utc_now()
        session.add(schema)
    wish(session, vanished, WishKind.SCHEDULE, WishKind.CANCEL)
    delete_schemas(session, removed)
    return Reconciled(added, removed, vanished)


def _alive() -> SelectOfScalar[Schema]:
    return select(Schema).where(col(Schema.deleted_at).is_(None))


def _narrowed(statement: SelectOfScalar[Schema], wanted: SchemaFilter) -> SelectOfScalar[Schema]:
    equal = {
        col(Schema.source_id): wanted.source_id,
        col(Schema.status): wanted.status,
        col(Schema.sync_type): wanted.sync_type,
        col(Schema.should_sync): wanted.should_sync,
    }
    statement = statement.where(*(column == value for column, value in equal.items() if value is not None))
    if not wanted.search:
        return statement
    return statement.where(
        or_(
            col(Schema.name).icontains(wanted.search, autoescape=True),
            col(Schema.label).icontains(wanted.search, autoescape=True),
        )
    )
