"""``docs/api.md`` says what the API does."""

import json
import re
from pathlib import Path

from tests.api.conftest import Api, Shop
from tests.api.test_access import CALLS

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


def test_every_call_is_on_the_page() -> None:
    for method, path in CALLS:
        collection, _, rest = path.partition("/")
        section = PAGE.partition(f"`/api/projects/:project_id/{collection}/`")[2].partition("\n## ")[0]
        assert f"`{method} /{rest.replace('{id}', ':id')}`" in section, (method, path)


def test_the_first_example_makes_a_source(quick_api: Api, shop: Shop) -> None:
    found = re.search(r"-d '(\{.*?\})'\n", PAGE, re.DOTALL)
    assert found is not None
    body = json.loads(found[1])
    body["payload"] |= shop.inputs
    source = quick_api("POST", "external_data_sources/", 201, json=body)
    assert [s["name"] for s in source["schemas"] if s["should_sync"]] == ["customer", "orders"]
