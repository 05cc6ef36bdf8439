"""Upsert by copy-on-write: the memory it takes depends on the new rows' keys, never on the table.

Files that may hold one of the keys are found by their statistics, then by their keys alone; only those that do are
written anew, without the rows that are replaced. Nothing is matched by position, so rows may come in any order.
"""

import duckdb
import pyarrow as pa

from lake.change import Change, Publishing, as_data_files
from lake.columns import is_own
from lake.duck import Budget, alike, column_list, engine, quoted, row_sets, same
from lake.errors import DuplicateKeyError, IncompatibleSchemaError
from lake.pruning import files_with
from lake.rows import FILE_COLUMN, ROW_COLUMN, RowSets, chosen_rows, numbered_rows
from lake.staging import describe_key

DELETED = -1
"""In place of the number of the file that brings the new row."""
GROUPS = "whole_groups"


def upsert(publishing: Publishing, budget: Budget) -> Change:
    """Replace rows with the same key, add the others. Overlap rows that the table holds unchanged are left out.

    Stored rows with one of the manifest's deleted keys go; one that is also the key of a new row is a row's in the end.
    So do those of its whole groups that have no new row's key.
    ``DuplicateKeyError`` when two of the new rows share a key.
    """
    check_key_types(publishing)
    manifest = publishing.manifest
    known: RowSets = {}
    dropped: RowSets = {}
    changed = deleted = 0
    with engine(budget) as connection:
        _load_keys(connection, publishing)
        _check_duplicates(connection, publishing.primary_key)
        _load_deleted_keys(connection, publishing)
        _load_groups(connection, publishing)
        if publishing.target:
            _match_keys(connection, publishing)
            known = _find_unchanged(connection, publishing)
            dropped = row_sets(connection, f"select {FILE_COLUMN}, {ROW_COLUMN} from replaced")
            changed = _count(connection, "select count(distinct (new_file, new_row)) from replaced where new_file >= 0")
            deleted = _count(connection, "select count(*) from replaced where new_file < 0")
    fresh = publishing.settle("fresh", manifest.fresh, {})
    overlap = publishing.settle("overlap", manifest.overlap, known)
    removed, rest = publishing.rewrite_target(dropped)
    new_rows = manifest.rows - sum(len(rows) for rows in known.values())
    return Change(
        added=[*rest, *fresh, *overlap],
        removed=removed,
        rows_added=new_rows - changed,
        rows_changed=changed,
        rows_deleted=deleted,
        overwrite=bool(publishing.evolution.widened),
    )


def check_key_types(publishing: Publishing) -> None:
    for name in publishing.primary_key:
        if pa.types.is_floating(publishing.evolution.schema.field(name).type):
            raise IncompatibleSchemaError(
                f"The key column {name!r} holds floating-point numbers, which cannot identify a row; "
                "choose another key, or append instead."
            )


def _key_schema(publishing: Publishing) -> pa.Schema:
    return pa.schema([publishing.evolution.schema.field(name) for name in publishing.primary_key])


def _load_keys(connection: duckdb.DuckDBPyConnection, publishing: Publishing) -> None:
    """Table ``incoming``: the new rows' keys, fresh files numbered before overlap files."""
    staged = as_data_files((*publishing.manifest.fresh, *publishing.manifest.overlap))
    connection.register("staged", numbered_rows(publishing.store, staged, _key_schema(publishing)))
    connection.execute("create temp table incoming as select * from staged")
    connection.unregister("staged")


def _load_deleted_keys(connection: duckdb.DuckDBPyConnection, publishing: Publishing) -> None:
    """Into ``incoming`` as well, as rows of no file, unless a new row takes the place."""
    if not publishing.manifest.deleted:
        return
    staged = as_data_files(publishing.manifest.deleted)
    connection.register("deleted", numbered_rows(publishing.store, staged, _key_schema(publishing)))
    keys = column_list(publishing.primary_key)
    connection.execute(
        f"""insert into incoming select distinct {keys}, {DELETED}, {DELETED}
        from deleted anti join incoming using ({keys})"""
    )
    connection.unregister("deleted")


