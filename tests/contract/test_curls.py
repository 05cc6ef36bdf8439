"""Every curl of ``docs/api.md`` works as it stands there; only the user's own values are put in."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.api.conftest import Shop
from tests.contract.server import Server
from tests.kit.platform import API_KEY

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
CURL = re.compile(r"^curl .*?(?=^(?:curl |#|$)|\Z)", re.MULTILINE | re.DOTALL)


def curls() -> list[str]:
    """In the order of the page."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [found.strip() for block in blocks for found in CURL.findall(block)]


def with_values(command: str, shop: Shop) -> str:
    shown = {"db.example.com": shop.inputs["host"], "5432": str(shop.inputs["port"]), "reader": shop.inputs["user"]}
    shown |= {'"shop"': json.dumps(shop.database), "…": shop.inputs["password"]}
    for example, own in shown.items():
        command = (
            command.replace(f'"{example}"', json.dumps(own))
            if example in ("reader", "…")
            else command.replace(example, own)
        )
    return command


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page calls the API by curl")
def test_every_curl_of_the_page(server: Server, shop: Shop) -> None:
    commands = curls()
    assert len(commands) >= 20
    values = {"SYNCLINE": server.address, "KEY": API_KEY}
    for command in commands:
        script = with_values(command, shop).replace("curl ", "curl -sS --fail-with-body ", 1)
        ran = subprocess.run(["/bin/sh", "-ec", script], env={**os.environ, **values}, capture_output=True, text=True)
        assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
        if "SOURCE" not in values:
            source = json.loads(ran.stdout)
            values |= {"SOURCE": source["id"], "SCHEMA": source["schemas"][0]["id"]}
