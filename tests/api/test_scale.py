"""What a large installation asks of the database: statements that do not grow, and no table read from end to end."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine import Engine

from local.postgres import PostgresServer
from metadata.vault import Vault, generate_key
from tests.api.conftest import Api, running_api
from tests.kit.seed import Seeded, Size, seed
from tests.kit.servers import MetadataTemplates, RunningTemporal

MOST_STATEMENTS = 6
SOURCES = 2000
NEVER_WHOLE = ("source", "schema", "schema_state", "job", "lake_table")


@dataclass
class Large:
    """An installation of some thousand sources, and what its API asks of PostgreSQL."""

    api: Api
    seeded: Seeded
    statements: list[tuple[str, Any]] = field(default_factory=list)

    def get(self, path: str) -> Any:
        """The body; afterwards ``statements`` are those of this call."""
        self.statements.clear()
        return self.api("GET", path.format(source=self.seeded.source_ids[7], schema=self.seeded.schema_ids[70]))

    def whole_reads(self) -> list[str]:
        """Tables that the plans of these statements read from end to end, as no index serves them.

        Whether an index that does is worth it for a table this small is left to the planner otherwise.
        """
        asked = [(text, values) for text, values in self.statements if text.startswith(("SELECT", "WITH"))]
        assert asked
        with self.api.database.read() as session:
            session.connection().exec_driver_sql("SET LOCAL enable_seqscan = off")
            plans = [
                line
                for text, values in asked
                for line in session.connection().exec_driver_sql(f"EXPLAIN {text}", values).scalars()
            ]
        return [table for line in plans for table in re.findall(r"Seq Scan on (\w+)", line) if table in NEVER_WHOLE]


@contextmanager
def watched(large: Large, database: str | None) -> Iterator[Large]:
    def note(connection: Connection, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:
        # Other APIs of this process have databases of their own and threads that never rest, as this one's outbox.
        if connection.engine.url.database == database and " outbox" not in statement:
            large.statements.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield large
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture(scope="module")
def large(
    metadata_templates: MetadataTemplates, postgres18: PostgresServer, temporal: RunningTemporal, lake: Path
) -> Iterator[Large]:
    key = generate_key()
    with (
        metadata_templates.postgres_copy(postgres18) as url,
        running_api(url, temporal.address, lake, encryption_keys=key) as api,
    ):
        dsn = url.replace("postgresql+psycopg", "postgresql")
        with watched(Large(api, seed(dsn, Vault([key]), Size(SOURCES))), make_url(url).database) as large:
            yield large


@pytest.mark.parametrize("limit", [1, 100, 1000])
@pytest.mark.parametrize("listed", ["external_data_sources", "external_data_schemas"])
def test_a_page_takes_as_many_statements_whatever_its_length(large: Large, listed: str, limit: int) -> None:
    page = large.get(f"{listed}/?limit={limit}")
    assert len(page["results"]) == limit
    assert len(large.statements) <= MOST_STATEMENTS, large.statements


@pytest.mark.parametrize(
    "path",
    [
        "external_data_sources/",
        "external_data_sources/?offset=900&limit=20",
        "external_data_sources/{source}/",
        "external_data_sources/{source}/jobs/",
        "external_data_schemas/",
        "external_data_schemas/?offset=9000",
        "external_data_schemas/?status=Failed",
        "external_data_schemas/?sync_type=full_refresh",
        "external_data_schemas/?should_sync=false",
        "external_data_schemas/?source_id={source}",
        "external_data_schemas/{schema}/",
    ],
)
def test_no_list_and_no_look_reads_a_whole_table(large: Large, path: str) -> None:
    assert large.get(path)
    assert large.whole_reads() == []


def everything(large: Large) -> list[dict[str, Any]]:
    """All schemas of the project, page by page."""
    found: list[dict[str, Any]] = []
    while len(found) < len(large.seeded.schema_ids):
        page = large.get(f"external_data_schemas/?limit=1000&offset={len(found)}")
        assert page["count"] == len(large.seeded.schema_ids)
        assert page["results"]
        found += page["results"]
    assert page["next"] is None
    return found


def test_pages_have_every_schema_of_the_project_once_newest_first(large: Large) -> None:
    found = [schema["id"] for schema in everything(large)]
    assert len(set(found)) == len(found)
    assert set(found) == set(large.seeded.schema_ids)
    places = {schema_id: place // 10 for place, schema_id in enumerate(large.seeded.schema_ids)}
    in_order = [places[schema_id] for schema_id in found]
    assert in_order == sorted(in_order), "the ten of a source are of one moment"


def test_a_page_behind_the_last_is_empty_and_still_knows_the_count(large: Large) -> None:
    for listed, count in (("external_data_schemas", SOURCES * 5), ("external_data_sources", SOURCES // 2)):
        page = large.get(f"{listed}/?offset=1000000")
        assert (page["count"], page["results"], page["next"]) == (count, [], None)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("status=Failed", lambda schema: schema["status"] == "Failed"),
        ("should_sync=true", lambda schema: schema["should_sync"]),
        ("sync_type=full_refresh", lambda schema: schema["sync_type"] == "full_refresh"),
        ("search=TABLE_199", lambda schema: "table_199" in schema["name"]),
    ],
)
def test_a_filtered_page_has_and_counts_what_was_asked_for(
    large: Large, query: str, wanted: Callable[[dict[str, Any]], bool]
) -> None:
    expected = [schema for schema in everything(large) if wanted(schema)]
    page = large.get(f"external_data_schemas/?limit=1000&{query}")
    assert expected
    assert page["count"] == len(expected)
    assert page["results"] == expected[:1000]
