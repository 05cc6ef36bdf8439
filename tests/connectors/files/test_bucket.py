"""Files in a bucket, on the real S3 server."""

import gzip
import json
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.base import CursorRange, ReadRequest
from connectors.cursor import encode
from connectors.deadline import patience
from connectors.errors import (
    AccessError,
    BusyError,
    ConfigurationError,
    CredentialsError,
    SchemaChangedError,
    SourceError,
    UnreachableError,
)
from connectors.files import inspection
from connectors.files.bucket import BucketPlace
from connectors.files.config import FilesConfig
from connectors.outbound import OPEN, ForbiddenHostError, OutboundPolicy, allowed
from connectors.s3 import Bucket, BucketClient, StoredObject, client
from connectors.s3.session import guarded_session
from connectors.surroundings import Surroundings
from tests.connectors.files.shelf import FILES, read
from tests.connectors.files.web_server import run_web_server
from tests.kit.servers import RunningStore


@dataclass
class Prefix:
    """A place in the bucket of this test alone."""

    store: RunningStore
    url: str

    @cached_property
    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.store.endpoint,
            aws_access_key_id=self.store.access_key_id,
            aws_secret_access_key=self.store.secret_access_key,
            region_name=self.store.region,
        )

    def put(self, name: str, contents: bytes | str) -> None:
        key = f"{self.url.removeprefix(f's3://{self.store.bucket}/')}/{name}"
        body = contents if isinstance(contents, bytes) else contents.encode()
        self.client.put_object(Bucket=self.store.bucket, Key=key, Body=body)

    def delete(self, name: str) -> None:
        key = f"{self.url.removeprefix(f's3://{self.store.bucket}/')}/{name}"
        self.client.delete_object(Bucket=self.store.bucket, Key=key)

    def config(self, files: Any, policy: OutboundPolicy = OPEN, **changes: Any) -> FilesConfig:
        inputs = {
            "location": self.url,
            "endpoint": self.store.endpoint,
            "region": self.store.region,
            "access_key_id": self.store.access_key_id,
            "secret_access_key": self.store.secret_access_key,
            "tables": json.dumps({"t": files}),
            **changes,
        }
        return FILES.parse_config(inputs, Surroundings(policy))


@pytest.fixture
def prefix(object_store: RunningStore, lake_url: str) -> Prefix:
    return Prefix(object_store, lake_url)


def test_objects_that_match(prefix: Prefix) -> None:
    frame = pl.DataFrame({"a": range(1000), "b": [f'"{number}"\n,' for number in range(1000)]})
    prefix.put("orders/1.csv", frame[:400].write_csv())
    prefix.put("orders/2026/2.csv.gz", gzip.compress(frame[400:].write_csv().encode()))
    prefix.put("orders/3.txt", "no table")
    prefix.put("other/4.csv", "a\n1\n")
    given = prefix.config("orders/**/*.csv*")
    FILES.validate(given)
    (table,) = FILES.discover(given)
    assert [(column.name, column.type) for column in table.columns][:2] == [("a", "long"), ("b", "string")]
    found = read(given, "t")
    assert sorted(found.rows(), key=lambda row: row["a"]) == frame.to_dicts()
    assert sorted(set(found.column("_file"))) == ["orders/1.csv", "orders/2026/2.csv.gz"]
    edge = max(found.column("_file_modified_at"))
    assert 0 <= time.time() - edge.timestamp() < 60
    again = read(given, "t", CursorRange("_file_modified_at", encode(edge)))
    assert {"orders/2026/2.csv.gz"} <= set(again.column("_file"))


def test_parquet_and_its_footer(prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"a": range(200_000), "b": [str(number * 7919) for number in range(200_000)]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=20_000)
    prefix.put("t.parquet", (tmp_path / "t.parquet").read_bytes())
    given = prefix.config("*.parquet")
    asked: list[int] = []
    original = BucketClient.body

    def watched(self: BucketClient, wanted: StoredObject, position: int) -> Any:
        asked.append(wanted.size - position)
        return original(self, wanted, position)

    monkeypatch.setattr(BucketClient, "body", watched)
    monkeypatch.setattr(inspection, "AHEAD_BYTES", 0)
    assert [column.name for column in FILES.discover(given)[0].columns][:2] == ["a", "b"]
    found = read(given, "t")
    assert found.table.drop_columns(["_file", "_row", "_file_modified_at"]).equals(table)
    assert found.column("_row") == list(range(1, 200_001))


