"""CSV and TSV against Python's own reader, and every way in which a file can be broken."""

import csv
import gzip
import io
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.files import delimited
from connectors.files.errors import BadFileError
from connectors.inference.kinds import LONG, NUMBER, TEXT
from tests.connectors.files.shelf import Shelf

FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.text(
    st.sampled_from("\",;\\\n\r\t 'é𝄞"), max_size=8
)
TEXTS = {"a": "string", "b": "string", "c": "string"}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.lists(FIELDS, min_size=3, max_size=3), max_size=6),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]),
    everything_quoted=st.booleans(),
)
def test_what_a_writer_quoted_comes_back(
    shelf: Shelf, rows: list[list[str]], delimiter: str, encoding: str, everything_quoted: bool
) -> None:
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if everything_quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n", quoting=quoting)
    writer.writerows([["a", "b", "c"], *rows])
    contents = text.getvalue().encode(encoding)
    found = shelf.read_one("t.csv", contents, delimiter=delimiter, encoding=encoding, nulls=[], columns=TEXTS)
    assert [list(row.values()) for row in found.rows()] == rows
    # Whatever type the values are given: a number is the number that the text says.
    for row, expected in zip(
        shelf.read_one("t.csv", contents, delimiter=delimiter, encoding=encoding, nulls=[]).rows(), rows, strict=True
    ):
        for value, given_text in zip(row.values(), expected, strict=True):
            if isinstance(value, bool):
                assert str(value).lower() == given_text.lower()
            elif isinstance(value, int | Decimal):
                assert value == type(value)(given_text)
            else:
                assert not isinstance(value, str) or value == given_text


def test_as_other_readers_read_it(shelf: Shelf) -> None:
    frame = pl.DataFrame(
        {
            "id": range(10_000),
            "name": [f'n "{n}", {n % 7}\n' for n in range(10_000)],
            "price": [n / 4 for n in range(10_000)],
            "day": pl.date_range(pl.date(1999, 1, 1), pl.date(2026, 5, 18), "1d", eager=True)[:10_000],
            "flag": [None if n % 3 == 0 else n % 2 == 0 for n in range(10_000)],
        }
    )
    found = shelf.read_one("t.csv", frame.write_csv())
    assert found.rows() == [{**row, "price": Decimal(row["price"])} for row in frame.to_dicts()]
    assert found.column("_row") == list(range(1, 10_001))
    assert set(found.column("_file")) == {"t.csv"}


@pytest.mark.parametrize(
    ("contents", "options", "rows"),
    [
        (b"a,b\n1,\n2,\"\"\n", {}, [{"a": 1, "b": None}, {"a": 2, "b": ""}]),
        (b"a,b\nNULL,x\n\"NULL\",\\N\n", {"nulls": ["NULL", "\\N"]}, [{"a": None, "b": "x"}, {"a": "NULL", "b": None}]),
        (b"a,b\n1,2", {}, [{"a": 1, "b": 2}]),
        (b"a,b\r1,2\r3,4\r", {}, [{"a": 1, "b": 2}, {"a": 3, "b": 4}]),
        (b"\n\na,b\n\n1,2\n\n\n", {}, [{"a": 1, "b": 2}]),
        (b"a\n1\n\n2\n", {}, [{"a": 1}, {"a": None}, {"a": 2}]),
        (b"a\n1\n\n", {}, [{"a": 1}, {"a": None}]),
        (b"\xef\xbb\xbfa,b\n1,2\n", {}, [{"a": 1, "b": 2}]),
        (b'\xef\xbb\xbf"a",b\n1,2\n', {}, [{"a": 1, "b": 2}]),
        ("a,b\né,€\n".encode("cp1252"), {"encoding": "cp1252"}, [{"a": "é", "b": "€"}]),
        (b"1,2\n3,4\n", {"header": False}, [{"column_1": 1, "column_2": 2}, {"column_1": 3, "column_2": 4}]),
        (b"1,2\n3,4\n", {"header": ["x", "y"]}, [{"x": 1, "y": 2}, {"x": 3, "y": 4}]),
        (b'"a\nb","c,d"\n1,2\n', {}, [{"a\nb": 1, "c,d": 2}]),
        (b"a;b\n1,5;2\n", {"delimiter": ";"}, [{"a": "1,5", "b": 2}]),
        (b"a|b\n'x|y'|'it''s'\n", {"delimiter": "|", "quote": "'"}, [{"a": "x|y", "b": "it's"}]),
        (b'a,b\n"x\\"y",z\\,w\n', {"escape": "\\"}, [{"a": 'x"y', "b": "z,w"}]),
        (b'a,b\n5" pipe,"\n', {"quote": "none"}, [{"a": '5" pipe', "b": '"'}]),
        (b"_file,_ROW,_file_modified_at,x\n1,2,3,4\n", {}, [
            {"source_file": 1, "source_ROW": 2, "source_file_modified_at": 3, "x": 4}]),
        (b"a,b\n", {}, []),
        (b"a,b", {}, []),
        (b"", {}, []),
        (b"\n", {}, []),
    ],
)  # fmt: skip
def test_the_forms_of_a_file(shelf: Shelf, contents: bytes, options: dict[str, Any], rows: list[Any]) -> None:
    assert shelf.read_one("t.csv", contents, **options).rows() == rows
    if contents:
        packed = shelf.read_one("t.csv.gz", gzip.compress(contents), **options)
        assert packed.rows() == rows
        packed = shelf.read_one("t.csv.zst", pa.compress(contents, "zstd", asbytes=True), **options)
        assert packed.rows() == rows
    discovered = shelf.discover({"t": {"files": "t.csv", **options}})["t"]
    assert [column.name for column in discovered.columns][:-3] == (list(rows[0]) if rows else []) or not rows


