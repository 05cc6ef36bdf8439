"""Bad input of every kind to every call that takes some: 400 that names the field, and nothing changed."""

import json
from typing import Any

import pytest

from connectors.registry import connector
from metadata.keys import EVERY_SCOPE
from tests.api.conftest import Api
from tests.contract.conftest import make_document
from tests.contract.mutations import UNICODE, Mutation, Mutations, short
from tests.contract.world import Call, World, calls_of

DOCUMENT = make_document()
TAKING = [call for call in calls_of(DOCUMENT) if "requestBody" in call.operation]
LISTING = [
    call
    for call in calls_of(DOCUMENT)
    if {"limit"} <= {parameter["name"] for parameter in call.operation.get("parameters", ())}
]
ODD_BODIES = ["{", "[]", '"x"', "null", "1", "nonsense", "\xff", "{}}", '{"a":' * 5000, "[" * 200_000, '{"a": NaN']


def valid_body(world: World, call: Call) -> Any:
    """What the document shows, with this world's own ids."""
    body = json.loads(json.dumps(call.example))
    if isinstance(body, dict) and str(call).endswith("bulk_update_schemas"):
        body["schemas"][0]["id"] = world.schema["id"]
    return body


def ask(world: World, call: Call, **request: Any) -> Any:
    client = world.owner if EVERY_SCOPE not in call.scopes else world.instance
    return world.ask(call, client, world.url(call, world.owner.project_id), **request)


def refused(response: Any, mutation: Mutation) -> str | None:
    """What is wrong with the answer; None where it is a 400 that names the field."""
    if response.status_code != 400:
        return f"{short(mutation)} -> {response.status_code} {response.text[:200]}"
    error = response.json()
    attr = str(error["attr"])
    near = attr == mutation.attr or attr.startswith(f"{mutation.attr}.")
    if set(error) != {"type", "code", "detail", "attr"} or error["type"] != "validation_error" or not near:
        return f"{short(mutation)} -> {response.text[:200]}"
    return None


@pytest.mark.parametrize("call", TAKING, ids=str)
def test_each_field_spoilt_in_each_way_is_named(world: World, call: Call) -> None:
    schema = call.operation["requestBody"]["content"]["application/json"]["schema"]
    mutations = list(Mutations(DOCUMENT).of(schema, valid_body(world, call)))
    assert mutations
    with world.unchanged():
        wrong = [refused(ask(world, call, content=json.dumps(mutation.body)), mutation) for mutation in mutations]
    assert not [text for text in wrong if text]


@pytest.mark.parametrize("call", TAKING, ids=str)
def test_what_is_no_object_is_400(world: World, call: Call) -> None:
    with world.unchanged():
        for content in ODD_BODIES:
            for kind in ("application/json", "text/plain", "multipart/form-data"):
                response = ask(world, call, content=content.encode("latin-1"), headers={"Content-Type": kind})
                assert response.status_code == 400, (content[:20], kind, response.text)
                assert response.json()["type"] == "validation_error"


@pytest.mark.parametrize("call", TAKING, ids=str)
def test_odd_characters_never_break_it(world: World, call: Call) -> None:
    """Keys and values alike; as JSON escapes and, where they can be, as bytes."""
    for text in UNICODE:
        for body in ({text: text}, {"name": text}, {"prefix": text, "source_type": text, "query": text}):
            response = ask(world, call, content=json.dumps(body))
            assert response.status_code < 500, (text, response.text)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for content in (*ODD_BODIES, "%00=%00", "%ff=%ff", "&&==&", "name=%ED%A0%80", "[]=1"):
        assert ask(world, call, content=content.encode("latin-1"), headers=form).status_code < 500, content[:20]


def test_a_connection_spoilt_in_each_way_names_the_field(world: World) -> None:
    create = next(call for call in TAKING if str(call) == "external_data_sources_create")
    with world.unchanged():
        for field in connector("Postgres").form.fields:
            for value in ([], {"a": 1}, "a\0b", "x" * 20_000):
                body = world.shop.body(prefix="unseen_")
                # Without a bastion nothing else of a tunnel counts.
                tunnel = {"ssh_host": "bastion.invalid"} if field.name.startswith("ssh_") else {}
                body["payload"] |= tunnel | {field.name: value}
                response = ask(world, create, json=body)
                error = response.json()
                assert response.status_code == 400, (field.name, value, error)
                assert str(error["attr"]).startswith("payload"), (field.name, str(value)[:20], error)


def test_the_last_of_a_field_given_twice_holds(world: World, api: Api) -> None:
    source = api("POST", "external_data_sources/", 201, json=world.shop.body(prefix="twice_"))
    path = f"external_data_sources/{source['id']}/"
    assert api("PATCH", path, content='{"description": "a", "description": "b"}')["description"] == "b"


@pytest.mark.parametrize("call", LISTING, ids=str)
def test_a_bad_page_is_400(world: World, call: Call) -> None:
    names = {parameter["name"] for parameter in call.operation["parameters"]}
    bad = ["limit=0", "limit=-1", "limit=x", "limit=", "limit=100000", "limit=1.5", "limit=" + "9" * 30, "limit=%00"]
    bad += ["offset=-1", "offset=x", "offset=" + "9" * 30] if "offset" in names else []
    with world.unchanged():
        for query in bad:
            client = world.owner if EVERY_SCOPE not in call.scopes else world.instance
            url = f"{world.url(call, world.owner.project_id)}?{query}"
            response = world.ask(call, client, url)
            assert response.status_code == 400, (query, response.text)
            assert response.json()["attr"] == query.partition("=")[0]


@pytest.mark.parametrize("call", LISTING, ids=str)
def test_each_other_parameter_spoilt_is_400(world: World, call: Call) -> None:
    for parameter in call.operation["parameters"]:
        if parameter["in"] != "query" or parameter["name"] in ("limit", "offset"):
            continue
        client = world.owner if EVERY_SCOPE not in call.scopes else world.instance
        url = f"{world.url(call, world.owner.project_id)}?{parameter['name']}=a%00b"
        response = world.ask(call, client, url)
        assert response.status_code == 400, (parameter["name"], response.text)
        assert response.json()["attr"].partition(".")[0] == parameter["name"]
