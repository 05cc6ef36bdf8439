"""Compaction: small files become larger ones, with the same rows, neighbours by key together.

Files are sorted into tiers by size. A tier is merged once it holds enough files, the smaller ones with it, so that a
row is written anew once for each tier and not once for each commit.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa

from lake.columns import source_name
from lake.errors import LakeError
from lake.log import TableFile
from lake.manifest import RunRef
from lake.parquet import FILE_BYTES, KEYED_FILE_BYTES, ParquetSeries, WrittenFile, open_file, unique_stem
from lake.position import Position
from lake.pruning import bounds
from lake.rows import PARALLEL_REWRITES, stored_batches
from lake.table import OpenTable

FILES_PER_TIER = 10
LEAST_TIER_BYTES = 256 * 1024
TIER_FACTOR = 8
MOST_BYTES = 512 * 1024 * 1024
"""What one compaction reads at most, so that each is short; the next goes on."""
PARALLEL_FOOTERS = 8


@dataclass(frozen=True)
class Layout:
    """How a table's files should lie: of about ``file_bytes``, each with a range of the ``order`` column of its own."""

    file_bytes: int
    order: pa.Field | None
    also: tuple[str, ...] = ()
    """Columns whose statistics are always kept."""

    def is_small(self, file: TableFile) -> bool:
        return file.size_bytes < self.file_bytes // 2


def layout_of(position: Position, schema: pa.Schema | None) -> Layout | None:
    """None for a table that the next run replaces, and where there is none."""
    if schema is None or position.mode not in ("incremental", "append", "cdc", "webhook"):
        return None
    stored = {source_name(column): column.name for column in schema}
    key = tuple(stored[name] for name in position.primary_key if name in stored)
    wanted = (*key, stored.get(position.cursor_field or ""))
    also = tuple(name for name in wanted if name is not None)
    order = schema.field(also[0]) if also else None
    return Layout(KEYED_FILE_BYTES if key else FILE_BYTES, order, also)


def crowded(files: Sequence[TableFile], layout: Layout) -> list[TableFile]:
    """The files to be merged, smallest first; none while no tier has too many."""
    tiers: dict[int, list[TableFile]] = defaultdict(list)
    for file in files:
        if layout.is_small(file):
            tiers[_tier(file)].append(file)
    full = [tier for tier, members in tiers.items() if len(members) >= FILES_PER_TIER]
    chosen = [file for tier, members in tiers.items() if full and tier <= max(full) for file in members]
    chosen.sort(key=lambda file: file.size_bytes)
    read = accumulate(file.size_bytes for file in chosen)
    return [file for file, so_far in zip(chosen, read, strict=True) if so_far <= MOST_BYTES]


def _tier(file: TableFile) -> int:
    tier, limit = 0, LEAST_TIER_BYTES
    while file.size_bytes >= limit:
        tier, limit = tier + 1, limit * TIER_FACTOR
    return tier


@dataclass(frozen=True)
class Compacted:
    written: tuple[WrittenFile, ...] = ()
    removed: tuple[TableFile, ...] = ()

    @property
    def bytes_written(self) -> int:
        return sum(file.size_bytes for file in self.written)


def compact(table: OpenTable, run: RunRef, files: Sequence[TableFile], layout: Layout) -> Compacted:
    """Write the files' rows into larger ones, which nothing refers to yet. Memory depends on neither."""
    stem = unique_stem(table.root, run.generation, run.run_id, "compacted")
    groups = [group for group in _groups(table, files, layout) if len(group.files) > 1]

    def merge(item: tuple[int, _Group]) -> list[WrittenFile]:
        number, group = item
        return _merge(table, group, f"{stem}-{number}", layout)

    with ThreadPoolExecutor(PARALLEL_REWRITES, "compact") as pool:
        written = [file for series in pool.map(merge, enumerate(groups)) for file in series]
    removed = [file for group in groups for file in group.files]
    if sum(file.rows for file in written) != sum(file.rows for file in removed):
        raise LakeError("Compaction read another number of rows than the table's log says; nothing was changed.")
    return Compacted(tuple(written), tuple(removed))


@dataclass(frozen=True)
class _Group:
    """Files that become one. All have the same columns: a value that a file lacks is not a null that it holds."""

    columns: tuple[str, ...]
    files: list[TableFile]


def _groups(table: OpenTable, files: Sequence[TableFile], layout: Layout) -> Iterator[_Group]:
    with ThreadPoolExecutor(PARALLEL_FOOTERS, "footers") as pool:
        columns = list(pool.map(lambda file: _columns(table, file), files))
    alike: dict[tuple[str, ...], list[TableFile]] = defaultdict(list)
    for file, names in zip(files, columns, strict=True):
        alike[names].append(file)
    for names, members in alike.items():
        group: list[TableFile] = []
        for file in _in_order(members, layout.order):
            if group and sum(one.size_bytes for one in group) + file.size_bytes > layout.file_bytes:
                yield _Group(names, group)
                group = []
            group.append(file)
        yield _Group(names, group)


def _in_order(files: Sequence[TableFile], order: pa.Field | None) -> list[TableFile]:
    """By the least value that each holds; those that do not say come first."""
    if order is None:
        return list(files)
    found = [(bounds(file, order.name, order.type), file) for file in files]
    said = [(span[0].as_py(), file) for span, file in found if span is not None]
    said.sort(key=lambda item: item[0])
    return [file for span, file in found if span is None] + [file for _, file in said]


def _columns(table: OpenTable, file: TableFile) -> tuple[str, ...]:
    with open_file(table.store, f"{table.root}/{file.path}") as opened:
        return tuple(sorted(opened.schema_arrow.names))


def _merge(table: OpenTable, group: _Group, stem: str, layout: Layout) -> list[WrittenFile]:
    assert table.schema is not None
    schema = pa.schema([column for column in table.schema if column.name in group.columns])
    also = tuple(name for name in layout.also if name in schema.names)
    with ParquetSeries(table.store, stem, schema, also) as series:
        for file in group.files:
            for _, rows in stored_batches(table.store, f"{table.root}/{file.path}", schema):
                series.write(rows)
        return series.close()
