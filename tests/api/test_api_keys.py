"""The keys of a project: what they may give away, what they may do, and how they end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import select

from metadata.keys import EVERY_SCOPE, READ_SCOPE, WRITE_SCOPE, create_key
from metadata.models import ApiKey
from tests.api.conftest import Api

FIELDS = {"id", "label", "secret_hint", "scopes", "role", "created_at", "created_by", "expires_at"}
BOTH = [READ_SCOPE, WRITE_SCOPE]


def make(api: Api, status: int = 201, **body: Any) -> Any:
    return api("POST", "api_keys/", status, json={"label": "a new key", "scopes": [READ_SCOPE]} | body)


def holding(api: Api, made: dict[str, Any]) -> Api:
    """The same project with a key that was just made."""
    return Api(api.client, api.database, api.project_id, made["secret"])


def ids(api: Api, query: str = "") -> list[str]:
    return [key["id"] for key in api("GET", f"api_keys/{query}")["results"]]


def in_an_hour() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()


def test_a_key_is_made_works_is_shown_without_its_secret_and_ends(api: Api) -> None:
    made = make(api, label="reporting", scopes=[READ_SCOPE, READ_SCOPE], role="viewer", expires_at=in_an_hour())
    assert set(made) == FIELDS | {"secret"}
    secret = made.pop("secret")
    assert (made["label"], made["scopes"], made["role"], made["created_by"]) == (
        "reporting",
        [READ_SCOPE],
        "viewer",
        "a key",
    )
    assert secret.startswith(made["secret_hint"])
    assert len(made["secret_hint"]) < 10
    with api.database.read() as session:
        stored = session.exec(select(ApiKey).where(ApiKey.label == "reporting", ApiKey.project_id == api.project_id))
        assert secret not in repr(stored.one().model_dump())

    path = f"api_keys/{made['id']}/"
    assert api("GET", path) == made
    page = api("GET", "api_keys/")
    assert (page["count"], page["results"][0]) == (2, made)
    assert secret not in api.respond("GET", "api_keys/").text
    reader = Api(api.client, api.database, api.project_id, secret)
    reader("GET", "external_data_sources/")
    api("DELETE", path, 204)
    reader("GET", "external_data_sources/", 401)
    for method in ("GET", "DELETE"):
        api.refused(method, path, None, 404)
    assert made["id"] not in ids(api)


def test_a_list_of_keys_is_a_page(api: Api) -> None:
    made = [make(api, label=f"key {number}")["id"] for number in range(3)]
    assert ids(api)[:3] == made[::-1]
    page = api("GET", "api_keys/?limit=2")
    assert (page["count"], len(page["results"])) == (4, 2)
    assert page["next"].endswith("api_keys/?limit=2&offset=2")
    assert ids(api, "?limit=2") + ids(api, "?limit=2&offset=2") == ids(api)
    api.refused("GET", "api_keys/?limit=0", "limit")


@pytest.mark.parametrize(
    ("attr", "body"),
    [
        ("label", {"label": None}),
        ("label", {"label": ""}),
        ("label", {"label": "a" * 201}),
        ("label", {"label": "a\0"}),
        ("scopes", {"scopes": None}),
        ("scopes", {"scopes": []}),
        ("scopes", {"scopes": READ_SCOPE}),
        ("scopes.1", {"scopes": [READ_SCOPE, "everything"]}),
        ("role", {"role": "root"}),
        ("role", {"role": None}),
        ("expires_at", {"expires_at": "2020-01-01T00:00:00Z"}),
        ("expires_at", {"expires_at": "tomorrow"}),
        ("expires_at", {"expires_at": "9999-12-31T23:59:59-10:00"}),
        ("expires_at", {"expires_at": 7}),
    ],
)
def test_a_wrong_body_makes_no_key(quick_api: Api, attr: str, body: dict[str, Any]) -> None:
    before = ids(quick_api)
    quick_api.refused("POST", "api_keys/", attr, json={"label": "k", "scopes": [READ_SCOPE]} | body)
    assert ids(quick_api) == before
    missing = attr if attr in ("label", "scopes") else "label"
    body = {name: value for name, value in {"label": "k", "scopes": [READ_SCOPE]}.items() if name != missing}
    assert quick_api.refused("POST", "api_keys/", missing, json=body)["code"] == "required"


def test_a_form_makes_a_key_too(quick_api: Api) -> None:
    made = quick_api("POST", "api_keys/", 201, data={"label": "7", "scopes": BOTH, "role": "viewer"})
    assert (made["label"], made["scopes"], made["role"], made["expires_at"]) == ("7", BOTH, "viewer", None)


def test_a_time_without_a_zone_is_meant_in_utc(quick_api: Api) -> None:
    assert make(quick_api, expires_at="2999-01-01T00:00:00")["expires_at"] == "2999-01-01T00:00:00Z"
    assert make(quick_api, expires_at="2999-01-01T00:00:00+02:00")["expires_at"] == "2998-12-31T22:00:00Z"


@pytest.mark.parametrize(
    ("scopes", "role"), [(BOTH, "viewer"), (BOTH, "editor"), ([READ_SCOPE], "manager"), ([EVERY_SCOPE], "editor")]
)
def test_only_managers_who_may_write_see_keys(quick_api: Api, scopes: list[str], role: str) -> None:
    with quick_api.database.transaction() as session:
        key, secret = create_key(session, quick_api.project_id, "curious", scopes, role=role)
    curious = Api(quick_api.client, quick_api.database, quick_api.project_id, secret)
    path = f"api_keys/{key.id}/"
    for method, at in (("GET", "api_keys/"), ("POST", "api_keys/"), ("GET", path), ("DELETE", path)):
        assert curious.refused(method, at, None, 403)["type"] == "permission_error"
    curious.refused("DELETE", f"api_keys/?id={key.id}", None, 403)


def test_a_role_bounds_what_the_scopes_say(quick_api: Api) -> None:
    roles = {
        role: holding(quick_api, make(quick_api, scopes=BOTH, role=role)) for role in ("viewer", "editor", "manager")
    }
    nowhere = "external_data_schemas/00000000-0000-0000-0000-000000000000/"
    for role, api in roles.items():
        api("GET", "external_data_schemas/")
        api("PATCH", nowhere, 403 if role == "viewer" else 404, json={})
        api("DELETE", nowhere, 403 if role == "viewer" else 404)
        api("GET", "api_keys/", 200 if role == "manager" else 403)
    assert "viewer" in roles["viewer"].refused("POST", "external_data_sources/", None, 403)["detail"]


def test_a_key_gives_away_no_more_than_it_has(quick_api: Api) -> None:
    quick_api.refused("POST", "api_keys/", "scopes", 403, json={"label": "k", "scopes": [EVERY_SCOPE]})
    writer = holding(quick_api, make(quick_api, scopes=[WRITE_SCOPE], role="manager"))
    writer.refused("POST", "api_keys/", "scopes", 403, json={"label": "k", "scopes": BOTH})
    make(writer, scopes=[WRITE_SCOPE], role="manager")
    root = quick_api.with_key(EVERY_SCOPE)
    assert make(root, scopes=[EVERY_SCOPE])["scopes"] == [EVERY_SCOPE]


def test_a_key_makes_none_that_outlives_it(quick_api: Api) -> None:
    end = in_an_hour()
    passing = holding(quick_api, make(quick_api, scopes=BOTH, role="manager", expires_at=end))
    assert datetime.fromisoformat(make(passing)["expires_at"]) == datetime.fromisoformat(end)
    sooner = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    assert datetime.fromisoformat(make(passing, expires_at=sooner)["expires_at"]) == datetime.fromisoformat(sooner)
    passing.refused(
        "POST",
        "api_keys/",
        "expires_at",
        403,
        json={"label": "k", "scopes": BOTH, "expires_at": "2999-01-01T00:00:00Z"},
    )


def test_the_key_of_the_call_and_mightier_ones_are_not_revoked(quick_api: Api) -> None:
    root, made = quick_api.with_key(EVERY_SCOPE), make(quick_api, scopes=BOTH, role="manager")
    mighty = next(key["id"] for key in root("GET", "api_keys/")["results"] if key["scopes"] == [EVERY_SCOPE])
    manager = holding(quick_api, made)
    assert manager.refused("DELETE", f"api_keys/{made['id']}/", None, 409)["code"] == "in_use"
    manager.refused("DELETE", f"api_keys/{mighty}/", None, 403)
    root("GET", "external_data_sources/")
    manager("GET", "external_data_sources/")


def test_several_keys_are_revoked_at_once_or_none_of_them(quick_api: Api) -> None:
    first, second = make(quick_api)["id"], make(quick_api)["id"]
    foreign = make(quick_api.other_project())["id"]
    quick_api.refused("DELETE", f"api_keys/?id={first}&id={foreign}", None, 404)
    quick_api.refused("DELETE", "api_keys/", "id")
    quick_api.refused("DELETE", f"api_keys/?id={first}&id=x", "id.1")
    assert {first, second} <= set(ids(quick_api))
    quick_api("DELETE", f"api_keys/?id={first}&id={second}&id={first}", 204)
    assert not {first, second} & set(ids(quick_api))


def test_another_projects_keys_are_not_there(quick_api: Api) -> None:
    stranger, made = quick_api.other_project(), make(quick_api)
    path = f"api_keys/{made['id']}/"
    for method in ("GET", "DELETE"):
        stranger.refused(method, path, None, 404)
        quick_api.refused(method, "api_keys/00000000-0000-0000-0000-000000000000/", None, 404)
        quick_api.refused(method, "api_keys/x/", None, 404)
    for method, at in (("GET", "api_keys/"), ("POST", "api_keys/"), ("GET", path), ("DELETE", path)):
        Api(stranger.client, stranger.database, quick_api.project_id, stranger.key).refused(method, at, None, 404)
    assert made["id"] not in ids(stranger)
    assert made["id"] in ids(quick_api)
    visitor = Api(quick_api.client, quick_api.database, stranger.project_id, quick_api.with_key(EVERY_SCOPE).key)
    assert make(visitor, scopes=BOTH)["created_by"] == "a key"
    assert len(ids(visitor)) == len(ids(stranger)) == 2


def test_who_calls_costs_one_query(api: Api) -> None:
    statements: list[str] = []
    engine = api.client.app.state.backend.database._engine  # type: ignore[attr-defined]

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "api_key" in statement or "FROM project" in statement:
            statements.append(statement)

    other = api.other_project()
    root = api.with_key(EVERY_SCOPE)
    statements.clear()
    api("GET", "external_data_schemas/")
    assert len(statements) == 1
    Api(api.client, api.database, other.project_id, root.key)("GET", "external_data_schemas/")
    assert len(statements) == 2
    event.remove(engine, "before_cursor_execute", note)
