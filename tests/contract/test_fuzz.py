"""A contract fuzzer over the running server: no 5xx, and nothing that the document does not say.

``SYNCLINE_FUZZ_SECONDS`` is how long each of its runs takes, ``SYNCLINE_FUZZ_SEED`` makes one come again.
"""

import httpx2
import pytest

from metadata.keys import EVERY_SCOPE, FIRST_PROJECT_ID, READ_SCOPE, WRITE_SCOPE
from tests.contract.server import Server


@pytest.mark.parametrize("phases", ["examples,coverage,fuzzing", "stateful"])
def test_with_a_valid_key(server: Server, phases: str) -> None:
    project = server.new_project()
    id, key = server.new_key(project, READ_SCOPE, WRITE_SCOPE)
    with httpx2.Client(base_url=server.address, headers={"Authorization": f"Bearer {key}"}) as client:
        sources = f"/api/projects/{project}/external_data_sources/"
        created = client.post(sources, json=server.shop.body(prefix="known_"), timeout=60)
        assert created.status_code == 201, created.text
        objects = {
            "external_data_sources": created.json()["id"],
            "external_data_schemas": created.json()["schemas"][0]["id"],
        }
        server.fuzz("--phases", phases, key=key, kept=(id,), project=project, objects=objects)
        # The fuzzer may have deleted all sources by now.
        assert client.get(sources).status_code == 200, "the fuzzer's key is good to the end"


def test_with_a_key_that_may_only_read(server: Server) -> None:
    project = server.new_project()
    _, key = server.new_key(project, READ_SCOPE)
    server.fuzz(key=key, project=project, share=0.5)


def test_without_a_key(server: Server) -> None:
    server.fuzz(project=server.new_project(), share=0.5)


def test_with_an_instance_key(server: Server) -> None:
    id, key = server.new_key(FIRST_PROJECT_ID, EVERY_SCOPE)
    server.fuzz(
        "--include-tag",
        "projects",
        "--include-tag",
        "api_keys",
        key=key,
        kept=(id, str(FIRST_PROJECT_ID)),
        project=None,
        share=0.5,
    )