def test_tabs(shelf: Shelf) -> None:
    assert shelf.read_one("t.tsv", "a\tb\n1\tx,y\n").rows() == [{"a": 1, "b": "x,y"}]


BROKEN = {
    "more fields": (b'a,b\n"x\ny",2\n1,2,3\n', "t.csv has 3 fields in place of 2 at line 4"),
    "fewer fields": (b"a,b\n1\n", "t.csv has 1 fields in place of 2 at line 2"),
    "an open quote": (b'a,b\n1,"2\n3,4\n', "t.csv ends within quotes"),
    "an open quote in the header": (b'a,"b\n1,2\n3,4\n', "t.csv"),
    "no UTF-8": (b"a,b\n1,2\n1,\xff\n", "t.csv is no valid utf-8 at line 3: set the option encoding"),
    "no UTF-8 in the header": (b"a,\xff\n1,2\n", "t.csv is no valid utf-8 in its first line"),
    "a name twice": (b"a,b,a\n1,2,3\n", "t.csv has two columns a"),
    "no name": (b"a,,b\n1,2,3\n", "Column 2 of the file t.csv has no name"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_named(shelf: Shelf, what: str) -> None:
    contents, said = BROKEN[what]
    with pytest.raises(BadFileError) as caught:
        shelf.read_one("t.csv", contents)
    assert said in caught.value.message
    assert caught.value.message.endswith(".")
    assert not caught.value.retryable
    assert "Arrow" not in caught.value.message


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_what_cannot_be_unpacked_is_named(shelf: Shelf, packing: str) -> None:
    contents = b"".join(b"%d,%d\n" % (n, n * n) for n in range(10_000))
    packed = gzip.compress(contents) if packing == "gz" else pa.compress(contents, "zstd", asbytes=True)
    for broken in (packed[:-5], packed[:30], packed[:4]):
        with pytest.raises(BadFileError, match="cannot be unpacked to its end"):
            shelf.read_one(f"t.csv.{packing}", broken)


def test_what_was_altered_in_a_packed_file_is_found(shelf: Shelf) -> None:
    packed = bytearray(gzip.compress(b"".join(b"%d,%d\n" % (n, n * n) for n in range(10_000))))
    packed[len(packed) // 2] ^= 1
    with pytest.raises(BadFileError):
        shelf.read_one("t.csv.gz", bytes(packed))


def test_several_packed_parts_are_one_file(shelf: Shelf) -> None:
    contents = gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n")
    assert shelf.read_one("t.csv.gz", contents).rows() == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


def test_an_encoding_that_is_another_is_named(shelf: Shelf) -> None:
    with pytest.raises(BadFileError, match=r"t\.csv is no valid utf-16"):
        shelf.read_one("t.csv", "a,b\n1,2\n".encode("utf-16") + b"\xd8", encoding="utf-16")


def test_bad_lines_are_skipped_and_counted(shelf: Shelf) -> None:
    found = shelf.read_one("t.csv", b"a,b\n1,2\n1,2,3\n4\n5,6\n", bad_lines="skip")
    assert found.rows() == [{"a": 1, "b": 2}, {"a": 5, "b": 6}]
    assert found.column("_row") == [1, 2]
    assert found.warnings() == {("_row", "bad lines, which were skipped"): 2}


def test_a_long_first_line(shelf: Shelf) -> None:
    long = "x" * 500_000
    assert shelf.read_one("t.csv", f"{long},1\n", header=["a", "b"]).rows() == [{"a": long, "b": 1}]


def test_long_lines(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "x" * (delimited.BLOCK_BYTES[0] + 10)
    assert shelf.read_one("t.csv", f"a,b\n1,{long}\n2,y\n").column("b") == [long, "y"]
    monkeypatch.setattr(delimited, "BLOCK_BYTES", (1000, 10_000))
    with pytest.raises(BadFileError, match="has a line of more than"):
        shelf.read_one("t.csv", f"a,b\n1,{long}\n")


def test_types_hold_for_the_whole_file(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever block a value that is no integer is in."""
    monkeypatch.setattr(delimited, "BLOCK_BYTES", (4096,))
    lines = [str(n) for n in range(5000)]
    assert shelf.read_one("t.csv", "\n".join(["a", *lines])).kind("a") == LONG
    assert shelf.read_one("t.csv", "\n".join(["a", *lines, "0.5"])).kind("a") == NUMBER
    found = shelf.read_one("t.csv", "\n".join(["a", *lines, "0x5", *lines]))
    assert (found.kind("a"), found.column("a")) == (TEXT, [*lines, "0x5", *lines])


@pytest.mark.parametrize("block_bytes", [200, 211, 256])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_line_breaks_that_lie_across_two_blocks(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, block_bytes: int, encoding: str
) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", (block_bytes,))
    rows = [{"a": n, "b": f"{'x' * (n % 70)}\r\n\r\n\n\r{n}"} for n in range(2000)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["a", "b"], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    contents = text.getvalue().encode(encoding)
    assert shelf.read_one("t.csv", contents, encoding=encoding).rows() == rows
    packed = shelf.read_one("t.csv", gzip.compress(contents), encoding=encoding)
    assert packed.rows() == rows
