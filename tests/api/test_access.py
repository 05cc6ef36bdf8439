"""Keys, scopes, projects, both forms of a path, and the envelope of errors."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from metadata.keys import EVERY_SCOPE, READ_SCOPE, WRITE_SCOPE, create_key, revoke_key
from metadata.models import utc_now
from tests.api.conftest import Api, Shop

NOWHERE = uuid.UUID(int=0)
CALLS = [
    ("GET", "external_data_sources/"),
    ("POST", "external_data_sources/"),
    ("GET", "external_data_sources/{id}/"),
    ("PATCH", "external_data_sources/{id}/"),
    ("DELETE", "external_data_sources/{id}/"),
    ("POST", "external_data_sources/{id}/reload/"),
    ("POST", "external_data_sources/{id}/refresh_schemas/"),
    ("PATCH", "external_data_sources/{id}/bulk_update_schemas/"),
    ("GET", "external_data_sources/{id}/jobs/"),
    ("GET", "external_data_sources/wizard/"),
    ("GET", "external_data_sources/connections/"),
    ("POST", "external_data_sources/database_schema/"),
    ("POST", "external_data_sources/preview_resource/"),
    ("POST", "external_data_sources/source_prefix/"),
    ("POST", "external_data_sources/check_cdc_prerequisites/"),
    ("PATCH", "external_data_sources/{id}/revenue_analytics_config/"),
    ("POST", "external_data_sources/{id}/create_webhook/"),
    ("POST", "external_data_sources/{id}/update_webhook_inputs/"),
    ("POST", "external_data_sources/{id}/delete_webhook/"),
    ("GET", "external_data_sources/{id}/webhook_info/"),
    ("POST", "external_data_sources/{id}/check_cdc_prerequisites_for_source/"),
    ("POST", "external_data_sources/{id}/enable_cdc/"),
    ("POST", "external_data_sources/{id}/disable_cdc/"),
    ("POST", "external_data_sources/{id}/update_cdc_settings/"),
    ("GET", "external_data_sources/{id}/cdc_status/"),
    ("GET", "external_data_schemas/"),
    ("GET", "external_data_schemas/{id}/"),
    ("PATCH", "external_data_schemas/{id}/"),
    ("PUT", "external_data_schemas/{id}/"),
    ("DELETE", "external_data_schemas/{id}/"),
    ("POST", "external_data_schemas/{id}/reload/"),
    ("POST", "external_data_schemas/{id}/resync/"),
    ("POST", "external_data_schemas/{id}/cancel/"),
    ("DELETE", "external_data_schemas/{id}/delete_data/"),
    ("POST", "external_data_schemas/{id}/incremental_fields/"),
    ("GET", "external_data_schemas/{id}/logs/"),
]
ON_OBJECTS = [call for call in CALLS if "{id}" in call[1]]


def test_every_call_that_openapi_knows_is_tested_here(quick_api: Api) -> None:
    document = quick_api.client.get("/api/schema").json()
    below = "/api/projects/{project_id}/"
    known = {
        (method.upper(), path.removeprefix(below))
        for path, calls in document["paths"].items()
        for method in calls
        if path.startswith(f"{below}external_data")
    }
    assert known == set(CALLS)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer slk_unknown", "slk_unknown"])
def test_no_good_key_is_401_for_every_call(quick_api: Api, header: str | None) -> None:
    for method, path in CALLS:
        url = f"/api/projects/{quick_api.project_id}/{path.format(id=NOWHERE)}"
        response = quick_api.client.request(method, url, headers={"Authorization": header} if header else {})
        assert response.status_code == 401, (method, path)
        assert response.json()["type"] == "authentication_error"
        assert response.headers["WWW-Authenticate"] == "Bearer"


def test_expired_and_revoked_keys_are_401(api: Api) -> None:
    with api.database.transaction() as session:
        _, expired = create_key(
            session, api.project_id, "old", [READ_SCOPE], expires_at=utc_now() - timedelta(seconds=1)
        )
        key, revoked = create_key(session, api.project_id, "revoked", [READ_SCOPE])
        revoke_key(session, api.project_id, key.id)
    for secret in (expired, revoked):
        Api(api.client, api.database, api.project_id, secret)("GET", "external_data_sources/", 401)


def test_reading_and_writing_need_their_scopes(api: Api) -> None:
    reader, writer = api.with_key(READ_SCOPE), api.with_key(WRITE_SCOPE)
    for method, path in CALLS:
        allowed, other = (reader, writer) if method == "GET" else (writer, reader)
        error = other.refused(method, path.format(id=NOWHERE), None, 403)
        assert error["type"] == "permission_error"
        assert allowed.respond(method, path.format(id=NOWHERE)).status_code != 403


def test_the_instances_key_reaches_every_project_that_there_is(api: Api) -> None:
    instance = api.with_key(EVERY_SCOPE)
    other = api.other_project()
    instance("GET", "external_data_sources/")
    Api(api.client, api.database, other.project_id, instance.key)("GET", "external_data_sources/")
    Api(api.client, api.database, 999_999, instance.key)("GET", "external_data_sources/", 404)


@pytest.mark.parametrize("project", ["999999", "0", "-1", "x", "1e3", "9" * 40, "%20"])
def test_another_project_is_404(quick_api: Api, project: str) -> None:
    headers = {"Authorization": f"Bearer {quick_api.key}"}
    response = quick_api.client.get(f"/api/projects/{project}/external_data_sources/", headers=headers)
    assert (response.status_code, response.json()["type"]) == (404, "not_found")


def test_another_projects_objects_are_404_for_every_call(api: Api, shop: Shop) -> None:
    source = api("POST", "external_data_sources/", 201, json=shop.body())
    stranger = api.other_project()
    for method, path in ON_OBJECTS:
        id = source["id"] if "sources" in path else source["schemas"][0]["id"]
        stranger.refused(method, path.format(id=id), None, 404)
        trespasser = Api(api.client, api.database, api.project_id, stranger.key)
        trespasser.refused(method, path.format(id=id), None, 404)
    assert stranger("GET", "external_data_sources/")["results"] == []
    assert stranger("GET", "external_data_schemas/")["results"] == []
    assert stranger("GET", f"external_data_schemas/?source_id={source['id']}")["count"] == 0
    assert api("GET", f"external_data_sources/{source['id']}/")["schemas"] == source["schemas"]


@pytest.mark.parametrize("id", [str(NOWHERE), "x", "1", "%00", "a" * 5000])
def test_an_unknown_or_malformed_id_is_404(quick_api: Api, id: str) -> None:
    for method, path in ON_OBJECTS:
        quick_api.refused(method, path.format(id=id), None, 404)


def test_both_forms_of_a_path_work_without_a_redirect(api: Api, shop: Shop) -> None:
    source = api("POST", "external_data_sources", 201, json=shop.body())
    for path in ("external_data_sources", f"external_data_sources/{source['id']}", "external_data_schemas"):
        assert api("GET", path) == api("GET", f"{path}/")
    changed = api("PATCH", f"external_data_sources/{source['id']}", json={"description": "ours"})
    assert changed["description"] == "ours"
    assert api("GET", f"external_data_sources/{source['id']}/jobs?limit=1") == []


@pytest.mark.parametrize("path", ["/docs", "/metrics", "/healthz", "/readyz"])
def test_the_pages_beside_the_api_have_both_forms_too(quick_api: Api, path: str) -> None:
    assert quick_api.client.get(f"{path}/", follow_redirects=False).status_code == 200


FIXED = {path: method for method, path in CALLS if "{id}" not in path and path.count("/") == 2}


@pytest.mark.parametrize("path", FIXED)
def test_a_name_in_the_place_of_an_id_is_never_taken_for_one(quick_api: Api, path: str) -> None:
    for method in {"GET", "PATCH", "DELETE", "POST", "PUT"} - {FIXED[path]}:
        for form in (path, path.removesuffix("/")):
            response = quick_api.respond(method, form)
            assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed"), method
            assert response.headers["Allow"] == FIXED[path]


def test_errors_outside_of_the_routes_have_the_envelope_too(quick_api: Api) -> None:
    assert quick_api.client.get("/nothing/here").json()["type"] == "not_found"
    error: dict[str, Any] = quick_api.refused("POST", "external_data_schemas/", None, 405)
    assert (error["type"], error["code"]) == ("validation_error", "method_not_allowed")


def test_a_huge_body_is_refused(quick_api: Api) -> None:
    error = quick_api.refused("POST", "external_data_sources/", None, 413, content=b"x" * (33 * 2**20))
    assert error["code"] == "body_too_large"
