import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from connectors.base import ReadRequest
from connectors.errors import ConfigurationError
from connectors.sqlite.config import parse_config
from connectors.surroundings import Surroundings
from tests.connectors.sqlite.files import SQLITE, SqliteFile

DATA = Surroundings(folders=(Path("/data"),))


def test_the_path_becomes_a_configuration() -> None:
    config = parse_config({"path": " /data/shop.db "}, DATA)
    assert (config.path, config.folders) == ("/data/shop.db", (Path("/data"),))
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301


@pytest.mark.parametrize(
    "path", [None, "", " ", 7, ["/data/x"], "data/x", "./x", "/data/\0", "/data/\ud800", "/" * 5000]
)
def test_a_malformed_path_is_named(path: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config({"path": path}, DATA)
    assert caught.value.attr == "path"


def test_without_folders_there_are_no_files() -> None:
    with pytest.raises(ConfigurationError, match="SYNCLINE_SOURCE_FOLDERS"):
        parse_config({"path": "/data/shop.db"}, Surroundings())


def refused(file: SqliteFile, path: Path | str) -> str:
    """The one sentence that every way into the file ends with."""
    config = parse_config({"path": str(path)}, Surroundings(folders=(file.path.parent,)))
    messages = set()
    for attempt in (
        lambda: SQLITE.validate(config),
        lambda: SQLITE.discover(config),
        lambda: SQLITE.read(config, ReadRequest("t", "r")).__enter__(),
    ):
        with pytest.raises(ConfigurationError) as caught:
            attempt()
        assert caught.value.attr == "path"
        messages.add(caught.value.message)
    (message,) = messages
    return message


def test_what_lies_outside_is_refused_whether_it_is_there_or_not(file: SqliteFile, tmp_path: Path) -> None:
    outside = SqliteFile(tmp_path / "secret.db")
    outside.execute("CREATE TABLE t (a)")
    sibling = tmp_path / "data-of-others"
    sibling.mkdir()
    SqliteFile(sibling / "x.db").execute("CREATE TABLE t (a)")
    folder = file.path.parent
    (folder / "file-link.db").symlink_to(outside.path)
    (folder / "folder-link").symlink_to(sibling)
    paths = [
        outside.path,
        tmp_path / "nothing.db",
        folder / ".." / "secret.db",
        folder / "file-link.db",
        folder / "folder-link" / "x.db",
        sibling / "x.db",
        "/etc/passwd",
    ]
    assert {refused(file, path) for path in paths} == {
        "The path leads out of the folders that this installation opens to sources."
    }


def test_links_that_stay_inside_are_followed(file: SqliteFile) -> None:
    file.execute("CREATE TABLE t (a INT); INSERT INTO t VALUES (1)")
    link = file.path.parent / "link.db"
    link.symlink_to(file.path)
    assert SqliteFile(link).read("t").column("a") == [1]


def test_what_is_no_database(file: SqliteFile) -> None:
    folder = file.path.parent
    (folder / "notes.txt").write_text("no database, " * 1000)
    (folder / "cut.db").write_bytes(b"SQLite format 3\0 and no more")
    os.mkfifo(folder / "pipe.db")
    assert "no SQLite database" in refused(file, folder / "notes.txt")
    assert "no SQLite database" in refused(file, folder / "cut.db")
    assert refused(file, folder / "pipe.db") == "What is at this path is no file."
    assert refused(file, folder) == "What is at this path is no file."
    assert refused(file, folder / "missing.db") == "There is no file at this path."


def test_odd_names_of_files(file: SqliteFile) -> None:
    for name in ("ünï 🐘.db", "a?mode=rwc&x=%41#b.db", "100%.db", "'q\".db"):
        odd = SqliteFile(file.path.parent / name)
        odd.execute("CREATE TABLE t (a TEXT)")
        odd.insert("t", [(name,)])
        assert odd.read("t").column("a") == [name]
