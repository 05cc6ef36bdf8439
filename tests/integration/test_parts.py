"""Large tables, read in parts by a whole platform: each row once, of one state, whatever happens meanwhile."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import SourceDatabase
from tests.kit.platform import Platform, named, run_platform
from tests.kit.servers import MetadataTemplates, RunningStore, RunningTemporal

CURSOR = {"incremental_field": "updated_at", "incremental_field_type": "datetime"}
WHOLE: dict[str, Any] = {"sync_type": "full_refresh"}


@pytest.fixture(scope="module")
def divider(
    temporal: RunningTemporal,
    object_store: RunningStore,
    metadata_templates: MetadataTemplates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Platform]:
    """A platform to which one megabyte is large."""
    folder = tmp_path_factory.mktemp("divider")
    url = metadata_templates.sqlite_copy(folder / "metadata.db")
    with run_platform(folder, url, object_store.new_url(), temporal, object_store, PARTITION_MB="1") as running:
        yield running


TABLES = {
    "by_int": ("id int PRIMARY KEY, v text, n numeric", "n, repeat(md5(n::text), 4), n"),
    "by_uuid": ("id uuid PRIMARY KEY, v text", "md5(n::text)::uuid, repeat(md5(n::text), 4)"),
    "by_text": ("id text PRIMARY KEY, v text", "'k' || n % 7 || '-' || n, repeat(md5(n::text), 4)"),
    "by_two": ("a int, b int, v text, PRIMARY KEY (b, a)", "n / 100, n % 100, repeat(md5(n::text), 4)"),
    "by_none": ("a int, v text", "n / 3, repeat(md5(n::text), 4)"),
}


def fill(database: SourceDatabase) -> None:
    for name, (columns, values) in TABLES.items():
        database.execute(
            # Never analyzed: nothing but the size of its files tells that it is large.
            f"CREATE TABLE {name} ({columns}) WITH (autovacuum_enabled = off)",
            f"INSERT INTO {name} SELECT {values} FROM generate_series(1, 15000) n",
            f"DELETE FROM {name} WHERE ctid >= '(20,0)' AND ctid < '(60,0)'",
        )


def messages(platform: Platform, schema: dict[str, Any]) -> list[str]:
    found = platform.call("GET", f"/external_data_schemas/{schema['id']}/logs/?limit=200")
    return [line["message"] for line in found["results"]]


def test_every_kind_of_key(divider: Platform, database: SourceDatabase) -> None:
    fill(database)
    source = divider.create_source(database.inputs, [{"name": name, "should_sync": True, **WHOLE} for name in TABLES])
    for name in TABLES:
        schema = named(source, name)
        (job,) = divider.wait_for_jobs(source, schema)
        assert job["status"] == "Completed", job["latest_error"]
        assert any("parts, all of one snapshot" in message for message in messages(divider, schema))
        database.assert_in_lake(divider, schema)
