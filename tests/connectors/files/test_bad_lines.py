"""Bad lines that are kept: a table of their own beside the one that leaves them out."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from connectors.base import CursorRange
from connectors.errors import ConfigurationError
from connectors.files import delimited
from connectors.files.errors import BadFileError
from connectors.files.tables import parse_tables
from tests.connectors.files.shelf import Read, Shelf, read

KEPT = {"bad_lines": "keep"}


def kept(shelf: Shelf, files: str, cursor: CursorRange | None = None, **options: Any) -> Read:
    """What the table of bad lines has."""
    return read(shelf.config({"t": {"files": files, **KEPT, **options}}), "t_bad_lines", cursor)


def test_the_two_tables_have_all_lines_between_them(shelf: Shelf) -> None:
    shelf.put("a.csv", 'a,b\n1,2\n1,"x\ny",3\n\n4\n5,6\n')
    shelf.put("b.csv", "a,b\n7,8\n")
    good = shelf.read({"files": "*.csv", **KEPT})
    assert good.rows() == [{"a": 1, "b": 2}, {"a": 5, "b": 6}, {"a": 7, "b": 8}]
    assert good.warnings() == {("_row", "bad lines, which are in the table t_bad_lines"): 2}
    bad = kept(shelf, "*.csv")
    assert bad.rows() == [
        {"record": 2, "text": '1,"x\ny",3', "problem": "3 fields in place of 2"},
        {"record": 3, "text": "4", "problem": "1 fields in place of 2"},
    ]
    assert bad.column("_file") == ["a.csv"] * 2
    assert bad.column("_row") == [1, 2]
    assert bad.warnings() == {}
    assert [bad.kind(name) for name in ("record", "text", "problem")] == [pa.int64(), pa.string(), pa.string()]


def test_lines_of_json_are_kept_as_they_are(shelf: Shelf) -> None:
    shelf.put("a.jsonl", b'{"a": 1}\n\n[1]\n{"a": "\xff"}\n{"a": 2}\n{')
    assert kept(shelf, "a.jsonl").rows() == [
        {"record": 2, "text": "[1]", "problem": "what is no JSON object"},
        {"record": 3, "text": '{"a": "\\xff"}', "problem": "bytes that are no valid utf-8"},
        {"record": 5, "text": "{", "problem": "what is no JSON"},
    ]


def test_a_few_columns_or_none_of_the_bad_lines_own(shelf: Shelf) -> None:
    shelf.put("a.csv", "a,b\n1\n")
    config = shelf.config({"t": {"files": "a.csv", **KEPT}})
    assert read(config, "t_bad_lines", columns=("text", "_row")).table.to_pylist() == [{"text": "1", "_row": 1}]
    assert read(config, "t_bad_lines", columns=("_file", "_row")).table.to_pylist() == [{"_file": "a.csv", "_row": 1}]


def test_discovery_shows_both(shelf: Shelf) -> None:
    shelf.put("a.csv", "a,b\n1\n")
    found = shelf.discover({"t": {"files": "a.csv", **KEPT}})
    assert list(found) == ["t", "t_bad_lines"]
    assert [column.name for column in found["t_bad_lines"].columns][:3] == ["record", "text", "problem"]
    assert found["t_bad_lines"].primary_key == found["t"].primary_key
    assert found["t_bad_lines"].description == "Lines of the same files that are no rows of their table."


@pytest.mark.parametrize("good", [0, 1])
def test_in_the_memory_of_a_block(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, good: int) -> None:
    """However many follow each other."""
    most = 0
    taken = delimited._BadLines.taken

    def counted(self: delimited._BadLines) -> Any:
        nonlocal most
        most = max(most, len(self.kept))
        return taken(self)

    monkeypatch.setattr(delimited._BadLines, "taken", counted)
    monkeypatch.setattr(delimited, "BLOCK_BYTES", (4096,))
    lines = [f"{number},x,y" for number in range(20_000)]
    shelf.put("a.csv", "\n".join(["a,b", *["1,2"] * good, *lines]))
    found = kept(shelf, "a.csv")
    assert found.column("text") == lines
    assert found.column("record") == list(range(good + 1, good + 20_001))
    assert most < 2000


# Of a bad line that is no text Arrow's reader complains for itself.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_fails_a_file_fails_both(shelf: Shelf) -> None:
    shelf.put("a.csv", b'a,b\n1,"2\n')
    for table in ("t", "t_bad_lines"):
        with pytest.raises(BadFileError, match="ends within quotes"):
            read(shelf.config({"t": {"files": "a.csv", **KEPT}}), table)
    shelf.put("a.csv", b"a,b\n1,2\n1,\xff,2\n")
    for table in ("t", "t_bad_lines"):
        with pytest.raises(BadFileError, match="is no valid utf-8 at line 3"):
            read(shelf.config({"t": {"files": "a.csv", **KEPT}}), table)


def test_parquet_has_none(shelf: Shelf) -> None:
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.table({"a": [1]}), sink)
    shelf.put("a.parquet", sink.getvalue().to_pybytes())
    assert kept(shelf, "a.parquet").rows() == []


def test_a_table_of_that_name_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_tables({"t": {"files": "x", **KEPT}, "t_bad_lines": "y"})
    assert caught.value.message == (
        "The option bad_lines of the table t keeps them as the table t_bad_lines, which there is already: rename that "
        "one."
    )
