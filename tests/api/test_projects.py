"""Projects, as an instance key looks after them."""

import uuid
from typing import Any

import pytest

from metadata.keys import EVERY_SCOPE, READ_SCOPE, WRITE_SCOPE, create_key, get_key
from metadata.models import SchemaState
from metadata.runs import Runs
from metadata.vault import Vault, generate_key
from tests.api.conftest import CUSTOMER, Api, Shop
from tests.api.test_sources import create, hold_data, named


@pytest.fixture
def root(api: Api) -> Api:
    """With an instance key."""
    return api.with_key(EVERY_SCOPE)


def call(api: Api, method: str, path: str = "", status: int = 200, **request: Any) -> Any:
    """``path`` is below the collection of projects."""
    headers = {"Authorization": f"Bearer {api.key}"}
    response = api.client.request(method, f"/api/projects/{path}", headers=headers, **request)
    assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
    return response.json() if response.content else None


def test_a_project_is_made_shown_renamed_and_listed_newest_first(root: Api) -> None:
    made = call(root, "POST", status=201, json={"name": "Shop Ü"})
    assert set(made) == {"id", "name", "created_at"}
    assert made["created_at"].endswith("Z")
    own = f"{made['id']}/"
    assert call(root, "GET", own) == made
    assert call(root, "PATCH", own, json={"name": "other"}) == {**made, "name": "other"}
    assert call(root, "PATCH", own, json={}) == {**made, "name": "other"}
    assert call(root, "PATCH", own, data={"name": "by form"})["name"] == "by form"
    younger = call(root, "POST", status=201, json={"name": "younger"})
    page = call(root, "GET", "?limit=2")
    assert [project["id"] for project in page["results"]] == [younger["id"], made["id"]]
    assert page["count"] >= 3
    assert page["next"].endswith("/api/projects/?limit=2&offset=2")
    assert page["previous"] is None
    assert call(root, "GET", "?limit=1&offset=1")["results"][0]["id"] == made["id"]


@pytest.mark.parametrize("name", [None, "", "a" * 201, 7, ["a"], "a\0b"])
def test_a_project_needs_a_name(root: Api, name: Any) -> None:
    before = call(root, "GET")["count"]
    own = f"{root.project_id}/"
    for method, path in (("POST", ""), ("PATCH", own)):
        assert call(root, method, path, 400, json={"name": name})["attr"] == "name"
    assert call(root, "POST", "", 400, json={})["code"] == "required"
    assert call(root, "GET")["count"] == before
    assert call(root, "GET", own)["name"] == "another"


def test_only_an_instance_key_sees_projects(root: Api) -> None:
    plain, stranger = root.with_key(READ_SCOPE, WRITE_SCOPE), root.other_project()
    own = f"{root.project_id}/"
    for method, path in (("GET", ""), ("POST", ""), ("GET", own), ("PATCH", own), ("DELETE", own)):
        assert call(plain, method, path, 403, json={"name": "mine"})["type"] == "permission_error"
        status = 404 if path else 403
        call(stranger, method, path, status, json={"name": "mine"})
    assert call(root, "GET", own)["name"] == "another"
    for id in ("999999", "0", "x", "-1", "%00", "01", "9" * 30):
        for method in ("GET", "PATCH", "DELETE"):
            call(root, method, f"{id}/", 404, json={"name": "mine"})


def test_an_instance_key_that_is_no_manager_only_looks(root: Api) -> None:
    with root.database.transaction() as session:
        _, secret = create_key(session, root.project_id, "watcher", [EVERY_SCOPE], role="viewer")
    watcher = Api(root.client, root.database, root.project_id, secret)
    own = f"{root.project_id}/"
    assert call(watcher, "GET", own)["id"] == root.project_id
    for method, path in (("POST", ""), ("PATCH", own), ("DELETE", own)):
        call(watcher, method, path, 403, json={"name": "mine"})


def test_a_deleted_project_is_gone_with_its_sources_its_keys_and_its_data(root: Api, shop: Shop) -> None:
    tenant, neighbour = root.other_project(), root.other_project()
    source, kept = create(tenant, shop, CUSTOMER), create(neighbour, shop)
    schema_id = named(source, "customer")["id"]
    hold_data(tenant, schema_id)
    call(root, "DELETE", f"{tenant.project_id}/", 204)
    tenant("GET", "external_data_sources/", 401)
    visitor = Api(root.client, root.database, tenant.project_id, root.key)
    for path in ("external_data_sources/", f"external_data_sources/{source['id']}/", "api_keys/"):
        visitor.refused("GET", path, None, 404)
    call(root, "GET", f"{tenant.project_id}/", 404)
    call(root, "DELETE", f"{tenant.project_id}/", 404)
    assert tenant.project_id not in [one["id"] for one in call(root, "GET", "?limit=1000")["results"]]
    with root.database.read() as session:
        state = session.get_one(SchemaState, uuid.UUID(schema_id))
    assert (state.generation, state.erase_pending) == (2, True)
    assert Runs(root.database, Vault([generate_key()])).intent(tenant.project_id, schema_id) is None
    assert neighbour("GET", f"external_data_sources/{kept['id']}/") == kept


def test_the_project_of_the_key_in_use_cannot_be_deleted_with_it(root: Api) -> None:
    error = call(root, "DELETE", f"{root.project_id}/", 409)
    assert (error["type"], error["code"]) == ("conflict", "in_use")
    root("GET", "external_data_sources/")
    other = root.other_project()
    with root.database.transaction() as session:
        key, _ = create_key(session, other.project_id, "its own", [READ_SCOPE])
    call(other.with_key(EVERY_SCOPE), "DELETE", f"{root.project_id}/", 204)
    root("GET", "external_data_sources/", 401)
    with root.database.read() as session:
        assert get_key(session, other.project_id, key.id) is not None
