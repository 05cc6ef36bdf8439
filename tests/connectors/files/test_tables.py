"""The field ``tables``, and the other fields of the form."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import ConfigurationError
from connectors.files.config import FORM, parse_config
from connectors.files.folder import Folder
from connectors.files.patterns import compiled, literal_prefix
from connectors.files.tables import DelimitedOptions, FileTable, parse_tables
from connectors.files.web import WebServer
from connectors.outbound import CLOSED, OPEN
from connectors.s3 import Bucket
from connectors.surroundings import Surroundings

SERVER = Surroundings(CLOSED, (Path("/srv/exports"),))
S3 = {"location": "s3://shop/exports", "access_key_id": "AK", "secret_access_key": "s3cret", "tables": "t: *.csv"}


def test_a_line_for_each_table() -> None:
    text = "# of the shop\norders: orders/*.csv.gz\n\n  people : people.parquet  \n"
    assert parse_tables(text) == (
        FileTable("orders", ("orders/*.csv.gz",)),
        FileTable("people", ("people.parquet",)),
    )


def test_json_takes_options() -> None:
    given = {
        "orders": {
            "files": ["a/*.txt", "b/*.txt"],
            "format": "csv",
            "delimiter": "tab",
            "quote": "none",
            "escape": "\\",
            "header": ["id", "price"],
            "encoding": "Latin1",
            "nulls": ["", "NULL"],
            "bad_lines": "skip",
            "columns": {"price": "Decimal(12, 2)"},
        }
    }
    expected = FileTable(
        name="orders",
        patterns=("a/*.txt", "b/*.txt"),
        format="csv",
        delimited=DelimitedOptions("\t", "", "\\", ("id", "price"), ("", "NULL")),
        encoding="iso8859-1",
        bad_lines="skip",
        columns=(("price", "decimal(12,2)"),),
    )
    assert parse_tables(json.dumps(given)) == parse_tables(given) == (expected,)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "names no table"),
        ("", "names no table"),
        ("{}", "names no table"),
        (5, "must be text"),
        ("orders", "Line 1 of the field tables"),
        ("a: x\nb:\n", "Line 2 of the field tables"),
        ("a: x\na: y", "the table a twice"),
        ('{"a": 1,}', "no valid JSON at line 1, column 9"),
        ('{"a": "x", "a": "y"}', "names a twice"),
        ({" a": "x"}, "has a name"),
        ({"a": {}}, "The option files of the table a must be a pattern"),
        ({"a": 5}, "The option files of the table a"),
        ({"a": []}, "The option files of the table a"),
        ({"a": {"files": "x", "seperator": ";"}}, "The option seperator of the table a is not known; the options are"),
        ({"a": {"files": "x", "format": "xlsx"}}, "The option format of the table a must be one of csv, tsv, jsonl, p"),
        ({"a": {"files": "x", "delimiter": "||"}}, "The option delimiter of the table a must be one ASCII character."),
        ({"a": {"files": "x", "delimiter": ""}}, "The option delimiter of the table a"),
        ({"a": {"files": "x", "delimiter": '"'}}, "The option delimiter of the table a must be another character"),
        ({"a": {"files": "x", "quote": "“"}}, "The option quote of the table a must be one ASCII character or none."),
        ({"a": {"files": "x", "escape": "\n"}}, "The option escape of the table a"),
        ({"a": {"files": "x", "header": "yes"}}, "The option header of the table a"),
        ({"a": {"files": "x", "header": ["b", "b"]}}, "The option header of the table a"),
        ({"a": {"files": "x", "encoding": "utf-99"}}, "The option encoding of the table a"),
        ({"a": {"files": "x", "encoding": "base64"}}, "The option encoding of the table a"),
        ({"a": {"files": "x", "nulls": [None]}}, "The option nulls of the table a"),
        (
            {"a": {"files": "x", "bad_lines": "ignore"}},
            "The option bad_lines of the table a must be one of fail, skip, keep",
        ),
        ({"a": {"files": "x", "columns": {"b": "money"}}}, "The option columns.b of the table a must be one of string"),
        ({"a": {"files": "x", "columns": ["b"]}}, "The option columns of the table a"),
    ],
)
def test_a_mistake_names_the_table_and_the_option(given: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_tables(given)
    assert said in caught.value.message
    assert caught.value.attr == "tables"
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*.csv", ["a.csv", "b c.csv"], ["a.csv.gz", "d/a.csv", ".a.csv", "acsv"]),
        ("**/*.csv", ["a.csv", "d/a.csv", "d/e/a.csv"], [".d/a.csv", "d/.a.csv"]),
        ("d/**", ["d/a", "d/e/a"], ["a", "d/.a"]),
        ("d/**/e/?.csv", ["d/e/a.csv", "d/x/y/e/a.csv"], ["d/e/ab.csv", "e/a.csv"]),
        ("[a-c]x[!0-9].csv", ["axy.csv"], ["dxy.csv", "ax1.csv"]),
        ("a+(b).csv", ["a+(b).csv"], ["aab.csv"]),
        ("[]]", ["]"], ["x"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    matches = compiled(pattern).fullmatch
    assert [name for name in matching if not matches(name)] == []
    assert [name for name in others if matches(name)] == []
    assert all(name.startswith(literal_prefix(pattern)) for name in matching)


@pytest.mark.parametrize("pattern", ["/a", "../a", "a/../b", "a//b", "a**", "[a", "[z-a]", "a/"])
def test_no_patterns(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="The option files of the table t is no pattern"):
        parse_config({**S3, "tables": {"t": pattern}}, SERVER)


def test_where_the_files_are() -> None:
    assert parse_config({"location": "/srv/exports/shop", "tables": "t: *.csv"}, SERVER).place == Folder(
        "/srv/exports/shop", (Path("/srv/exports"),)
    )
    bucket = parse_config({**S3, "region": "eu-central-1", "endpoint": "https://s3.example.com/"}, SERVER)
    assert bucket.place == Bucket("shop", "exports/", "https://s3.example.com", "eu-central-1", "AK", "s3cret")
    web = parse_config(
        {"location": "https://example.com/data/", "authorization": "Bearer s3cret", "tables": "t: a.csv"}, SERVER
    )
    assert web.place == WebServer("https://example.com/data/", "Bearer s3cret")
    for config in (bucket, web):
        assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301
        assert "s3cret" not in repr(config)


@pytest.mark.parametrize(
    ("changes", "attr"),
    [
        ({"location": ""}, "location"),
        ({"location": "exports"}, "location"),
        ({"location": "ftp://host/x"}, "location"),
        ({"location": "/srv/exports/../../etc"}, "location"),
        ({"location": "s3://"}, "location"),
        ({"location": "s3://shop/a//b"}, "location"),
        ({"location": "s3://shop/../b"}, "location"),
        ({"location": 5}, "location"),
        ({"location": "a\0b"}, "location"),
        ({"secret_access_key": ""}, "secret_access_key"),
        ({"access_key_id": ""}, "access_key_id"),
        ({"region": "Frankfurt!"}, "region"),
        ({"endpoint": "s3.example.com"}, "endpoint"),
        ({"endpoint": "http://s3.example.com"}, "endpoint"),
        ({"endpoint": "https://user:pass@s3.example.com"}, "endpoint"),
        ({"endpoint": "https://s3.example.com/path"}, "endpoint"),
        ({"endpoint": "https://s3.example.com:0"}, "endpoint"),
        ({"location": "http://example.com/"}, "location"),
        ({"location": "https://user:pass@example.com/"}, "location"),
        ({"location": "https://example.com/", "authorization": "a\nb"}, "authorization"),
        ({"location": "https://example.com/", "ssl_ca": "none"}, "ssl_ca"),
        ({"location": "https://example.com/", "tables": "t: http://example.com/a.csv"}, "tables"),
        ({"location": "https://example.com/", "tables": {"t": ["a.csv?x=1", "a.csv?x=2"]}}, "tables"),
    ],
)
def test_a_malformed_field_is_named(changes: dict[str, Any], attr: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config({**S3, **changes}, SERVER)
    assert caught.value.attr == attr
    assert "pass" not in caught.value.message
    assert caught.value.message.endswith(".")


def test_an_installation_without_folders_says_so() -> None:
    with pytest.raises(ConfigurationError, match="SYNCLINE_SOURCE_FOLDERS"):
        parse_config({"location": "/srv/exports", "tables": "t: *.csv"}, Surroundings(OPEN))


def test_http_is_for_installations_that_trust_all_they_reach() -> None:
    config = parse_config({"location": "http://localhost/", "tables": "t: a.csv"}, Surroundings(OPEN))
    assert isinstance(config.place, WebServer)


def test_the_form_marks_secrets_and_what_decides_the_host() -> None:
    assert {field.name for field in FORM.fields if field.secret} == {"secret_access_key", "authorization"}
    assert {field.name for field in FORM.fields if field.decides_host} == {"location", "endpoint"}
