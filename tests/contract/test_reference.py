"""A client of the reference API works by changing its host: the same paths, forms, statuses and fields."""

import json
import shutil
import subprocess
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api.conftest import Api, Shop
from tests.contract.reference_calls import CALLS, CDC, PAGE, SCHEMA, SOURCE, UNSUPPORTED, Call
from tests.contract.server import Server
from tests.kit.platform import eventually


class Curl:
    """A shell's user with a key."""

    def __init__(self, server: Server) -> None:
        self.project = server.new_project()
        _, self._key = server.new_key(self.project, "external_data_source:read", "external_data_source:write")
        self._address = server.address

    def __call__(self, method: str, path: str, form: str | None) -> tuple[int, Any]:
        command = ["curl", "-sS", "-X", method, "-w", "\n%{http_code}", "-H", f"Authorization: Bearer {self._key}"]
        command += ["-d", form] if form is not None else []
        address = f"{self._address}/api/projects/{self.project}/{path}"
        ran = subprocess.run([*command, address], capture_output=True, text=True, check=True)
        body, _, status = ran.stdout.rpartition("\n")
        return int(status), json.loads(body) if body else None


def has_fields(body: dict[str, Any], fields: dict[str, tuple[type, ...]]) -> None:
    for name, types in fields.items():
        assert name in body, name
        assert isinstance(body[name], types), (name, body[name])


@pytest.mark.skipif(shutil.which("curl") is None, reason="the reference's examples are curl lines")
def test_every_example_of_the_reference(server: Server, shop: Shop) -> None:
    curl = Curl(server)
    customer = {"name": "customer", "should_sync": True, "sync_type": "full_refresh"}
    payload = json.dumps({**shop.inputs, "schemas": [customer]})
    form = urlencode({"source_type": "Postgres", "payload": payload, "prefix": "ref_"})
    status, source = curl("POST", "external_data_sources/", form)
    assert status == 201, source
    has_fields(source, SOURCE)
    assert not {"client_secret", "account_id"} & set(source)
    ids = {"source": source["id"], "schema": source["schemas"][0]["id"]}
    for call in [*UNSUPPORTED, *CDC, *CALLS]:
        _follow(curl, call, ids)


def _follow(curl: Curl, call: Call, ids: dict[str, str]) -> None:
    method, path, form, status, fields = call
    for name, id in ids.items():
        path, form = path.replace(f"{{{name}}}", id), form and form.replace(f"{{{name}}}", id)
    if path.endswith("/cancel/"):
        eventually(lambda: curl(method, path, form)[0] == status, "a run to cancel")
        return
    got, body = curl(method, path, form)
    assert got == status, (call, got, body)
    if status >= 400:
        assert body["code"] == "unsupported"
    elif fields is PAGE:
        has_fields(body, PAGE)
        assert body["count"] >= 1
        has_fields(body["results"][0], SCHEMA if "bulk" in path else SOURCE)
    elif fields is not None:
        has_fields(body, fields)


def test_a_collection_of_schemas_takes_no_post(api: Api) -> None:
    assert api.respond("POST", "external_data_schemas/").status_code == 405