def _load_groups(connection: duckdb.DuckDBPyConnection, publishing: Publishing) -> None:
    """Table ``whole_groups``, where the manifest has any."""
    whole = publishing.manifest.whole
    if whole is None:
        return
    column = publishing.evolution.schema.field(whole.column)
    connection.register("groups", pa.table([pa.array(whole.values, column.type)], [column.name]))
    connection.execute(f"create temp table {GROUPS} as select distinct {quoted(column.name)} from groups")
    connection.unregister("groups")


def _check_duplicates(connection: duckdb.DuckDBPyConnection, primary_key: tuple[str, ...]) -> None:
    keys = column_list(primary_key)
    example = connection.sql(
        f"select {keys} from incoming group by {keys} having count(*) > 1 limit 1"
    ).to_arrow_table()
    if example.num_rows:
        raise DuplicateKeyError(
            f"Several rows of the source share the primary key {describe_key(example.to_pylist()[0])}; "
            "choose key columns that identify a row."
        )


def _match_keys(connection: duckdb.DuckDBPyConnection, publishing: Publishing) -> None:
    """Table ``replaced``: stored rows beside the new ones with the same key, or beside none in a whole group."""
    whole = publishing.manifest.whole
    numbers = set(files_with(connection, publishing, "incoming", publishing.primary_key))
    outer, wanted = "", "true"
    if whole is not None:
        numbers |= set(files_with(connection, publishing, GROUPS, [whole.column]))
        outer, name = "left", quoted(whole.column)
        wanted = f"incoming.{FILE_COLUMN} is not null or stored.{name} in (select {name} from {GROUPS})"
    files = publishing.target_files(sorted(numbers))
    connection.register("stored", numbered_rows(publishing.store, files, _key_schema(publishing)))
    connection.execute(
        f"""create temp table replaced as
        select stored.{FILE_COLUMN}, stored.{ROW_COLUMN},
               coalesce(incoming.{FILE_COLUMN}, {DELETED}) as new_file,
               coalesce(incoming.{ROW_COLUMN}, {DELETED}) as new_row
        from stored {outer} join incoming on {same(publishing.primary_key, "stored", "incoming")}
        where {wanted}"""
    )
    connection.unregister("stored")


def _find_unchanged(connection: duckdb.DuckDBPyConnection, publishing: Publishing) -> RowSets:
    """Overlap rows that the table holds just so. Takes them out of ``replaced``."""
    first = len(publishing.manifest.fresh)
    suspects = row_sets(connection, f"select {FILE_COLUMN}, {ROW_COLUMN} from replaced where new_file >= {first}")
    if not suspects:
        return {}
    schema = pa.schema([column for column in publishing.incoming_schema if not is_own(column.name)])
    files = publishing.target_files(list(suspects))
    connection.register("held", chosen_rows(publishing.store, files, suspects, schema))
    overlap = as_data_files(publishing.manifest.overlap)
    connection.register("overlap", numbered_rows(publishing.store, overlap, schema))
    values = [name for name in schema.names if name not in publishing.primary_key]
    compared = pa.schema([schema.field(name) for name in values])
    connection.execute(
        f"""create temp table unchanged as
        select overlap.{FILE_COLUMN}, overlap.{ROW_COLUMN}
        from overlap join held
        on {same(publishing.primary_key, "overlap", "held")} and {alike(compared, "overlap", "held")}"""
    )
    connection.execute(
        f"""delete from replaced using unchanged
        where new_file = unchanged.{FILE_COLUMN} + {first} and new_row = unchanged.{ROW_COLUMN}"""
    )
    return row_sets(connection, "from unchanged")


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.sql(query).fetchone()
    return int(row[0]) if row else 0
