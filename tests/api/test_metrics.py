"""``/metrics``: the right figures, a bounded number of them, and nothing of a tenant."""

import secrets
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from api import metrics
from metadata.models import Job, JobStatus, Schema, SchemaStatus, Source, Wish, WishKind, utc_now
from tests.api.conftest import Api, Shop, running_api
from tests.api.test_limits import NOBODY, body_of
from tests.api.test_sources import create
from tests.kit.bad_sources import bad_source, silent_after_login
from tests.kit.platform import eventually

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def measured(metadata_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """An installation of this test alone, which looks at its metadata for every scrape."""
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 0.0)
    bounds = {"api_source_call_seconds": 2, "api_failed_logins_per_minute": 2}
    with running_api(metadata_url, NOBODY, tmp_path / "lake", **bounds) as api:
        yield api


def scrape(api: Api) -> Series:
    response = api.client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return series_of(response.text)


def series_of(text: str) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float | None:
    return series.get((name, frozenset(labels.items())))


def requests(api: Api, route: str, method: str, status: int) -> float:
    count = value(scrape(api), "syncline_http_request_seconds_count", route=route, method=method, status=str(status))
    return count or 0


def test_requests_are_counted_by_the_template_of_their_route(measured: Api) -> None:
    route = "/api/projects/{project_id}/external_data_sources/{id}/"
    for id in (uuid.uuid4(), uuid.uuid4()):
        measured("GET", f"external_data_sources/{id}", 404)
    measured("PUT", f"external_data_sources/{uuid.uuid4()}/", 405)
    measured.client.get("/healthz")
    assert requests(measured, route, "GET", 404) == 2
    assert requests(measured, route, "PUT", 405) == 1
    assert requests(measured, "/healthz", "GET", 200) == 1
    assert requests(measured, "/metrics", "GET", 200) == 3


def test_an_unexpected_error_is_counted_as_one(measured: Api) -> None:
    with measured.database.transaction() as session:
        session.add(Source(project_id=measured.project_id, source_type="Postgres", encrypted_inputs="damaged"))
    measured("GET", "external_data_sources/", 500)
    assert requests(measured, "/api/projects/{project_id}/external_data_sources/", "GET", 500) == 1


def test_without_the_metadata_the_figures_of_the_process_are_still_there(measured: Api) -> None:
    with measured.database.transaction() as session:
        session.connection().execute(text("ALTER TABLE outbox RENAME TO elsewhere"))
    series = scrape(measured)
    assert value(series, "syncline_metadata_up") == 0
    assert value(series, "syncline_sources") is None
    assert requests(measured, "/metrics", "GET", 200) == 1
    with measured.database.transaction() as session:
        session.connection().execute(text("ALTER TABLE elsewhere RENAME TO outbox"))
    assert value(scrape(measured), "syncline_metadata_up") == 1


def test_what_clients_make_up_makes_no_series(measured: Api) -> None:
    def ask() -> None:
        word = secrets.token_hex(8)
        measured.client.get(f"/{word}/{word}", params={word: word})
        measured.client.request(word.upper(), "/healthz")
        measured("GET", f"external_data_sources/{word}/", 404)
        measured.client.get(f"/api/projects/{word}/external_data_sources/", headers={"Authorization": f"Bearer {word}"})

    scrape(measured)
    for _ in range(3):
        ask()
    known = scrape(measured).keys()
    for _ in range(20):
        ask()
    assert scrape(measured).keys() == known
    assert requests(measured, "none", "GET", 404) == 23
    assert requests(measured, "/healthz", "other", 405) == 23


def test_what_waits_and_what_was_turned_away(measured: Api, shop: Shop) -> None:
    create(measured, shop, prefix="well_")
    wrong = Api(measured.client, measured.database, measured.project_id, "slk_wrong")
    for status in (401, 401, 429, 429, 429):
        wrong("GET", "external_data_sources/", status)
    with bad_source(silent_after_login) as source, ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(measured.respond, "POST", "external_data_sources/", json=body_of(source.inputs))
        eventually(lambda: source.accepted, "the call to reach the source", 5)
        assert value(scrape(measured), "syncline_http_requests_in_flight") == 2
        assert hanging.result().status_code == 504
    refused = body_of({**shop.inputs, "password": "wrong", "user": "nobody"})
    measured.refused("POST", "external_data_sources/", "payload.password", json=refused)
    series = scrape(measured)
    assert value(series, "syncline_throttled_total", limit="address") == 3
    for outcome in ("ok", "timeout", "refused"):
        assert value(series, "syncline_source_call_seconds_count", outcome=outcome) == 1, outcome
    assert 2 <= (value(series, "syncline_source_call_seconds_sum", outcome="timeout") or 0) < 5
    assert value(series, "syncline_http_requests_in_flight") == 1


def test_how_the_installation_does(measured: Api) -> None:
    def add(*rows: Source | Schema | Job | Wish) -> None:
        with measured.database.transaction() as session:
            session.add_all(rows)

    project = measured.project_id
    source = Source(project_id=project, source_type="Postgres", encrypted_inputs="")
    gone = Source(project_id=project, source_type="Postgres", encrypted_inputs="", deleted_at=utc_now())
    add(source, gone)
    statuses = [None, None, SchemaStatus.FAILED, SchemaStatus.COMPLETED, SchemaStatus.FAILED]
    schemas = [Schema(project_id=project, source_id=source.id, name=f"t{n}", status=s) for n, s in enumerate(statuses)]
    dropped = Schema(project_id=project, source_id=source.id, name="dropped", status="Failed", deleted_at=utc_now())
    add(*schemas, dropped)
    now = utc_now()

    def job(status: JobStatus, hours_ago: float) -> Job:
        at, run = now - timedelta(hours=hours_ago), secrets.token_hex(4)
        of = {"project_id": project, "source_id": source.id, "schema_id": schemas[0].id}
        return Job(**of, status=status, created_at=at, workflow_id=run, workflow_run_id=run)

    add(*(job(JobStatus.RUNNING, hours) for hours in (0.1, 50)))
    add(*(job(JobStatus.FAILED, hours) for hours in (0.1, 0.5, 2)), job(JobStatus.COMPLETED, 3))
    later = now + timedelta(hours=1)
    add(
        *(
            Wish(
                project_id=project,
                schema_id=schema.id,
                kind=WishKind.CANCEL,
                created_at=now - timedelta(seconds=90),
                due_at=later,
            )
            for schema in schemas
        )
    )
    series = scrape(measured)
    assert {
        dict(labels)["status"]: count for (name, labels), count in series.items() if name == "syncline_schemas"
    } == {"never_run": 2, "Failed": 2, "Completed": 1}
    assert value(series, "syncline_sources") == 1
    assert value(series, "syncline_jobs_running") == 2
    ended = {status: value(series, "syncline_jobs_ended_last_hour", status=status) for status in JobStatus}
    assert ended == {"Running": None, "Completed": 0, "Failed": 2, "Cancelled": 0}
    assert value(series, "syncline_outbox_entries") == 5
    assert 90 <= (value(series, "syncline_outbox_oldest_age_seconds") or 0) < 150
    assert value(series, "syncline_metadata_up") == 1
    assert "t0" not in measured.client.get("/metrics").text


def test_many_scrapes_cost_the_database_no_more_than_one(quick_api: Api) -> None:
    before = value(scrape(quick_api), "syncline_sources")
    with quick_api.database.transaction() as session:
        session.add(Source(project_id=quick_api.project_id, source_type="Postgres", encrypted_inputs=""))
    assert value(scrape(quick_api), "syncline_sources") == before