def test_more_objects_than_a_page_lists(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE_OBJECTS", 20)
    for number in range(90):
        prefix.put(f"{number:02}.csv", f"a\n{number}\n")
    assert sorted(read(prefix.config("*.csv"), "t").column("a")) == list(range(90))


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"secret_access_key": "wrong-s3cret"}, CredentialsError, "turns these keys down"),
        ({"access_key_id": "WRONG"}, CredentialsError, "turns these keys down"),
        ({"access_key_id": "", "secret_access_key": ""}, AccessError, "grant s3:ListBucket and s3:GetObject"),
        ({"location": "s3://no-such-bucket-here/x"}, ConfigurationError, "There is no bucket no-such-bucket-here"),
        ({"endpoint": "http://127.0.0.1:1"}, UnreachableError, r"127\.0\.0\.1 does not answer"),
        ({"endpoint": "http://no-such-host.invalid"}, UnreachableError, r"no-such-host\.invalid is unknown"),
    ],
)
def test_what_can_be_wrong_with_the_login(
    prefix: Prefix, changes: dict[str, Any], error: type[SourceError], said: str
) -> None:
    given = prefix.config("*.csv", **changes)
    for act in (lambda: FILES.validate(given), lambda: FILES.discover(given), lambda: read(given, "t")):
        with patience(20), pytest.raises(error, match=said) as caught:
            act()
        assert "s3cret" not in caught.value.message


def test_a_store_whose_certificate_is_not_trusted(prefix: Prefix, tmp_path: Path) -> None:
    with run_web_server(tmp_path) as encrypted:
        given = prefix.config("*.csv", endpoint=encrypted.url)
        with patience(20), pytest.raises(ConfigurationError, match="is not to be trusted") as caught:
            FILES.validate(given)
    assert caught.value.attr == "endpoint"


def test_a_guarded_installation_connects_to_public_hosts_only(prefix: Prefix) -> None:
    prefix.put("1.csv", "a\n1\n")
    endpoint = prefix.store.endpoint.replace("http://", "https://")
    with pytest.raises(ForbiddenHostError, match="leads to a loopback address") as caught:
        FILES.validate(prefix.config("*.csv", OutboundPolicy(), endpoint=endpoint))
    assert caught.value.attr == "endpoint"
    # Each connection is checked for itself: what was let through by its name may have another address by now.
    given = prefix.config("*.csv")
    assert isinstance(given.place, Bucket)
    place = BucketPlace(given.place)
    place._client._client._endpoint.http_session = guarded_session(OutboundPolicy(allowed=allowed("10.0.0.1")), 1, 1)
    with pytest.raises(ForbiddenHostError):
        place.listed(["*.csv"])
    place.close()


def test_an_object_that_changes_while_it_is_read(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    given = prefix.config("*.csv")
    prefix.put("1.csv", "a\n1\n")
    with FILES.read(given, ReadRequest("t", "test-read")) as opened:
        prefix.put("1.csv", "a\n2\n")
        # Small as it is, all of it was there already: it is the file that was listed.
        assert [batch.column("a").to_pylist() for batch in opened.batches()] == [[1]]
    monkeypatch.setattr(inspection, "AHEAD_BYTES", 0)
    for change in (lambda: prefix.put("1.csv", "a\n3\n"), lambda: prefix.delete("1.csv")):
        with FILES.read(given, ReadRequest("t", "test-read")) as opened:
            change()
            with pytest.raises(BusyError, match=r"The file 1\.csv changed while it was read"):
                list(opened.batches())
    with pytest.raises(SchemaChangedError, match="No file matches"):
        read(given, "t")


def test_a_connection_that_breaks_is_taken_up_again(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(f"{number}\n" for number in range(500_000))
    prefix.put("1.csv", "a\n" + lines)
    opened: list[int] = []
    original = BucketClient.body

    def breaking(self: BucketClient, wanted: StoredObject, position: int) -> Any:
        opened.append(position)
        return _Breaking(original(self, wanted, position))

    monkeypatch.setattr(BucketClient, "body", breaking)
    assert read(prefix.config("*.csv"), "t").column("a") == list(range(500_000))
    assert len(set(opened)) > 3


class _Breaking:
    """A body that gives a megabyte, and then nothing but an error."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._left = 2**20

    def read(self, size: int) -> bytes:
        if self._left <= 0:
            raise ConnectionResetError
        chunk: bytes = self._body.read(min(size, self._left))
        self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        self._body.close()
