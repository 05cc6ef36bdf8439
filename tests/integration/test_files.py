"""Files in a bucket, copied by the platform: each mode, files that come, change and bring other types."""

import gzip
import io
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import boto3
import polars as pl

from tests.kit.compare import lake_frame
from tests.kit.platform import Platform, named
from tests.kit.servers import RunningStore

CURSOR = {"incremental_field": "_file_modified_at", "incremental_field_type": "timestamp"}
MODES: dict[str, dict[str, Any]] = {
    "full_refresh": {"sync_type": "full_refresh"},
    "incremental": {"sync_type": "incremental", **CURSOR},
    "append": {"sync_type": "append", **CURSOR},
}
OWN = ["_file", "_row", "_file_modified_at"]


@dataclass
class Drop:
    """A place where somebody drops files, each of another second: the store's times are no finer."""

    store: RunningStore
    url: str

    def put(self, name: str, contents: bytes | str) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=self.store.endpoint,
            aws_access_key_id=self.store.access_key_id,
            aws_secret_access_key=self.store.secret_access_key,
            region_name=self.store.region,
        )
        key = f"{self.url.removeprefix(f's3://{self.store.bucket}/')}/{name}"
        body = contents if isinstance(contents, bytes) else contents.encode()
        client.put_object(Bucket=self.store.bucket, Key=key, Body=body)

    def create_source(self, platform: Platform) -> Any:
        """The same files as a table in each mode."""
        tables = {mode: {"files": ["*.csv*", "*.jsonl", "*.parquet"]} for mode in MODES}
        payload = {
            "location": self.url,
            "endpoint": self.store.endpoint,
            "region": self.store.region,
            "access_key_id": self.store.access_key_id,
            "secret_access_key": self.store.secret_access_key,
            "tables": json.dumps(tables),
            "schemas": [
                {"name": mode, "should_sync": True, "sync_frequency": "never", **settings}
                for mode, settings in MODES.items()
            ],
        }
        body = {"source_type": "Files", "prefix": f"f{secrets.token_hex(3)}_", "payload": payload}
        return platform.call("POST", "/external_data_sources/", body, status=201)

    def rows(self, platform: Platform, source: Any, mode: str) -> list[dict[str, Any]]:
        schema = platform.schema(named(source, mode)["id"])
        frame = lake_frame(schema["table"]["url_pattern"], self.store)
        return frame.sort("_file_modified_at", "_file", "_row").drop("_file_modified_at").to_dicts()


def run(platform: Platform, source: Any) -> dict[str, dict[str, Any]]:
    """Each mode once more; what its run says."""
    return {mode: platform.sync(source, named(source, mode)) for mode in MODES}


def rows(file: str, *values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**each, "_file": file, "_row": number} for number, each in enumerate(values, 1)]


def in_another_second(act: Callable[[], None]) -> None:
    time.sleep(1.1)
    act()


