"""Many files as one table: types reconciled, columns chosen, rows filtered, files read once by their times."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import GONE, CursorRange, ReadRequest, RowFilter
from connectors.cursor import encode
from connectors.errors import AccessError, BusyError, ConfigurationError, SchemaChangedError
from connectors.files import planning
from connectors.files.entry import FileEntry
from connectors.files.errors import BadFileError
from connectors.files.folder import FolderPlace
from connectors.inference.kinds import BOOLEAN, DATE, LONG, NUMBER, TEXT, TIME, ZONED
from connectors.outbound import OPEN
from connectors.surroundings import Surroundings
from tests.connectors.files.shelf import FILES, Shelf, read

MODIFIED_AT = "_file_modified_at"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SKIPPED = "bad lines, which were skipped"


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def since(moment: datetime | None, *, first: bool = False, max_rows: int | None = 2_000_000) -> CursorRange:
    return CursorRange(MODIFIED_AT, None if moment is None else encode(moment), first, max_rows)


def test_each_row_says_where_it_is_from(shelf: Shelf) -> None:
    shelf.put("b/2.csv", "a\n1\n2\n", minutes(1))
    shelf.put("a/1.csv", "a\n3\n", minutes(2))
    shelf.put("c/3.csv", "a\n4\n", minutes(1))
    shelf.put("c/.hidden.csv", "a\n5\n")
    found = shelf.read(["*/*.csv", "**/*.csv"])
    assert found.table.to_pylist() == [
        {"a": a, "_file": file, "_row": row, "_file_modified_at": minutes(at)}
        for a, file, row, at in [(1, "b/2.csv", 1, 1), (2, "b/2.csv", 2, 1), (4, "c/3.csv", 1, 1), (3, "a/1.csv", 1, 2)]
    ]
    described = shelf.discover({"t": "*/*.csv"})["t"]
    assert described.primary_key == ("_file", "_row")
    assert [field.field for field in described.incremental_fields] == [MODIFIED_AT]


def test_types_across_files(shelf: Shelf) -> None:
    shelf.put("1.csv", "a,b,c,d\n1,1,x,1\n", minutes(1))
    shelf.put("2.csv", "d,c,b\n1.50,5,x\n", minutes(2))
    shelf.put("3.jsonl", '{"a": 2.5, "e": {"f": 1}}\n', minutes(3))
    shelf.put("4.csv", "a\n\n", minutes(4))
    found = shelf.read(["*.csv", "*.jsonl"])
    assert [(name, found.kind(name)) for name in found.names[:5]] == [
        ("a", NUMBER), ("b", TEXT), ("c", TEXT), ("d", NUMBER), ("e", TEXT)]  # fmt: skip
    assert found.rows() == [
        {"a": Decimal(1), "b": "1", "c": "x", "d": Decimal(1), "e": None},
        {"a": None, "b": "x", "c": "5", "d": Decimal("1.5"), "e": None},
        {"a": Decimal("2.5"), "b": None, "c": None, "d": None, "e": '{"f":1}'},
        {"a": None, "b": None, "c": None, "d": None, "e": None},
    ]


def test_a_text_is_as_its_file_has_it(shelf: Shelf) -> None:
    """Also where all texts of its file look like numbers or times."""
    shelf.put("1.csv", "a,b,c\nx,y,z\n")
    shelf.put("2.csv", "a,b,c\n1.50,2026-01-31T12:00:00+05:30,TRUE\n")
    assert shelf.read("*.csv").rows()[1] == {"a": "1.50", "b": "2026-01-31T12:00:00+05:30", "c": "TRUE"}


TRICKY = st.sampled_from(
    [
        *("0", "1", "-1", "007", "+1", "-0", "1.0", "1.50", "1e5", "0x1F", "9223372036854775808", "NaN", "null"),
        *("true", "False", "TRUE", "t", "2026-01-31", "2026-02-30", "2026-01-31 12:00", "2026-01-31T12:00:00.5"),
        *("2026-01-31T12:00:00Z", "2026-01-31 12:00:00+05:30", "0001-01-01T00:00:00+14:00", "x", " ", "é", '"', "a,b"),
    ]
)
READ_BACK: dict[pa.DataType, Callable[[str], Any]] = {
    TEXT: str,
    LONG: int,
    NUMBER: Decimal,
    BOOLEAN: lambda text: text.lower() == "true",
    DATE: date.fromisoformat,
    TIME: datetime.fromisoformat,
    ZONED: datetime.fromisoformat,
}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(TRICKY, min_size=1, max_size=4), min_size=1, max_size=4))
def test_no_value_is_another_whatever_is_read_beside_it(shelf: Shelf, files: list[list[str]]) -> None:
    for path in shelf.folder.glob("*.csv"):
        path.unlink()
    for number, values in enumerate(files):
        quoted = "".join('"' + value.replace('"', '""') + '"\n' for value in values)
        shelf.put(f"{number}.csv", f"a\n{quoted}", minutes(number))
    found = shelf.read("*.csv")
    texts = [value for values in files for value in values]
    kind = found.kind("a")
    assert found.column("a") == [READ_BACK[kind](text) for text in texts]
    # A type is given only to texts that say nothing but a value of it.
    if kind in (LONG, DATE):
        assert [str(value) for value in found.column("a")] == texts
    # Read again when the lake has text already, and when nothing but the last file is new.
    again = shelf.read("*.csv", since(minutes(0)), text_columns=("a",))
    assert (again.kind("a"), again.column("a")) == (TEXT, texts)
    alone = shelf.read("*.csv", since(minutes(len(files) - 1)))
    assert alone.column("a") == [READ_BACK[alone.kind("a")](text) for text in files[-1]]


def test_bytes_are_no_numbers(shelf: Shelf) -> None:
    pq.write_table(pa.table({"a": [b"x"]}), shelf.folder / "1.parquet")
    pq.write_table(pa.table({"a": [1]}), shelf.folder / "2.parquet")
    with pytest.raises(SchemaChangedError, match=r"holds bytes in some files and other values in others, such as 1\.p"):
        shelf.read("*.parquet")
    assert shelf.read({"files": "*.parquet", "columns": {"a": "binary"}}).column("a") == [b"x", b"1"]


def test_parquet_files_of_several_types(shelf: Shelf) -> None:
    kinds: list[tuple[pa.DataType, Any]] = [
        (pa.int32(), 1),
        (pa.int64(), 2**40),
        (pa.decimal128(5, 2), Decimal("1.50")),
    ]
    for number, (kind, value) in enumerate(kinds):
        pq.write_table(
            pa.table({"a": pa.array([value], kind), "b": pa.array([value], kind)}), shelf.folder / f"{number}"
        )
    pq.write_table(pa.table({"b": [1e20, 0.1]}), shelf.folder / "9")
    found = shelf.read({"files": "*", "format": "parquet"})
    assert (found.kind("a"), found.column("a")) == (
        pa.decimal128(21, 2),
        [Decimal(1), Decimal(2**40), Decimal("1.50"), None, None],
    )
    assert (found.kind("b"), found.column("b")) == (TEXT, ["1", str(2**40), "1.50", "1e+20", "0.1"])


def test_columns_and_types_of_ones_choice(shelf: Shelf) -> None:
    shelf.put("1.csv", "a,b,c,d\n1.50,7,2026-01-31 12:00:00,x\n1e400,8.0,soon,y\n")
    table = {"files": "1.csv", "columns": {"a": "double", "c": "timestamp"}}
    found = shelf.read(table, type_overrides={"b": "string"}, columns=("a", "b", "c", "_file", "_row", "gone"))
    assert found.table.to_pylist() == [
        {"a": 1.5, "b": "7", "c": NOON, "_file": "1.csv", "_row": 1},
        {"a": None, "b": "8.0", "c": None, "_file": "1.csv", "_row": 2},
    ]
    assert found.warnings() == {
        ("a", "does not fit double"): 1,
        ("c", "does not fit timestamp"): 1,
        ("gone", GONE): 2,
    }
    assert shelf.read(table, type_overrides={"a": "decimal(5,2)"}).column("a") == [Decimal("1.50"), None]
    assert shelf.read("1.csv", type_overrides={"_row": "string", "d": "binary"}).table.to_pylist()[0] | {
        MODIFIED_AT: None
    } == {
        "a": "1.50", "b": Decimal(7), "c": "2026-01-31 12:00:00", "d": b"x", "_file": "1.csv", "_row": "1",
        MODIFIED_AT: None,
    }  # fmt: skip
    with pytest.raises(SchemaChangedError, match="cannot be copied as money"):
        shelf.read("1.csv", type_overrides={"a": "money"})


ROWS = "id,name,price,day,at,flag\n1,a,1.50,2026-01-01,2026-01-01 00:00:00,true\n2,b%,2.50,,,false\n3,,,2026-01-03,,\n"


@pytest.mark.parametrize(
    ("column", "op", "value", "ids"),
    [
        ("id", "=", 2, [2]),
        ("id", "<", 2.5, [1, 2]),
        ("id", "in", [1, "3", 7], [1, 3]),
        ("id", "in", [], []),
        ("price", ">=", "2.5", [2]),
        ("price", "!=", 1.5, [2]),
        ("price", "is_null", None, [3]),
        ("name", "is_not_null", None, [1, 2]),
        ("name", ">", "a", [2]),
        ("name", "like", "_\\%", [2]),
        ("name", "like", "%", [1, 2]),
        ("day", "<=", "2026-01-02", [1]),
        ("at", "=", "2026-01-01T00:00:00", [1]),
        ("flag", "=", True, [1]),
        ("flag", "!=", "true", [2]),
        ("_row", ">", 1, [2, 3]),
        (MODIFIED_AT, "<", "2026-01-31T12:00:01Z", [1, 2, 3]),
        (MODIFIED_AT, "<", "2026-01-31T12:00:00", []),
        ("_file", "like", "%.csv", [1, 2, 3]),
    ],
)
def test_row_filters(shelf: Shelf, column: str, op: str, value: Any, ids: list[int]) -> None:
    shelf.put("1.csv", ROWS, NOON)
    assert shelf.read("1.csv", row_filters=(RowFilter(column, op, value),)).column("id") == ids


def test_row_filters_that_cannot_be(shelf: Shelf) -> None:
    shelf.put("1.csv", ROWS)
    with pytest.raises(SchemaChangedError, match="which no file has"):
        shelf.read("1.csv", row_filters=(RowFilter("gone", "=", 1),))
    with pytest.raises(ConfigurationError, match="id holds whole numbers"):
        shelf.read("1.csv", row_filters=(RowFilter("id", "=", "x"),))


def test_a_read_begins_at_the_cursor_and_has_its_ties(shelf: Shelf) -> None:
    for number, at in enumerate([1, 2, 2, 3]):
        shelf.put(f"{number}.csv", f"a\n{number}\n", minutes(at))
    assert shelf.read("*.csv", since(None, first=True)).column("a") == [0, 1, 2, 3]
    assert shelf.read("*.csv", since(minutes(2))).column("a") == [1, 2, 3]
    assert shelf.read("*.csv", since(minutes(2) + timedelta(microseconds=1))).column("a") == [3]
    assert shelf.read("*.csv", since(minutes(4))).rows() == []
    # A file that changed comes as a whole.
    shelf.put("0.csv", "a\n7\n8\n", minutes(5))
    assert shelf.read("*.csv", since(minutes(3))).column("a") == [3, 7, 8]


def test_a_read_is_cut_between_times(shelf: Shelf) -> None:
    for number, at in enumerate([1, 2, 2, 3, 3, 4]):
        shelf.put(f"{number}.csv", f"a\n{number}\n{number}.5\n" if number == 5 else f"a\n{number}\n", minutes(at))
    edge, seen = None, []
    for expected in ([0, 1, 2], [1, 2, 3, 4], [3, 4, 5, Decimal("5.5")]):
        found = shelf.read("*.csv", since(edge, first=edge is None, max_rows=2))
        assert found.column("a") == expected
        assert edge is not None or found.kind("a") == NUMBER, "the types of the first batch hold for all"
        seen.append(found.report.more)
        edge = found.column(MODIFIED_AT)[-1]
    assert seen == [True, True, False]


def test_a_large_file_at_the_edge_does_not_hold_up_the_next(shelf: Shelf) -> None:
    shelf.put("1.csv", "a\n" + "1\n" * 10, minutes(1))
    shelf.put("2.csv", "a\n2\n", minutes(2))
    shelf.put("3.csv", "a\n3\n", minutes(3))
    found = shelf.read("*.csv", since(minutes(1), max_rows=1))
    assert (found.column("a"), found.report.more) == ([1] * 10 + [2], True)


def test_filtered_rows_do_not_hold_up_the_next(shelf: Shelf) -> None:
    for number in range(4):
        shelf.put(f"{number}.csv", f"a\n{number}\n", minutes(number))
    found = shelf.read("*.csv", since(None, first=True, max_rows=1), row_filters=(RowFilter("a", "=", 3),))
    assert (found.column("a"), found.report.more) == ([3], False)


def test_other_cursors_are_refused(shelf: Shelf) -> None:
    shelf.put("1.csv", "a\n1\n")
    with pytest.raises(ConfigurationError, match="_file_modified_at, not by a"):
        shelf.read("1.csv", CursorRange("a"))


def test_a_column_that_the_lake_has_as_text_stays_text(shelf: Shelf) -> None:
    shelf.put("1.csv", "a,b c\n1,2\n", minutes(1))
    found = shelf.read("*.csv", since(minutes(1)), text_columns=("a", "b_c"))
    assert found.rows() == [{"a": "1", "b c": "2"}]


def test_an_empty_column_leaves_its_type_to_the_lake(shelf: Shelf) -> None:
    shelf.put("1.csv", "a,b\n1,\n", minutes(1))
    assert shelf.read("*.csv").rows() == [{"a": 1, "b": None}]
    assert shelf.read("*.csv", since(minutes(1))).rows() == [{"a": 1}]


@pytest.mark.parametrize("value", ["1.50", "2026-01-31 12:00:00", "True"])
def test_rows_that_could_not_be_recognised_again_are_not_read_again(shelf: Shelf, value: str) -> None:
    """The lake has the value, and when it becomes text that is no longer the text of the file."""
    shelf.put("1.csv", f"a\n{value}\n", minutes(1))
    shelf.put("2.csv", "a\nn/a\n", minutes(2))
    with pytest.raises(SchemaChangedError, match=r"column a of t holds other texts now .* resync the table"):
        shelf.read("*.csv", since(minutes(1)))
    assert shelf.read("*.csv").column("a") == [value, "n/a"]
    assert shelf.read("*.csv", since(minutes(1)), text_columns=("a",)).column("a") == [value, "n/a"]
    shelf.put("1.csv", "a\n1\n", minutes(1))
    assert shelf.read("*.csv", since(minutes(1))).column("a") == ["1", "n/a"]


def test_without_a_file_there_is_no_table_to_copy(shelf: Shelf) -> None:
    described = shelf.discover({"t": "*.csv"})["t"]
    assert [column.name for column in described.columns] == ["_file", "_row", MODIFIED_AT]
    assert described.description == "No file matches *.csv of the table t."
    for cursor in (None, since(None, first=True)):
        with pytest.raises(SchemaChangedError, match=r"No file matches \*\.csv of the table t\."):
            shelf.read("*.csv", cursor)
    # What was copied stays.
    assert shelf.read("*.csv", since(NOON)).rows() == []
    with pytest.raises(SchemaChangedError, match="no table u any more"):
        read(shelf.config({"t": "*.csv"}), "u")


def test_a_broken_file_does_not_hide_the_other_tables(shelf: Shelf) -> None:
    shelf.put("1.csv", "a,a\n1,2\n")
    shelf.put("2.csv", "a\n1\n")
    found = shelf.discover({"broken": "1.csv", "whole": "2.csv", "unnamed": "3.txt"})
    assert "1.csv has two columns a" in (found["broken"].description or "")
    assert [(column.name, column.type, column.kind) for column in found["whole"].columns][:1] == [
        ("a", "long", "integer")
    ]
    assert [table.name for table in FILES.discover(shelf.config({"a": "1.csv", "b": "2.csv"}), ["b", "c"])] == ["b"]


def test_discovery_looks_at_the_beginning_of_some_files(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(f'{number},"a\nb"\n' for number in range(100_000))
    for number in range(20):
        shelf.put(f"{number:02}.csv", "a,b\n" + lines + "x,y\n", minutes(number))
    opened: list[str] = []
    original = FolderPlace.open

    def watched(self: FolderPlace, entry: FileEntry) -> Any:
        opened.append(entry.name)
        return original(self, entry)

    monkeypatch.setattr(FolderPlace, "open", watched)
    described = shelf.discover({"t": "*.csv"})["t"]
    assert [(column.name, column.type) for column in described.columns][:2] == [("a", "long"), ("b", "string")]
    assert opened == ["00.csv", "05.csv", "10.csv", "14.csv", "19.csv"]


def test_a_format_is_told_by_the_name_or_the_table(shelf: Shelf) -> None:
    shelf.put("orders.txt", "a\tb\n1\t2\n")
    with pytest.raises(ConfigurationError, match=r"orders\.txt tells no format: set the option format of the table t"):
        shelf.read("*.txt")
    assert shelf.read({"files": "*.txt", "format": "tsv"}).rows() == [{"a": 1, "b": 2}]


@pytest.mark.parametrize("change", ["longer", "touched", "replaced", "gone"])
def test_a_file_that_changes_while_it_is_read(shelf: Shelf, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "GATHERED_BYTES", 1000)
    path = shelf.put("1.csv", "a\n" + "1\n" * 1000, NOON)
    with FILES.read(shelf.config({"t": "*.csv"}), ReadRequest("t", "r")) as opened:
        batches = opened.batches()
        next(batches)
        match change:
            case "longer":
                with path.open("a") as file:
                    file.write("1\n")
                os.utime(path, (NOON.timestamp(), NOON.timestamp()))
            case "touched":
                shelf.touch("1.csv", minutes(1))
            case "replaced":
                path.unlink()
                shelf.put("1.csv", "a\n" + "2\n" * 1000, NOON)
            case _:
                path.unlink()
        with pytest.raises(BusyError, match=r"The file 1\.csv changed while it was read; it is read again\."):
            list(batches)


def test_a_file_that_changes_between_looking_and_reading(shelf: Shelf) -> None:
    shelf.put("1.csv", "a\n1\n", NOON)
    with FILES.read(shelf.config({"t": "*.csv"}), ReadRequest("t", "r")) as opened:
        shelf.put("1.csv", "a\nx\n", NOON)
        shelf.touch("1.csv", minutes(1))
        with pytest.raises(BusyError):
            list(opened.batches())


# The server's own folders


def test_nothing_leads_out_of_the_allowed_folders(tmp_path: Path) -> None:
    allowed, outside = Shelf(tmp_path / "allowed"), Shelf(tmp_path / "outside")
    outside.put("secret.csv", "a\n1\n")
    outside.put("d/secret.csv", "a\n1\n")
    allowed.put("here.csv", "a\n2\n")
    allowed.put("sub/there.csv", "a\n3\n")
    (allowed.folder / "link.csv").symlink_to(outside.folder / "secret.csv")
    (allowed.folder / "door").symlink_to(outside.folder)
    (allowed.folder / "inner").symlink_to(allowed.folder / "sub")
    (allowed.folder / "sub" / "round").symlink_to(allowed.folder)
    assert allowed.read(["here.csv", "sub/*.csv", "inner/*.csv"]).column("a") == [2, 3, 3]
    for pattern in ("link.csv", "*.csv", "door/*.csv", "door/d/secret.csv", "d*/**/*.csv"):
        with pytest.raises(AccessError, match="a link that leads out of the folders"):
            allowed.read(pattern)
    inputs = {"location": str(allowed.folder / "door"), "tables": "t: *.csv"}
    config = FILES.parse_config(inputs, Surroundings(OPEN, (allowed.folder.resolve(),)))
    for act in (lambda: FILES.validate(config), lambda: FILES.discover(config)):
        with pytest.raises(ConfigurationError, match="SYNCLINE_SOURCE_FOLDERS") as caught:
            act()
        assert caught.value.attr == "location"
    assert sorted(set(allowed.read("**/there.csv").column("_file"))) == ["inner/there.csv", "sub/there.csv"]


def test_a_link_that_is_put_in_place_of_a_file(shelf: Shelf, tmp_path: Path) -> None:
    target = tmp_path.parent / f"{tmp_path.name}-outside.csv"
    target.write_text("a\n1\n")
    path = shelf.put("1.csv", "a\n1\n")
    with FILES.read(shelf.config({"t": "*.csv"}), ReadRequest("t", "r")) as opened:
        path.unlink()
        path.symlink_to(target)
        with pytest.raises((AccessError, BusyError)):
            list(opened.batches())
    target.unlink()


def test_pipes_and_folders_are_no_files(shelf: Shelf) -> None:
    os.mkfifo(shelf.folder / "pipe.csv")
    (shelf.folder / "folder.csv").mkdir()
    shelf.put("1.csv", "a\n1\n")
    assert shelf.read("*.csv").column("a") == [1]


def test_a_folder_that_is_not_there(shelf: Shelf) -> None:
    with pytest.raises(ConfigurationError, match=r"There is no folder .* on this server"):
        FILES.validate(shelf.config("t: *.csv", location="missing"))
    (shelf.folder / os.fsdecode(b"\xff.csv")).write_text("a\n")
    with pytest.raises(BadFileError, match="is no valid UTF-8: rename it"):
        shelf.read("*.csv")


def test_long_reads_in_order(shelf: Shelf) -> None:
    """Batches are of many small files, or of parts of a large one."""
    for number in range(50):
        shelf.put(f"{number:02}.csv", f"a\n{number}\n", minutes(number))
    assert len(shelf.read("*.csv").batches) == 1
    shelf.put("99.csv", "a\n" + "".join(f"{number}\n" for number in range(100_000)), minutes(99))
    found = shelf.read("*.csv", batch_bytes=2**18)
    assert found.column("a") == [*range(50), *range(100_000)]
    assert found.kind("a") == LONG
    assert max(batch.nbytes for batch in found.batches) <= 2**18
