"""Writing files anew: what stays of the rows, their types, their encoding and their statistics."""

import json
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake import parquet, rows
from lake.parquet import ParquetSeries, WrittenFile, open_file
from lake.rows import DataFile, rewrite_files
from lake.storage import LakeStore
from tests.lake.copier import Copier

ROWS = 5_000
SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        ("few", pa.string()),
        ("rare", pa.string()),
        ("many", pa.string()),
        ("empty", pa.string()),
        ("amount", pa.decimal128(15, 2)),
        ("at", pa.timestamp("us", "UTC")),
        ("local", pa.timestamp("us")),
        ("day", pa.date32()),
        ("raw", pa.binary()),
        ("share", pa.float64()),
        ("flag", pa.bool_()),
    ]
)


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several row groups in each file, and none of them where the file before had its."""
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 700)


@pytest.mark.usefixtures("small_groups")
def test_rows_that_stay_are_the_same_in_a_file_like_the_one_before(folder_store: LakeStore) -> None:
    before = table()
    file = written(folder_store, before)
    dropped = pa.array([*range(0, ROWS, 7), *range(690, 710), ROWS - 1]).unique().sort()

    (after,) = rewrite_files(
        folder_store, {3: DataFile(file.path, file.rows)}, {3: dropped}, "table/again", None, ("few",)
    )

    kept = before.take([n for n in range(ROWS) if n not in set(dropped.to_pylist())])
    assert after.rows == len(kept)
    with open_file(folder_store, after.path) as opened:
        assert opened.schema_arrow.equals(SCHEMA)
        assert opened.num_row_groups > 1
        assert opened.read() == kept
        assert encoded_as_dictionary(opened) >= {"few", "rare", "empty"}
        assert "many" not in encoded_as_dictionary(opened)
    assert statistics(after, "few") == ("one", "two", kept["few"].null_count)
    assert statistics(after, "rare") == ("'", "漢", kept["rare"].null_count)
    assert statistics(after, "empty") == (None, None, len(kept))


@pytest.mark.usefixtures("small_groups")
def test_a_value_that_no_row_holds_any_more_is_not_in_the_statistics(folder_store: LakeStore) -> None:
    file = written(folder_store, table())
    holds = [number for number, value in enumerate(table()["few"].to_pylist()) if value == "two"]

    (after,) = rewrite_files(folder_store, {0: DataFile(file.path, file.rows)}, {0: pa.array(holds)}, "table/again")

    assert statistics(after, "few")[:2] == ("one", "one")


def test_a_dictionary_that_grew_too_large_half_way(folder_store: LakeStore) -> None:
    """Beyond 1 MB of strings Parquet goes on without the dictionary, within the same row group."""
    texts = [f"{n % 7}" if n < 40_000 else f"{n:0100d}" for n in range(70_000)]
    grown = pa.table([pa.array(texts)], pa.schema([("text", pa.string())]))
    file = written(folder_store, grown)
    with open_file(folder_store, file.path) as opened:
        assert opened.num_row_groups == 1
        assert "text" in encoded_as_dictionary(opened)

    (after,) = rewrite_files(
        folder_store, {0: DataFile(file.path, file.rows)}, {0: pa.array([3, 69_999])}, "table/again"
    )

    with open_file(folder_store, after.path) as opened:
        assert opened.read() == grown.take([n for n in range(70_000) if n not in (3, 69_999)])
    assert after.rows == 69_998


def test_a_dictionary_whose_strings_are_long_does_not_make_row_groups_larger(
    folder_store: LakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_BYTES", 200_000)
    long = pa.table([pa.array([f"{n % 3}" * 1_000 for n in range(2_000)])], pa.schema([("long", pa.string())]))
    file = written(folder_store, long)
    with open_file(folder_store, file.path) as opened:
        groups = opened.num_row_groups

    (after,) = rewrite_files(folder_store, {0: DataFile(file.path, file.rows)}, {0: pa.array([5])}, "table/again")

    with open_file(folder_store, after.path) as opened:
        assert opened.num_row_groups >= groups > 5
        assert opened.read() == long.take([n for n in range(2_000) if n != 5])


def table() -> pa.Table:
    numbers = range(ROWS)
    columns = [
        list(numbers),
        [None if n % 5 == 0 else ("one", "two")[n % 2] for n in numbers],
        # Each row group has another dictionary, and one has none.
        [None if 1_400 <= n < 2_100 else ("'", "", "b" * 9, "ß", "漢")[n // 1_000] or None for n in numbers],
        [f"text {n}" for n in numbers],
        [None] * ROWS,
        [n * 7 for n in numbers],
        [n * 1_000_001 for n in numbers],
        [-n for n in numbers],
        list(numbers),
        [bytes([n % 256]) for n in numbers],
        [n / 3 for n in numbers],
        [n % 3 == 0 for n in numbers],
    ]
    return pa.table([pa.array(values, SCHEMA.field(n).type) for n, values in enumerate(columns)], SCHEMA)


def written(store: LakeStore, content: pa.Table) -> WrittenFile:
    with ParquetSeries(store, "table/first", content.schema) as series:
        for batch in content.to_batches(max_chunksize=333):
            series.write(batch)
        (file,) = series.close()
    return file


def encoded_as_dictionary(opened: pq.ParquetFile) -> set[str]:
    groups = range(opened.metadata.num_row_groups)
    chunks = [opened.metadata.row_group(g).column(n) for g in groups for n in range(opened.metadata.num_columns)]
    return {c.path_in_schema for c in chunks} - {
        c.path_in_schema for c in chunks if "RLE_DICTIONARY" not in c.encodings
    }


def statistics(file: WrittenFile, column: str) -> tuple[object, object, object]:
    found = json.loads(file.statistics)
    return found["minValues"].get(column), found["maxValues"].get(column), found["nullCount"].get(column)


@pytest.mark.usefixtures("small_groups")
def test_an_append_reads_whole_rows_near_its_cursor_only(
    folder_copier: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = [(number, f"row {number}", number) for number in range(ROWS)]
    folder_copier.copy("append", stored)
    groups_of: Counter[tuple[str, ...]] = Counter()
    read_group = rows._read_group

    def read(file: pq.ParquetFile, group: int, columns: list[str], count: int) -> Iterator[pa.RecordBatch]:
        groups_of[tuple(columns)] += 1
        return read_group(file, group, columns, count)

    monkeypatch.setattr(rows, "_read_group", read)
    again = stored[-10:]
    result = folder_copier.copy("append", [*again, (ROWS, "new", ROWS)])

    assert result.rows_added == 1
    assert folder_copier.rows() == Counter([*stored, (ROWS, "new", ROWS)])
    assert max(number for columns, number in groups_of.items() if "name" in columns) <= 2
    assert groups_of[("at",)] >= 4
