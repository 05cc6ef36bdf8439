"""Liveness, readiness, and the document of the API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from metadata.models import Source
from tests.api.conftest import Api, running_api


@pytest.fixture
def alone(sqlite_metadata_url: str, tmp_path: Path) -> Iterator[Api]:
    """An API whose Temporal does not answer, and whose lake cannot be there."""
    (tmp_path / "file").write_text("no folder")
    with running_api(sqlite_metadata_url, "127.0.0.1:1", tmp_path / "file" / "lake") as api:
        yield api


def test_ready_says_what_works(api: Api) -> None:
    assert api.client.get("/healthz").json() == {"status": "ok"}
    response = api.client.get("/readyz")
    assert response.json() == {"status": "ok", "checks": {"database": "ok", "temporal": "ok", "lake": "ok"}}


def test_it_lives_and_names_what_is_away(alone: Api) -> None:
    assert alone.client.get("/healthz").status_code == 200
    response = alone.client.get("/readyz")
    assert response.status_code == 503
    body = response.json()
    assert body["checks"] == {"database": "ok", "temporal": "unavailable", "lake": "unavailable"}
    assert (body["type"], body["code"]) == ("upstream_error", "not_ready")
    assert alone("GET", "external_data_sources/")["count"] == 0


def test_the_document_is_whole(quick_api: Api) -> None:
    document = quick_api.client.get("/api/schema/").json()
    assert document["openapi"].startswith("3.1")
    calls = [call for path in document["paths"].values() for call in path.values()]
    ids = [call["operationId"] for call in calls]
    assert len(set(ids)) == len(ids)
    assert {"external_data_sources_create", "external_data_schemas_partial_update"} <= set(ids)
    assert all("422" not in call["responses"] for call in calls)
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    assert quick_api.client.get("/docs").status_code == 200


def test_a_bug_shows_nothing_of_itself(alone: Api) -> None:
    with alone.database.transaction() as session:
        session.add(Source(project_id=alone.project_id, source_type="Postgres", encrypted_inputs="damaged"))
    error = alone.refused("GET", "external_data_sources/", None, 500)
    assert error == {
        "type": "server_error",
        "code": "error",
        "detail": "Something went wrong on our side.",
        "attr": None,
    }
