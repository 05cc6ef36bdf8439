import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from connectors.base import ReadRequest
from connectors.errors import ConfigurationError
from connectors.sqlite.config import FORM, DatabaseFile, DatabaseObject, parse_config
from connectors.surroundings import Surroundings
from tests.connectors.sqlite.files import SQLITE, SqliteFile

DATA = Surroundings(folders=(Path("/data"),))


def test_the_path_becomes_a_configuration() -> None:
    config = parse_config({"path": " /data/shop.db "}, DATA)
    assert isinstance(config, DatabaseFile)
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


KEYS = {"access_key_id": "AK", "secret_access_key": "s3cret"}


def test_a_path_to_an_object() -> None:
    config = parse_config({"path": "s3://shop-data//a b/ü.db", **KEYS, "region": "eu-central-1"}, Surroundings())
    assert isinstance(config, DatabaseObject)
    assert (config.bucket.name, config.key) == ("shop-data", "/a b/ü.db")
    assert (config.bucket.region, config.bucket.endpoint) == ("eu-central-1", None)
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize(
    ("changes", "attr"),
    [
        ({"path": "s3://"}, "path"),
        ({"path": "s3:///shop.db"}, "path"),
        ({"path": "s3://shop-data"}, "path"),
        ({"path": "s3://shop-data/"}, "path"),
        ({"path": "s3://shop-data/folder/"}, "path"),
        ({"path": "s3://no bucket/shop.db"}, "path"),
        ({"path": "s3://shop-data/\udc80"}, "path"),
        ({"path": f"s3://shop-data/{'x' * 1025}"}, "path"),
        ({"secret_access_key": ""}, "secret_access_key"),
        ({"access_key_id": None}, "access_key_id"),
        ({"region": "Frankfurt!"}, "region"),
        ({"endpoint": "s3.example.com"}, "endpoint"),
        ({"endpoint": "http://s3.example.com"}, "endpoint"),
        ({"endpoint": "https://user:pass@s3.example.com"}, "endpoint"),
    ],
)
def test_a_malformed_field_of_an_object_is_named(changes: dict[str, Any], attr: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config({"path": "s3://shop-data/shop.db", **KEYS, **changes}, DATA)
    assert caught.value.attr == attr
    assert "pass" not in caught.value.message


def test_the_form_marks_the_secret_and_what_decides_the_host() -> None:
    assert {field.name for field in FORM.fields if field.secret} == {"secret_access_key"}
    assert {field.name for field in FORM.fields if field.decides_host} == {"path", "endpoint"}
    assert [field.name for field in FORM.fields if field.required] == ["path"]
