"""Append exactly once: what was read again is held against what the table has, row by row, by content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from lake.change import Change, Publishing, as_data_files
from lake.columns import is_own
from lake.duck import Budget, column_list, engine, quoted, row_sets, same, signs_of
from lake.log import TableFile
from lake.parquet import WrittenFile, open_file
from lake.pruning import may_hold, may_hold_nulls
from lake.rows import FILE_COLUMN, ROW_COLUMN, DataFile, RowSets, chosen_rows, numbered_rows
from lake.storage import LakeStore

NTH = "_sync_nth"
"""Which of several equal rows."""
SIGN = "_sync_sign_"


def append(publishing: Publishing, budget: Budget) -> Change:
    """Add the rows that are new: all fresh ones, and overlap rows beyond those that the table holds already.

    Equal rows count: of three at the source and two in the table, one is added. Rows are compared in the columns
    that a stored file has, so that a column that came later does not make its rows look new.
    """
    manifest = publishing.manifest
    fresh, overlap = manifest.fresh, manifest.overlap
    if manifest.edge is None and publishing.target:
        # Nothing says which rows are past the table's: hold all of them against it.
        fresh, overlap = (), (*fresh, *overlap)
    known = _known_rows(publishing, overlap, budget) if overlap and publishing.target else {}
    added = [*publishing.settle("fresh", fresh, {}), *publishing.settle("overlap", overlap, known)]
    removed, rest = publishing.rewrite_target({})
    rows = manifest.rows - sum(len(numbers) for numbers in known.values())
    return Change([*rest, *added], removed, rows, overwrite=bool(publishing.evolution.widened))


def add(publishing: Publishing) -> Change:
    """All rows, whatever the table holds already."""
    manifest = publishing.manifest
    added = [*publishing.settle("fresh", manifest.fresh, {}), *publishing.settle("overlap", manifest.overlap, {})]
    removed, rest = publishing.rewrite_target({})
    return Change([*rest, *added], removed, manifest.rows, overwrite=bool(publishing.evolution.widened))


@dataclass(frozen=True)
class _Span:
    """Least and greatest cursor of the overlap, and whether some of its rows have none."""

    lower: pa.Scalar
    upper: pa.Scalar
    nulls: bool

    def may_meet(self, file: TableFile, cursor: pa.Field) -> bool:
        if self.nulls and may_hold_nulls(file, cursor.name):
            return True
        return self.lower.is_valid and may_hold(file, cursor.name, cursor.type, self.lower, self.upper)

    def as_table(self) -> pa.Table:
        bounds = {"lower": self.lower, "upper": self.upper}
        return pa.table({name: pa.array([bound.as_py()], bound.type) for name, bound in bounds.items()})


def _known_rows(publishing: Publishing, overlap: Sequence[WrittenFile], budget: Budget) -> RowSets:
    span, numbers = None, list(range(len(publishing.target)))
    if publishing.cursor is not None:
        cursor = publishing.evolution.schema.field(publishing.cursor)
        span = _span(publishing.store, overlap, cursor)
        numbers = [number for number in numbers if span.may_meet(publishing.target[number], cursor)]
    if not numbers:
        return {}
    with engine(budget) as connection:
        connection.execute(f"create temp table known ({FILE_COLUMN} bigint, {ROW_COLUMN} bigint)")
        for columns, group in _by_shared_columns(publishing, numbers).items():
            _subtract(connection, publishing, overlap, columns, group, span)
        return row_sets(connection, "from known")


def _span(store: LakeStore, files: Sequence[WrittenFile], cursor: pa.Field) -> _Span:
    lower = upper = pa.scalar(None, cursor.type)
    nulls = False
    for batch in numbered_rows(store, as_data_files(files), pa.schema([cursor])):
        values = batch.column(0)
        nulls = nulls or values.null_count > 0
        least, greatest = pc.min_max(values).values()
        # Arrow's element-wise kernels know no timestamps with a zone; those over an array do.
        lower = pc.min(pa.array([lower, least], cursor.type))
        upper = pc.max(pa.array([upper, greatest], cursor.type))
    return _Span(lower, upper, nulls)


def _by_shared_columns(publishing: Publishing, numbers: Sequence[int]) -> dict[tuple[str, ...], list[int]]:
    """Files of the target, by the columns that they themselves share with the new rows."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, file in publishing.target_files(numbers).items():
        with open_file(publishing.store, file.path) as opened:
            stored = {name for name in opened.schema_arrow.names if not is_own(name)}
        columns = tuple(name for name in publishing.incoming_schema.names if name in stored)
        groups.setdefault(columns, []).append(number)
    return groups


def _subtract(
    connection: duckdb.DuckDBPyConnection,
    publishing: Publishing,
    overlap: Sequence[WrittenFile],
    columns: tuple[str, ...],
    numbers: Sequence[int],
    span: _Span | None,
) -> None:
    """Add to ``known`` the overlap rows not yet in it that some stored row matches, one for one."""
    schema = pa.schema([publishing.evolution.schema.field(name) for name in columns])
    files = publishing.target_files(numbers)
    connection.register("stored", _stored_rows(connection, publishing, files, schema, span))
    connection.register("overlap", numbered_rows(publishing.store, as_data_files(overlap), schema))
    # 0.0 and -0.0 are equal, but not alike; a window forgets the difference.
    signs = {f"{SIGN}{number}": sign for number, sign in enumerate(signs_of(schema))}
    told = ", ".join(["*", *(f"{sign} as {name}" for name, sign in signs.items())])
    compared = [*columns, *signs]
    each = column_list(compared)
    connection.execute(
        f"""insert into known
        with held as (
            select {each}, row_number() over (partition by {each}) as {NTH}
            from (select {told} from stored)
        ), candidate as (
            select {each}, {FILE_COLUMN}, {ROW_COLUMN}, row_number() over (partition by {each}) as {NTH}
            from (select {told} from overlap anti join known using ({FILE_COLUMN}, {ROW_COLUMN}))
        )
        select candidate.{FILE_COLUMN}, candidate.{ROW_COLUMN} from held join candidate
        on candidate.{NTH} = held.{NTH} and {same(compared, "candidate", "held", "is not distinct from")}"""
    )
    connection.unregister("stored")
    connection.unregister("overlap")


def _stored_rows(
    connection: duckdb.DuckDBPyConnection,
    publishing: Publishing,
    files: Mapping[int, DataFile],
    schema: pa.Schema,
    span: _Span | None,
) -> pa.RecordBatchReader:
    """Those that may be like a row of the overlap, found by their cursors alone: few rows of large files, as a rule."""
    if span is None or publishing.cursor is None or publishing.cursor not in schema.names:
        return numbered_rows(publishing.store, files, schema)
    cursors = pa.schema([schema.field(publishing.cursor)])
    connection.register("span", span.as_table())
    connection.register("cursors", numbered_rows(publishing.store, files, cursors))
    cursor = quoted(publishing.cursor)
    in_range = f"{cursor} between (select lower from span) and (select upper from span)"
    if span.nulls:
        in_range = f"({cursor} is null or {in_range})"
    near = row_sets(connection, f"select {FILE_COLUMN}, {ROW_COLUMN} from cursors where {in_range}")
    connection.unregister("cursors")
    return chosen_rows(publishing.store, files, near, schema)
