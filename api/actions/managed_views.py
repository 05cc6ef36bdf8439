"""The views that a project's sources have beside their tables, and what stands in the way of one."""

from collections.abc import Collection

from sqlmodel import Session

from metadata.analytics import SourceTable, analysed_sources, loaded_tables
from metadata.models import Source, SyncType
from metadata.names import table_name
from query.errors import UnknownTableError
from query.messages import ManagedView
from query.views.catalogue import COLUMNS, VIEWS, View


def find_views(session: Session, project_id: int, names: Collection[str]) -> list[ManagedView]:
    """Every view that has one of these names. ``UnknownTableError`` says what one still needs to be there.

    Most names end as no view's does: they cost nothing.
    """
    endings = {_last_word(name) for name in names}
    found = []
    for source_type, views in VIEWS.items():
        wanted = [view for view in views if _last_word(view.name) in endings]
        for source in analysed_sources(session, project_id, source_type) if wanted else ():
            named = {_name(source, view): view for view in wanted}
            found += [_resolved(session, source, view, name) for name, view in named.items() if name in names]
    return found


def view_names(session: Session, project_id: int) -> list[str]:
    """Names of the views that can be queried now."""
    found = []
    for source_type, views in VIEWS.items():
        for source in analysed_sources(session, project_id, source_type):
            loaded = loaded_tables(session, source.id)
            found += [_name(source, view) for view in views if not _obstacle(source, view, loaded)]
    return found


def _name(source: Source, view: View) -> str:
    return table_name(source.prefix, source.source_type, view.name)


def _last_word(name: str) -> str:
    return name.rpartition("_")[2]


def _resolved(session: Session, source: Source, view: View, name: str) -> ManagedView:
    loaded = loaded_tables(session, source.id)
    if obstacle := _obstacle(source, view, loaded):
        raise UnknownTableError(f"The view {name} {obstacle}")
    with_charges = source.include_invoiceless_charges
    read = view.read(with_charges)
    paths = {table: loaded[table].path for table in read if table in loaded}
    return ManagedView(name, source.source_type, view.name, paths, with_charges)


def _obstacle(source: Source, view: View, loaded: dict[str, SourceTable]) -> str | None:
    """The rest of a sentence that begins with the view."""
    needed = view.needed(source.include_invoiceless_charges)
    if missing := [table for table in needed if table not in loaded]:
        return f"needs tables of its source that are not loaded: {', '.join(missing)}."
    for table in view.read(source.include_invoiceless_charges):
        if table in loaded and (problem := _problem(source.source_type, table, loaded[table])):
            return problem
    return None


def _problem(source_type: str, table: str, loaded: SourceTable) -> str | None:
    if loaded.sync_type == SyncType.APPEND:
        return f"counts each object once: copy the table {table} by full_refresh or incremental, not by append."
    if loaded.columns is None:
        return None
    disabled = [column for column in COLUMNS[source_type][table] if column not in loaded.columns]
    return f"needs columns of the table {table} that are not enabled: {', '.join(disabled)}." if disabled else None
