"""Taking columns out of a table, their values with them, without a look at the source."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa

from lake.columns import SOURCE_NAME, is_own, source_name, stored_names
from lake.errors import FencedError, StalePositionError
from lake.manifest import RunRef
from lake.parquet import ParquetSeries, WrittenFile, open_file, unique_stem
from lake.position import Position
from lake.rows import PARALLEL_REWRITES, DataFile, stored_batches
from lake.storage import LakeStore
from lake.table import Commit, OpenTable, as_table_file, commit, open_table


def narrow(store: LakeStore, path: str, run: RunRef, columns: tuple[str, ...], base: Position) -> Position:
    """Leave the table, which stands at ``base``, only these columns of the source, in one commit of rewritten files.

    Every row stays, and so does all that the position says of them: cursor, mode, key. Columns that the table does
    not have are none to it. May be repeated; memory does not depend on the table. Readers see the old columns until
    the commit; the old files go with the next sweep that finds them old enough. Raises ``FencedError`` when a newer
    run owns the table, ``StalePositionError`` when another commit came in between.
    """
    table = open_table(store, path, base)
    if table.position.fence > run.fence or table.position.generation > run.generation:
        raise FencedError("A newer run owns the table.")
    if table.position.columns == columns:
        return table.position
    if table.schema is None or table.position.sequence != base.sequence:
        raise StalePositionError("The table moved on since this was planned.")
    kept = [column for column in table.schema if not is_own(column.name) and source_name(column) in columns]
    own = [column for column in table.schema if is_own(column.name)]
    read, narrowed = pa.schema([*kept, *own]), pa.schema([*_renamed(kept), *own])
    position = replace(
        table.position,
        sequence=table.position.sequence + 1,
        fence=run.fence,
        run_id=run.run_id,
        batch=-1,
        columns=columns,
    )
    if len(read) == len(table.schema):
        return commit(table, Commit(position, table.schema))
    written = _rewritten(table, run, read, narrowed)
    adds = [as_table_file(file, path) for file in written]
    return commit(table, Commit(position, narrowed, adds, overwrite=True))


def _renamed(kept: list[pa.Field]) -> list[pa.Field]:
    """The kept columns as the next read will name them: one that had to make way for another may now come back."""
    names = stored_names([source_name(column) for column in kept])
    fields = []
    for column in kept:
        source = source_name(column)
        metadata = None if names[source] == source else {SOURCE_NAME: source}
        fields.append(pa.field(names[source], column.type, metadata=metadata))
    return fields


def _rewritten(table: OpenTable, run: RunRef, read: pa.Schema, written: pa.Schema) -> list[WrittenFile]:
    """The table's files one for one, in order, read by ``read`` and written by ``written``."""
    path = table.root
    stem = unique_stem(path, run.generation, run.run_id, "narrow")
    by_source = {source_name(column): column.name for column in written}
    wanted = [*table.position.primary_key, table.position.cursor_field]
    also = tuple(by_source[name] for name in wanted if name in by_source)

    def rewrite(item: tuple[int, DataFile]) -> list[WrittenFile]:
        number, file = item
        with open_file(table.store, file.path) as opened:
            own = set(opened.schema_arrow.names)
        # A value that the file lacks is not a null that it holds.
        here = pa.schema([column for column in read if column.name in own])
        there = pa.schema([new for old, new in zip(read, written, strict=True) if old.name in own])
        known = tuple(name for name in also if name in there.names)
        with ParquetSeries(table.store, f"{stem}-{number}", there, known) as series:
            for _, rows in stored_batches(table.store, file.path, here):
                series.write(pa.RecordBatch.from_arrays(rows.columns, schema=there))
            return series.close()

    files = [DataFile(f"{path}/{file.path}", file.rows) for file in table.snapshot().files.values()]
    with ThreadPoolExecutor(PARALLEL_REWRITES, "narrow") as pool:
        return [file for series in pool.map(rewrite, enumerate(files)) for file in series]
