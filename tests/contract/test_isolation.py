"""Every call of the document, with no key, with a key that may only read, and with another project's key and ids."""

from typing import Any

import pytest

from metadata.keys import EVERY_SCOPE, READ_SCOPE
from tests.contract.conftest import make_document
from tests.contract.world import Call, World, bodies, calls_of

SECURED = [call for call in calls_of(make_document()) if call.operation.get("security")]
IN_PROJECT = [call for call in SECURED if "{project_id}" in call.path]
ON_OBJECTS = [call for call in SECURED if call.objects]
OPEN = {"health_live", "health_ready", "health_metrics"}

named = pytest.mark.parametrize
ENVELOPE = {"type", "code", "detail", "attr"}


def check(world: World, call: Call, response: Any, status: int, type: str) -> None:
    assert response.status_code == status, f"{call.method} {response.url}: {response.text}"
    error = response.json()
    assert set(error) == ENVELOPE
    assert (error["type"], error["attr"]) == (type, None)
    for secret in (world.source["id"], world.schema["id"], world.schema["name"], world.shop.database):
        assert secret not in response.text


def test_only_the_calls_of_operators_need_no_key() -> None:
    known = {str(call) for call in calls_of(make_document()) if not call.operation.get("security")}
    assert known <= OPEN


@named("call", SECURED, ids=str)
def test_without_a_key_it_is_401_whatever_the_body_is(world: World, call: Call) -> None:
    url = world.url(call, world.owner.project_id)
    with world.unchanged():
        for body in bodies(call):
            response = world.ask(call, None, url, **body)
            check(world, call, response, 401, "authentication_error")
            assert response.headers["WWW-Authenticate"] == "Bearer"


@named("call", [call for call in SECURED if READ_SCOPE not in call.scopes], ids=str)
def test_with_a_key_that_may_only_read_it_is_403_whatever_the_body_is(world: World, call: Call) -> None:
    url = world.url(call, world.owner.project_id)
    with world.unchanged():
        for body in bodies(call):
            check(world, call, world.ask(call, world.reader, url, **body), 403, "permission_error")


@named("call", IN_PROJECT, ids=str)
def test_another_projects_key_finds_nothing(world: World, call: Call) -> None:
    url = world.url(call, world.owner.project_id)
    with world.unchanged():
        for body in bodies(call):
            check(world, call, world.ask(call, world.stranger, url, **body), 404, "not_found")


@named("call", [call for call in ON_OBJECTS if EVERY_SCOPE not in call.scopes], ids=str)
def test_another_projects_objects_are_not_there(world: World, call: Call) -> None:
    url = world.url(call, world.stranger.project_id)
    with world.unchanged():
        for body in bodies(call):
            check(world, call, world.ask(call, world.stranger, url, **body), 404, "not_found")


@named("call", IN_PROJECT, ids=str)
def test_a_project_that_is_none_is_404(world: World, call: Call) -> None:
    with world.unchanged():
        for project in ("0", "999999", "x", "-1", "%00", "1e3", "٣", "9" * 40):
            check(world, call, world.ask(call, world.owner, world.url(call, project)), 404, "not_found")


@named("call", ON_OBJECTS, ids=str)
def test_an_id_that_nothing_has_is_404(world: World, call: Call) -> None:
    with world.unchanged():
        for name in call.objects:
            for id in ("00000000-0000-0000-0000-000000000000", "x", "1", "%00", "%F0%9F%9A%80", "a" * 3000):
                url = world.url(call, world.owner.project_id, **{name: id})
                response = world.ask(call, world.owner, url, json=call.example)
                check(world, call, response, 404, "not_found")
