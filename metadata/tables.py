"""The tables of a project by the names that queries know them by."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from metadata.live import nothing_deleted
from metadata.models import DIRECT, LakeTable, Project, Schema, Source
from metadata.names import table_name


@dataclass(frozen=True)
class FoundTable:
    """``path``: where it lies in the lake; None for a table of a direct source."""

    name: str
    schema_name: str
    source: Source
    discovered: Mapping[str, Any]
    path: str | None = None


def direct_sources(session: Session, project_id: int) -> list[Source]:
    """Those that are queried live, by prefix."""
    live = (
        select(Source)
        .where(Source.project_id == project_id, Source.access_method == DIRECT, col(Source.deleted_at).is_(None))
        .order_by(col(Source.prefix), col(Source.id))
    )
    return list(session.exec(live))


def find_tables(session: Session, project_id: int, names: Collection[str]) -> list[FoundTable]:
    """Every table of the project that has one of these names; two may share one."""
    in_lake = session.exec(
        select(LakeTable, Schema, Source)
        .join(Schema, col(Schema.id) == LakeTable.schema_id)
        .join(Source, col(Source.id) == Schema.source_id)
        .join(Project, col(Project.id) == Schema.project_id)
        .where(LakeTable.project_id == project_id, col(LakeTable.name).in_(names), *nothing_deleted())
    )
    found = [FoundTable(table.name, schema.name, source, {}, table.path) for table, schema, source in in_lake]
    beginnings = tuple(names)
    for source in direct_sources(session, project_id):
        start = table_name(source.prefix, source.source_type, "")
        if any(name.startswith(start) for name in beginnings):
            found += [table for table in _direct_tables(session, source) if table.name in names]
    return found


def table_names(session: Session, project_id: int, most: int) -> list[str]:
    """Names of the project's tables, to choose a similar one from; no more than so many."""
    in_lake = (
        select(LakeTable.name)
        .join(Schema, col(Schema.id) == LakeTable.schema_id)
        .join(Source, col(Source.id) == Schema.source_id)
        .join(Project, col(Project.id) == Schema.project_id)
        .where(LakeTable.project_id == project_id, *nothing_deleted())
        .limit(most)
    )
    names = list(session.exec(in_lake))
    for source in direct_sources(session, project_id):
        if len(names) >= most:
            break
        names += [table.name for table in _direct_tables(session, source)]
    return names[:most]


def _direct_tables(session: Session, source: Source) -> Iterator[FoundTable]:
    live = select(Schema.name, Schema.discovered).where(Schema.source_id == source.id, col(Schema.deleted_at).is_(None))
    for name, discovered in session.exec(live):
        yield FoundTable(table_name(source.prefix, source.source_type, name), name, source, discovered)
