"""A look at the rows of an API before there is a source of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import Api
from tests.providers.server import Provider, Reply, running

PATH = "external_data_sources/preview_resource/"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as found:
        found.routes["/books"] = lambda asked: Reply(
            {"data": [{"id": n, "price": n / 4, "at": "2026-01-31T10:00:00Z", "tags": [n]} for n in range(150)]}
        )
        yield found


def question(provider: Provider, **changes: Any) -> dict[str, Any]:
    resource = {"name": "books", "path": "books", "records": "data", "columns": {"id": "long"}}
    declaration = {"resources": [resource, {"name": "gone", "path": "gone"}]}
    given = {"source_type": "RestApi", "resource": "books", "base_url": provider.url, "declaration": declaration}
    return {**given, **changes}


def test_the_first_rows_with_the_types_that_they_have(quick_api: Api, provider: Provider) -> None:
    found = quick_api("POST", PATH, json=question(provider))
    assert found["resource"] == "books"
    assert found["columns"] == [
        {"name": "id", "type": "long"},
        {"name": "price", "type": "decimal(38,18)"},
        {"name": "at", "type": "timestamp"},
        {"name": "tags", "type": "string"},
    ]
    assert len(found["rows"]) == 100
    assert [found["rows"][1][0], found["rows"][1][3]] == [1, "[1]"]
    assert float(found["rows"][1][1]) == 0.25
    assert found["rows"][1][2].startswith("2026-01-31T10:00:00")
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("changes", "attr", "said"),
    [
        ({"resource": "other"}, "resource", "has no resource other"),
        ({"resource": "gone"}, None, "has nothing at the path of gone"),
        ({"resource": None}, "resource", ""),
        ({"source_type": "Postgres"}, "source_type", "cannot be previewed"),
        ({"source_type": "Nothing"}, "source_type", "Nothing"),
        ({"declaration": {"resources": [{}]}}, "declaration", "resources.0.name: is missing"),
        ({"base_url": ""}, "base_url", "missing"),
    ],
)
def test_what_cannot_be_looked_at(
    quick_api: Api, provider: Provider, changes: dict[str, Any], attr: str | None, said: str
) -> None:
    error = quick_api("POST", PATH, 400, json=question(provider, **changes))
    assert error["attr"] == attr
    assert said in error["detail"]
