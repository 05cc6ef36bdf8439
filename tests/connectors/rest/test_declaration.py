"""Mistakes in a declaration: each is named by its place, with what to write."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from connectors.errors import ConfigurationError
from connectors.outbound import OPEN
from connectors.rest.declaration import parse_declaration
from connectors.surroundings import Surroundings
from tests.connectors.rest.library import REST

GOOD: dict[str, Any] = {
    "base_url": "https://api.example.com/{account}",
    "auth": {"type": "bearer", "token": "{api_key}"},
    "limits": {"requests_per_second": 5},
    "defaults": {"records": "data", "paging": {"type": "cursor", "param": "after", "token": "meta.next"}},
    "resources": [
        {
            "name": "orders",
            "path": "orders",
            "primary_key": ["id"],
            "columns": {"changed": "timestamp"},
            "incremental": {"field": "changed", "param": "since"},
        },
        {"name": "lines", "path": "orders/{order}/lines", "parent": {"resource": "orders", "include": {"order": "id"}}},
    ],
}
INPUTS = ("account", "api_key")
Change = Callable[[dict[str, Any]], Any]


def first(**changes: Any) -> Change:
    return lambda given: given["resources"][0].update(changes)


def second(**changes: Any) -> Change:
    return lambda given: given["resources"][1].update(changes)


MISTAKES: list[tuple[Change, str]] = [
    (lambda given: given.pop("base_url"), "base_url: is missing"),
    (lambda given: given.update(base_url=3), "base_url: must be text"),
    (
        lambda given: given.update(base_url="https://{acount}"),
        "base_url: {acount} is no input; there are: account, api_key",
    ),
    (lambda given: given.update(resources=[]), "resources: must have at least one entry"),
    (lambda given: given.update(resources={}), "resources: must be a list"),
    (lambda given: given.update(defaults=3), "defaults: must be an object"),
    (lambda given: given.update(ressources=[]), "ressources: is not known here; is resources meant?"),
    (lambda given: given.update(check="gone"), "check: there is no resource gone"),
    (lambda given: given["limits"].update(requests_per_second=0), "limits.requests_per_second: must be more than 0"),
    (lambda given: given["limits"].update(requests_per_second="9"), "limits.requests_per_second: must be a number"),
    (
        lambda given: given.update(auth={"type": "magic"}),
        "auth: the type must be one of api_key, bearer, basic, oauth2",
    ),
    (lambda given: given.update(auth={"token": "x"}), "auth: has no type"),
    (lambda given: given["auth"].pop("token"), "auth.token: is missing"),
    (lambda given: given["auth"].update(token="{tok}"), "auth.token: {tok} is no input"),
    (lambda given: given.update(auth={"type": "api_key", "name": "k", "key": "x", "in": "cookie"}), "auth.in: must be"),
    (lambda given: given["resources"].append(given["resources"][0]), "resources: two are called orders"),
    (lambda given: given["resources"].append(3), "resources.2: must be an object"),
    (first(name="a b"), "resources.0.name: has a character that cannot be there"),
    (first(name=""), "resources.0.name: must not be empty"),
    (first(path=None), "resources.0.path: must be text"),
    (first(path="{order}"), "resources.0.path: {order} is no input"),
    (first(method="PUT"), "resources.0.method: must be GET or POST"),
    (first(recods="x"), "resources.0.recods: is not known here; is records meant?"),
    (first(records="a["), "resources.0.records: must be a JMESPath expression"),
    (first(records="a[?b]"), "resources.0.records: must be a path to the objects"),
    (first(primary_key="id"), "resources.0.primary_key: must be a list"),
    (first(params={"a": [1]}), "resources.0.params.a: must be text"),
    (first(params={"a b": 1}), "resources.0.params.a b"),
    (first(headers={"X-A": "{b}"}), "resources.0.headers.X-A: {b} is no input"),
    (first(columns={"changed": "money"}), "resources.0.columns.changed: must be one of string, boolean"),
    (first(columns={}), "resources.0.incremental.field: declare the type of changed in columns"),
    (first(columns={"changed": "string"}), "resources.0.columns.changed: a cursor is one of date, timestamp"),
    (first(incremental={"field": "changed", "format": "epoch"}), "resources.0.incremental.format: must be"),
    (first(incremental={"field": "changed", "template": "{v}"}), "resources.0.incremental.template: {v} is no input"),
    (first(paging={"type": "pages"}), "resources.0.paging: the type must be one of single, page_number, offset"),
    (first(paging="cursor"), "resources.0.paging: must be an object"),
    (
        first(paging={"type": "cursor", "param": "a"}),
        "resources.0.paging: must have one of token, last_record and header",
    ),
    (first(paging={"type": "offset", "size": 0}), "resources.0.paging.size: must be at least 1"),
    (first(paging={"type": "offset", "size": 1.5}), "resources.0.paging.size: must be a whole number"),
    (first(paging={"type": "page_number"}), "resources.0.paging.size: is missing"),
    (first(paging={"type": "next_url", "url": "a["}), "resources.0.paging.url: must be a JMESPath expression"),
    (
        second(parent={"resource": "gone", "include": {"order": "id"}}),
        "resources.1.parent.resource: there is no resource",
    ),
    (second(parent={"resource": "orders", "include": {}}), "resources.1.parent.include: must have at least one entry"),
    (
        second(parent={"resource": "lines", "include": {"order": "id"}}),
        "resources.1.parent.resource: lines has a parent",
    ),
]


def test_the_declaration_that_they_are_mistakes_in_is_right() -> None:
    found = parse_declaration(GOOD, INPUTS, attr="declaration")
    assert [each.name for each in found.resources] == ["orders", "lines"]
    assert {each.paging.type for each in found.resources} == {"cursor"}


@pytest.mark.parametrize(("change", "said"), MISTAKES, ids=[said[:60] for _, said in MISTAKES])
def test_a_mistake_is_named_by_its_place(change: Change, said: str) -> None:
    given = copy.deepcopy(GOOD)
    change(given)
    with pytest.raises(ConfigurationError) as caught:
        parse_declaration(given, INPUTS, attr="declaration")
    assert said in caught.value.message
    assert caught.value.message.startswith("The declaration is wrong at ")
    assert caught.value.attr == "declaration"


@pytest.mark.parametrize(
    ("declaration", "said"),
    [
        (None, "The field declaration is missing."),
        ("{", "The declaration is no valid JSON at line 1, column 2."),
        ("[]", "The declaration must be an object."),
        ({"base_url": "https://x", "resources": []}, "the address is a field of its own"),
    ],
)
def test_what_is_no_declaration(declaration: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        REST.parse_config({"base_url": "https://example.com", "declaration": declaration}, Surroundings(OPEN))
    assert (said in caught.value.message, caught.value.attr) == (True, "declaration")
