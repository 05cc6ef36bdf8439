"""The OpenAPI document is valid, and says everything about every call."""

import re
from typing import Any

import jsonschema
import pytest

from tests.api.conftest import Api
from tests.contract.conftest import make_document
from tests.contract.world import Call, calls_of

DOCUMENT = make_document()
CALLS = calls_of(DOCUMENT)
EVERY_CALL = pytest.mark.parametrize("call", CALLS, ids=str)


def at(reference: str) -> dict[str, Any]:
    found: Any = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


def whole(response: dict[str, Any]) -> dict[str, Any]:
    return at(response["$ref"]) if "$ref" in response else response


def fits(example: Any, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(example)


def test_it_is_what_the_api_serves(api: Api) -> None:
    assert api.client.get("/api/schema/").json() == DOCUMENT
    assert api.client.get("/api/schema").json() == DOCUMENT


def test_it_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert DOCUMENT["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    assert DOCUMENT["servers"][0]["url"] == "/"
    for reference in re.findall(r"'\$ref': '([^']+)'", repr(DOCUMENT)):
        at(reference)


def test_operation_ids_are_unique() -> None:
    ids = [str(call) for call in CALLS]
    assert sorted(set(ids)) == sorted(ids)


@EVERY_CALL
def test_a_call_says_what_it_is(call: Call) -> None:
    operation = call.operation
    assert operation["summary"]
    assert operation["description"].strip().split("\n\n")[0].endswith((".", "`"))
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]}
    for parameter in operation.get("parameters", ()):
        assert parameter["description"], parameter["name"]
        assert parameter["schema"]
    assert re.findall(r"\{(\w+)\}", call.path) == [
        parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"
    ]


@EVERY_CALL
def test_a_call_says_what_it_takes_and_answers_with_an_example(call: Call) -> None:
    bodies = [("request", call.operation["requestBody"])] if "requestBody" in call.operation else []
    bodies += [(status, whole(response)) for status, response in call.operation["responses"].items()]
    for status, body in bodies:
        assert body["description"], status
        for kind, media in body.get("content", {}).items():
            assert media["schema"], (status, kind)
            if kind in ("application/json", "application/x-www-form-urlencoded"):
                fits(media["example"], media["schema"])
    if call.method in ("POST", "PUT", "PATCH") and "requestBody" in call.operation:
        assert {"application/json", "application/x-www-form-urlencoded"} <= set(
            call.operation["requestBody"]["content"]
        )


@EVERY_CALL
def test_a_call_says_how_it_fails(call: Call) -> None:
    responses = call.operation["responses"]
    statuses = set(responses)
    assert len({status for status in statuses if status < "300"}) == 1, "one way to succeed"
    assert not statuses & {"422", "default"}
    if call.scopes:
        assert {"401", "403", "429", "503"} <= statuses
        assert ("404" in statuses) == ("{" in call.path)
        assert ("413" in statuses) == (call.method != "GET")
    if "requestBody" in call.operation:
        assert "400" in statuses
    for status in statuses:
        if status >= "400":
            media = whole(responses[status])["content"]["application/json"]
            assert media["schema"] == {"$ref": "#/components/schemas/ErrorBody"}, status


def test_what_is_made_is_linked_to_every_call_on_it() -> None:
    create = next(call for call in CALLS if str(call) == "external_data_sources_create")
    links = create.operation["responses"]["201"]["links"]
    expected = {
        str(call)
        for call in CALLS
        if re.match(r"/api/projects/\{project_id\}/external_data_(sources|schemas)/\{id\}/", call.path)
    }
    assert set(links) == expected
    for link in links.values():
        target = next(call for call in CALLS if str(call) == link["operationId"])
        assert set(link["parameters"]) == set(re.findall(r"\{(\w+)\}", target.path))


def test_the_page_needs_no_internet(api: Api) -> None:
    page = api.client.get("/docs")
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) >= 3
    for address in addresses:
        assert address.startswith("/docs/assets/")
        assert api.client.get(address).status_code == 200
    assert "https://" not in re.sub(r"<!--.*?-->", "", page.text)
