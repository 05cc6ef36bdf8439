"""Answering a query over the tables of a project."""

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from api.actions.managed_views import find_views, view_names
from api.auth import Caller
from api.backend import Backend
from api.errors import InvalidError
from api.inputs import known_connector
from api.limits import ThrottledError
from connectors.errors import SourceError
from metadata.tables import FoundTable, find_tables, table_names
from query.errors import QueriesBusyError, QueryError, SourceQueryError, UnknownTableError
from query.messages import Format, LakeTable, LiveTable, NamedTable
from query.runner import Answer

MOST_NAMES = 10_000
RETRY_AFTER_SECONDS = 1


def answer(
    backend: Backend, caller: Caller, sql: str, rows: int, format: Format, is_wanted: Callable[[], bool]
) -> Answer:
    """The whole answer. ``InvalidError`` where there is none, ``ThrottledError`` where too many queries run."""
    try:
        return backend.queries.run(
            sql, rows, format, lambda names: _resolved(backend, caller.project_id, names), is_wanted
        )
    except QueriesBusyError as error:
        backend.metrics.throttled("queries")
        raise ThrottledError(
            "As many queries run as may run at once: try again in a moment.", RETRY_AFTER_SECONDS, "queries"
        ) from error
    except QueryError as error:
        raise InvalidError(error.message, attr="query", code=error.code) from error


def _resolved(backend: Backend, project_id: int, names: Sequence[str]) -> list[NamedTable]:
    with backend.database.read() as session:
        found = find_tables(session, project_id, names)
        tables = {table.name for table in found}
        views = find_views(session, project_id, [name for name in names if name not in tables])
        here = Counter([*(table.name for table in found), *(view.name for view in views)])
        for name in names:
            if not here[name]:
                known = [*table_names(session, project_id, MOST_NAMES), *view_names(session, project_id)]
                raise _unknown(name, known)
            if here[name] > 1:
                raise UnknownTableError(f"{here[name]} tables are called {name}: give their sources other prefixes.")
    read_id = f"query-{uuid.uuid4()}"
    return [*(_named(backend, table, read_id) for table in found), *views]


def _unknown(name: str, names: Sequence[str]) -> UnknownTableError:
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f" Similar names: {', '.join(near)}." if near else ""
    return UnknownTableError(f"There is no table {name[:200]}.{hint}")


def _named(backend: Backend, table: FoundTable, read_id: str) -> NamedTable:
    if table.path is not None:
        return LakeTable(table.name, table.path)
    source = table.source
    try:
        config = backend.stored_config(known_connector(source.source_type), source)
    except SourceError as error:
        raise SourceQueryError(error.message) from error
    types = {column["name"]: column["type"] for column in table.discovered.get("columns", ())}
    return LiveTable(table.name, source.source_type, config, table.schema_name, types, read_id)
