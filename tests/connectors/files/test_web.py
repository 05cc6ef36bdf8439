"""Files of web servers: redirects, logins, what servers leave unsaid, and where no connection may lead."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.base import CursorRange, ReadRequest
from connectors.deadline import patience
from connectors.errors import (
    AccessError,
    BusyError,
    ConfigurationError,
    CredentialsError,
    SchemaChangedError,
    UnreachableError,
)
from connectors.files.config import FilesConfig
from connectors.outbound import CLOSED, OPEN, ForbiddenHostError, OutboundPolicy, allowed
from connectors.surroundings import Surroundings
from tests.connectors.files.shelf import FILES, read
from tests.connectors.files.web_server import Page, RunningWebServer, run_web_server

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def web() -> Iterator[RunningWebServer]:
    with run_web_server() as server:
        yield server


@pytest.fixture
def other() -> Iterator[RunningWebServer]:
    with run_web_server() as server:
        yield server


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[RunningWebServer]:
    with run_web_server(tmp_path) as server:
        yield server


def config(location: str, files: Any, policy: OutboundPolicy = OPEN, **fields: Any) -> FilesConfig:
    inputs = {"location": location, "tables": json.dumps({"t": files}), **fields}
    return FILES.parse_config(inputs, Surroundings(policy))


def test_files_by_their_addresses(web: RunningWebServer, other: RunningWebServer) -> None:
    web.put("/data/1.csv", "a,b\n1,x\n", NOON)
    web.put("/data/2.csv.gz", gzip.compress(b"a,b\n2,y\n"), NOON + timedelta(minutes=1))
    other.put("/3.jsonl?token=s3cret", '{"a": 3}\n', NOON + timedelta(minutes=2), ETag='"x"')
    given = config(f"{web.url}data/", ["1.csv", "2.csv.gz", f"{other.url}3.jsonl?token=s3cret"])
    FILES.validate(given)
    found = read(given, "t")
    assert found.rows() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": None}]
    assert found.column("_file") == [f"{web.url}data/1.csv", f"{web.url}data/2.csv.gz", f"{other.url}3.jsonl"]
    assert found.column("_file_modified_at") == [NOON + timedelta(minutes=number) for number in range(3)]
    again = read(given, "t", CursorRange("_file_modified_at", (NOON + timedelta(minutes=2)).isoformat()))
    assert again.rows() == [{"a": 3}]


def test_parquet_is_taken_whole(web: RunningWebServer) -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({"a": range(100_000), "b": [str(number % 17) for number in range(100_000)]})
    pq.write_table(table, sink, row_group_size=10_000)
    web.put("/t.parquet", sink.getvalue().to_pybytes(), NOON)
    found = read(config(web.url, "t.parquet"), "t")
    assert found.table.drop_columns(["_file", "_row", "_file_modified_at"]).equals(table)


@pytest.mark.parametrize("refusal", [403, 405])
def test_a_server_that_says_little(web: RunningWebServer, refusal: int) -> None:
    """No time of modification, no answer to HEAD."""
    web.pages["/1.csv"] = Page(b"a\n1\n", methods=("GET",), refusal=refusal)
    given = config(web.url, "1.csv")
    assert FILES.discover(given)[0].columns[0].name == "a"
    assert read(given, "t", CursorRange("_file_modified_at", None, include_nulls=True)).column("a") == [1]
    later = read(given, "t", CursorRange("_file_modified_at", NOON.isoformat()))
    assert later.rows() == []
    assert later.warnings() == {
        ("_file_modified_at", "files without a time of modification: read by the first load only"): 1
    }


def test_a_login_goes_to_its_own_server_and_to_no_other(web: RunningWebServer, other: RunningWebServer) -> None:
    web.put("/1.csv", "a\n1\n", NOON)
    web.move("/2.csv", f"{other.url}2.csv")
    web.move("/3.csv", "/1.csv")
    other.put("/2.csv", "a\n2\n", NOON)
    other.put("/4.csv", "a\n4\n", NOON)
    given = config(web.url, ["1.csv", "2.csv", "3.csv", f"{other.url}4.csv"], authorization="Bearer s3cret")
    assert sorted(read(given, "t").column("a")) == [1, 1, 2, 4]
    assert {each.headers.get("Authorization") for each in web.asked} == {"Bearer s3cret"}
    assert {each.headers.get("Authorization") for each in other.asked} == {None}


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, CredentialsError, "wants a login"),
        (403, AccessError, "does not give"),
        (418, ConfigurationError, "the status 418"),
        (429, BusyError, "come back later"),
        (503, BusyError, "come back later"),
    ],
)
def test_what_a_server_refuses(web: RunningWebServer, status: int, error: type[Exception], said: str) -> None:
    web.pages["/1.csv"] = Page(status=status)
    given = config(web.url, "1.csv?token=s3cret")
    web.pages["/1.csv?token=s3cret"] = Page(status=status)
    for act in (lambda: FILES.validate(given), lambda: FILES.discover(given), lambda: read(given, "t")):
        with pytest.raises(error, match=said) as caught:
            act()
        assert "s3cret" not in str(caught.value)


def test_a_file_that_is_not_there(web: RunningWebServer) -> None:
    web.put("/1.csv", "a\n1\n")
    assert FILES.discover(config(web.url, "2.csv"))[0].description == "No file matches 2.csv of the table t."
    with pytest.raises(SchemaChangedError, match=r"No file matches 2\.csv"):
        read(config(web.url, "2.csv"), "t")


def test_redirects_end(web: RunningWebServer, encrypted: RunningWebServer) -> None:
    web.move("/1.csv", "/1.csv")
    with pytest.raises(ConfigurationError, match=r"1\.csv is moved on and on"):
        read(config(web.url, "1.csv"), "t")
    web.put("/2.csv", "a\n1\n")
    encrypted.move("/2.csv", f"{web.url}2.csv")
    encrypted.move("/3.csv", "file:///etc/passwd")
    for file in ("2.csv", "3.csv"):
        with pytest.raises(ConfigurationError, match="moved to an address that is not https"):
            read(config(encrypted.url, file, ssl_ca=encrypted.certificate), "t")


def test_certificates_are_held_against_an_authority(encrypted: RunningWebServer) -> None:
    encrypted.put("/1.csv", "a\n1\n")
    with pytest.raises(ConfigurationError, match=r"The certificate of 127\.0\.0\.1 is not to be trusted"):
        FILES.validate(config(encrypted.url, "1.csv"))
    given = config(encrypted.url, "1.csv", ssl_ca=encrypted.certificate)
    FILES.validate(given)
    assert read(given, "t").column("a") == [1]
    by_name = config(encrypted.url.replace("127.0.0.1", "localhost"), "1.csv", ssl_ca=encrypted.certificate)
    with pytest.raises(ConfigurationError, match="is not to be trusted"):
        FILES.validate(by_name)


def test_a_guarded_installation_connects_to_public_hosts_only(
    encrypted: RunningWebServer, other: RunningWebServer
) -> None:
    encrypted.put("/1.csv", "a\n1\n")
    guarded = OutboundPolicy()
    with pytest.raises(ForbiddenHostError, match="leads to a loopback address"):
        FILES.validate(config(encrypted.url, "1.csv", guarded, ssl_ca=encrypted.certificate))
    port = int(encrypted.url.rstrip("/").rpartition(":")[2])
    let = OutboundPolicy(allowed=allowed(f"127.0.0.1:{port}"))
    assert read(config(encrypted.url, "1.csv", let, ssl_ca=encrypted.certificate), "t").column("a") == [1]
    # A redirect is a connection like any other.
    other_port = int(other.url.rstrip("/").rpartition(":")[2])
    encrypted.move("/2.csv", f"https://127.0.0.1:{other_port}/2.csv")
    with pytest.raises(ForbiddenHostError):
        read(config(encrypted.url, "2.csv", let, ssl_ca=encrypted.certificate), "t")
    assert other.asked == []


def test_a_file_that_changes_while_it_is_read(web: RunningWebServer) -> None:
    web.put("/1.csv", "a\n1\n", NOON, ETag='"1"')
    given = config(web.url, "1.csv")
    with FILES.read(given, ReadRequest("t", "test-read")) as opened:
        web.put("/1.csv", "a\n2\n", NOON, ETag='"2"')
        with pytest.raises(BusyError, match="changed while it was read"):
            list(opened.batches())
    with FILES.read(given, ReadRequest("t", "test-read")) as opened:
        del web.pages["/1.csv"]
        with pytest.raises(BusyError, match="changed while it was read"):
            list(opened.batches())


def test_a_connection_that_breaks(web: RunningWebServer) -> None:
    web.put("/1.csv", "a\n" + "1\n" * 100, NOON)
    web.pages["/1.csv"].sent = 50
    with pytest.raises(UnreachableError) as caught:
        read(config(web.url, "1.csv"), "t")
    assert caught.value.retryable


def test_a_server_that_is_not_there(web: RunningWebServer) -> None:
    with pytest.raises(UnreachableError, match=r"The web server 127\.0\.0\.1 does not answer"):
        read(config("http://127.0.0.1:1/", "1.csv"), "t")
    with pytest.raises(UnreachableError), patience(0.0):
        FILES.validate(config(web.url, "1.csv"))


def test_the_field_of_a_forbidden_host_is_named() -> None:
    given = {"location": "https://127.0.0.1/a/", "tables": "t: 1.csv"}
    with pytest.raises(ConfigurationError) as caught:
        FILES.validate(FILES.parse_config(given, Surroundings(CLOSED)))
    assert caught.value.attr == "location"
    elsewhere = {"location": "https://93.184.216.34/", "tables": {"t": ["https://10.0.0.1/1.csv"]}}
    with pytest.raises(ConfigurationError) as caught:
        FILES.validate(FILES.parse_config(elsewhere, Surroundings(CLOSED)))
    assert caught.value.attr == "tables"


def test_a_malformed_address_is_no_accident() -> None:
    given = {"location": "https://example.com/", "tables": {"t": ["https://[127.0.0.1:5432]/1.csv"]}}
    with pytest.raises(ConfigurationError, match="one is malformed") as caught:
        FILES.parse_config(given, Surroundings(CLOSED))
    assert caught.value.attr == "tables"
