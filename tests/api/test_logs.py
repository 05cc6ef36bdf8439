"""The log of a schema's runs: filters, pages, and whose it is."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metadata.logs import Line, RunLogs
from metadata.models import Job, JobLog, JobStatus, LogLevel, Schema
from tests.api.conftest import CUSTOMER, Api, Shop

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def schema(api: Api, shop: Shop) -> dict[str, Any]:
    [found] = [
        each
        for each in api("POST", "external_data_sources/", 201, json=shop.body(CUSTOMER))["schemas"]
        if each["name"] == "customer"
    ]
    return dict(found)


def job_of(api: Api, schema: dict[str, Any]) -> str:
    with api.database.transaction() as session:
        row = session.get_one(Schema, uuid.UUID(schema["id"]))
        job = Job(
            project_id=row.project_id,
            source_id=row.source_id,
            schema_id=row.id,
            status=JobStatus.COMPLETED,
            workflow_id=f"w-{uuid.uuid4()}",
            workflow_run_id="r",
        )
        session.add(job)
    return str(job.id)


def write(api: Api, job_id: str, *levels: LogLevel, at: datetime = NOON) -> None:
    """Lines ``0``, ``1``, … a minute apart."""
    with api.database.transaction() as session:
        job = session.get_one(Job, uuid.UUID(job_id))
        session.add_all(
            JobLog(
                project_id=job.project_id,
                schema_id=job.schema_id,
                job_id=job.id,
                at=at + timedelta(minutes=number),
                level=level,
                message=f"Line {number} of 100% {level}.",
                fields={"number": number},
            )
            for number, level in enumerate(levels)
        )


def numbers(page: dict[str, Any]) -> list[int]:
    return [line["fields"]["number"] for line in page["results"]]


LEVELS = (LogLevel.INFO, LogLevel.WARNING, LogLevel.INFO, LogLevel.ERROR)


def test_lines_come_newest_first_with_all_their_fields(api: Api, schema: dict[str, Any]) -> None:
    job_id = job_of(api, schema)
    write(api, job_id, *LEVELS)
    page = api("GET", f"external_data_schemas/{schema['id']}/logs/")
    assert (page["count"], numbers(page), page["next"], page["previous"]) == (4, [3, 2, 1, 0], None, None)
    assert isinstance(page["results"][0].pop("id"), int)
    assert page["results"][0] == {
        "timestamp": "2026-03-01T12:03:00Z",
        "level": "error",
        "message": "Line 3 of 100% error.",
        "job_id": job_id,
        "fields": {"number": 3},
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"level": "error"}, [3]),
        ({"level": "warning, ERROR"}, [3, 1]),
        ({"level": "debug"}, []),
        ({"level": ""}, [3, 2, 1, 0]),
        ({"after": "2026-03-01T12:01:00Z"}, [3, 2]),
        ({"before": "2026-03-01T12:01:00Z"}, [0]),
        ({"after": "2026-03-01T13:00:00+01:00", "before": "2026-03-01T12:03:00"}, [2, 1]),
        ({"search": "LINE 2"}, [2]),
        ({"search": "0%"}, [3, 2, 1, 0]),
        ({"search": "L%ne"}, []),
        ({"search": "of", "level": "info"}, [2, 0]),
        ({"limit": 2}, [3, 2]),
        ({"limit": 2, "offset": 3}, [0]),
        ({"offset": 4}, []),
    ],
)
def test_filters(quick_api: Api, shop: Shop, asked: dict[str, Any], found: list[int]) -> None:
    source = quick_api("POST", "external_data_sources/", 201, json=shop.body(CUSTOMER))
    schema, other = source["schemas"][:2]
    write(quick_api, job_of(quick_api, schema), *LEVELS)
    write(quick_api, job_of(quick_api, other), LogLevel.ERROR)
    assert numbers(quick_api("GET", f"external_data_schemas/{schema['id']}/logs/", params=asked)) == found


def test_one_job_of_several(api: Api, schema: dict[str, Any]) -> None:
    first, second = job_of(api, schema), job_of(api, schema)
    write(api, first, LogLevel.INFO)
    write(api, second, LogLevel.INFO, LogLevel.INFO, at=NOON + timedelta(hours=1))
    path = f"external_data_schemas/{schema['id']}/logs/"
    assert [line["job_id"] for line in api("GET", path)["results"]] == [second, second, first]
    assert [line["job_id"] for line in api("GET", path, params={"job_id": first})["results"]] == [first]
    assert api("GET", path, params={"job_id": str(uuid.uuid4())})["results"] == []


def test_links_keep_the_filters(quick_api: Api, shop: Shop) -> None:
    schema = quick_api("POST", "external_data_sources/", 201, json=shop.body(CUSTOMER))["schemas"][0]
    write(quick_api, job_of(quick_api, schema), *LEVELS)
    path = f"external_data_schemas/{schema['id']}/logs/"
    page = quick_api("GET", path, params={"limit": 1, "level": "info"})
    assert (page["count"], numbers(page)) == (2, [2])
    following = page["next"].partition(f"/projects/{quick_api.project_id}/")[2]
    assert numbers(quick_api("GET", following)) == [0]


@pytest.mark.parametrize(
    ("asked", "attr"),
    [
        ({"level": "fatal"}, "level"),
        ({"level": "info,loud"}, "level"),
        ({"after": "yesterday"}, "after"),
        ({"before": "0001-01-01T00:00:00+14:00"}, "before"),
        ({"job_id": "7"}, "job_id"),
        ({"search": "\0"}, "search"),
        ({"limit": 0}, "limit"),
        ({"offset": -1}, "offset"),
    ],
)
def test_bad_parameters(quick_api: Api, shop: Shop, asked: dict[str, Any], attr: str) -> None:
    schema = quick_api("POST", "external_data_sources/", 201, json=shop.body(CUSTOMER))["schemas"][0]
    quick_api.refused("GET", f"external_data_schemas/{schema['id']}/logs/", attr, params=asked)


def test_a_deleted_schemas_log_is_out_of_sight(api: Api, schema: dict[str, Any]) -> None:
    write(api, job_of(api, schema), LogLevel.INFO)
    api("DELETE", f"external_data_schemas/{schema['id']}/", 204)
    api("GET", f"external_data_schemas/{schema['id']}/logs/", 404)


def test_what_a_worker_writes_is_what_clients_read(api: Api, schema: dict[str, Any]) -> None:
    job_id = job_of(api, schema)
    RunLogs(api.database).write(job_id, Line("One.\0", {"event": "planned"}), Line("Two.", level=LogLevel.WARNING))
    page = api("GET", f"external_data_schemas/{schema['id']}/logs/")
    assert [(line["message"], line["level"], line["fields"]) for line in page["results"]] == [
        ("Two.", "warning", {}),
        ("One.", "info", {"event": "planned"}),
    ]