def test_every_mode_through_the_life_of_files(platform: Platform, object_store: RunningStore, lake_url: str) -> None:
    drop = Drop(object_store, lake_url)
    drop.put("1.csv", 'id,price,note\n1,1.50,"a ""b"",\n"\n2,2.25,\n')
    in_another_second(lambda: drop.put("2.csv.gz", gzip.compress(b"note,id,price\nx,3,30\n")))
    source = drop.create_source(platform)
    assert source["status"]
    first = [
        *rows(
            "1.csv",
            {"id": 1, "price": Decimal("1.50"), "note": 'a "b",\n'},
            {"id": 2, "price": Decimal("2.25"), "note": None},
        ),
        *rows("2.csv.gz", {"id": 3, "price": Decimal(30), "note": "x"}),
    ]
    for mode, job in run(platform, source).items():
        assert (job["status"], job["rows_synced"]) == ("Completed", 3), (mode, job["latest_error"])
        assert drop.rows(platform, source, mode) == first, mode

    # Nothing new, and then a file that brings a column, and one that brings wider numbers.
    for mode, job in run(platform, source).items():
        assert (job["status"], job["rows_synced"]) == ("Completed", 3 if mode == "full_refresh" else 0), mode
    parquet = io.BytesIO()
    pl.DataFrame({"id": [5], "tags": [["a", "b"]]}).write_parquet(parquet)
    in_another_second(lambda: drop.put("3.jsonl", '{"id": 4.5, "price": 1, "extra": {"k": 1.0}}\n'))
    in_another_second(lambda: drop.put("4.parquet", parquet.getvalue()))
    second = [
        *({**row, "extra": None, "tags": None} for row in first),
        *rows("3.jsonl", {"id": Decimal("4.5"), "price": Decimal(1), "note": None, "extra": '{"k":1.0}', "tags": None}),
        *rows("4.parquet", {"id": Decimal(5), "price": None, "note": None, "extra": None, "tags": '["a","b"]'}),
    ]
    for mode, job in run(platform, source).items():
        assert (job["status"], job["rows_synced"]) == ("Completed", 5 if mode == "full_refresh" else 2), mode
        assert drop.rows(platform, source, mode) == second, mode

    # A file that changes: its rows take the place of the old ones, and are new versions where all are kept.
    in_another_second(lambda: drop.put("1.csv", "id,price,note\n1,1.75,new\n2,2.25,\n6,6.00,longer\n"))
    nothing = {"extra": None, "tags": None}
    changed = rows(
        "1.csv",
        {"id": Decimal(1), "price": Decimal("1.75"), "note": "new", **nothing},
        {"id": Decimal(2), "price": Decimal("2.25"), "note": None, **nothing},
        {"id": Decimal(6), "price": Decimal(6), "note": "longer", **nothing},
    )
    expected = {
        "full_refresh": [*second[2:], *changed],
        "incremental": [*second[2:], *changed],
        "append": [*second, *changed],
    }
    for mode, job in run(platform, source).items():
        assert job["status"] == "Completed", (mode, job["latest_error"])
        assert drop.rows(platform, source, mode) == expected[mode], mode

    # A broken file is named, and nothing of the run is in the table.
    in_another_second(lambda: drop.put("5.csv", "id,price,note\n7,7.00,x\n8,8.00\n"))
    for mode, job in run(platform, source).items():
        assert job["status"] == "Failed", mode
        assert "The file 5.csv has 2 fields in place of 3 at line 3" in job["latest_error"], mode
        assert drop.rows(platform, source, mode) == expected[mode], mode
    in_another_second(lambda: drop.put("5.csv", "id,price,note\n7,7.00,x\n"))
    mended = rows("5.csv", {"id": Decimal(7), "price": Decimal(7), "note": "x", **nothing})
    for mode, job in run(platform, source).items():
        assert job["status"] == "Completed", (mode, job["latest_error"])
        assert drop.rows(platform, source, mode) == [*expected[mode], *mended], mode

    # Files that become shorter, and empty: of a version before nothing stays where rows are kept by their file.
    in_another_second(lambda: drop.put("1.csv", "id,price,note\n6,6.00,longer\n"))
    in_another_second(lambda: drop.put("5.csv", "id,price,note\n"))
    shorter = rows("1.csv", {"id": Decimal(6), "price": Decimal(6), "note": "longer", **nothing})
    expected = {
        "full_refresh": [*second[2:], *shorter],
        "incremental": [*second[2:], *shorter],
        "append": [*expected["append"], *mended, *shorter],
    }
    for mode, job in run(platform, source).items():
        assert job["status"] == "Completed", (mode, job["latest_error"])
        assert drop.rows(platform, source, mode) == expected[mode], mode

    # Numbers become texts; what is in the lake already is written there as the lake writes numbers.
    in_another_second(lambda: drop.put("6.csv", "id,price,note\n9,n/a,x\n"))
    for mode, job in run(platform, source).items():
        assert job["status"] == "Completed", (mode, job["latest_error"])
        prices = [(row["_file"], row["price"]) for row in drop.rows(platform, source, mode)]
        assert prices[-1] == ("6.csv", "n/a"), mode
        assert [price and Decimal(price) for _, price in prices[:-1]] == [row["price"] for row in expected[mode]], mode
    for mode in ("incremental", "append"):
        schema = named(source, mode)
        before = len(platform.jobs(source, schema))
        platform.call("POST", f"/external_data_schemas/{schema['id']}/resync/")
        assert platform.wait_for_jobs(source, schema, before + 1)[0]["status"] == "Completed", mode
    found = [drop.rows(platform, source, mode) for mode in MODES]
    assert found[1:] == found[:1] * 2
    assert [row["price"] for row in found[0]] == ["30", "1", None, "6.00", "n/a"]


def test_a_key_of_the_files_own_and_nothing_new(platform: Platform, object_store: RunningStore, lake_url: str) -> None:
    """Rows take each other's place by the key, whichever file brings them; a run that finds no file has no columns."""
    drop = Drop(object_store, lake_url)
    drop.put("1.csv", "id,v\n1,a\n2,b\n")
    source = drop.create_source(platform)
    schema = named(source, "incremental")
    platform.call("PATCH", f"/external_data_schemas/{schema['id']}/", {"primary_key_columns": ["id"]})

    def values() -> dict[Any, Any]:
        return {row["id"]: row["v"] for row in drop.rows(platform, source, "incremental")}

    for _ in range(2):
        job = platform.sync(source, schema)
        assert (job["status"], values()) == ("Completed", {1: "a", 2: "b"}), job["latest_error"]
    in_another_second(lambda: drop.put("2.csv", "id,v\n2,B\n3,c\n"))
    in_another_second(lambda: drop.put("1.csv", "id,v\n1,A\n"))
    for _ in range(2):
        job = platform.sync(source, schema)
        assert (job["status"], values()) == ("Completed", {1: "A", 2: "B", 3: "c"}), job["latest_error"]
