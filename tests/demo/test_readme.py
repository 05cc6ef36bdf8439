"""The README's first source, followed word for word: only the user's own values are put in."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.ports import choose_ports
from local.postgres import PostgresServer
from tests.kit.platform import SYNCLINE, eventually
from tests.kit.servers import server_folder

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture
def shop(postgres18: PostgresServer) -> Iterator[PostgresServer]:
    """The database that the README's call names."""
    postgres18.create_database("shop")
    postgres18.execute(
        """CREATE ROLE reader LOGIN PASSWORD 'secret';
           CREATE TABLE customers (id int PRIMARY KEY, name text);
           INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 10) n;
           CREATE TABLE orders (id int PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now());
           INSERT INTO orders SELECT n FROM generate_series(1, 2000) n;
           GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader""",
        "shop",
    )
    yield postgres18
    postgres18.drop_database("shop")
    postgres18.execute("DROP ROLE reader")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README calls the API by curl")
def test_a_first_source_as_the_readme_says(shop: PostgresServer) -> None:
    port = choose_ports(["api"])["api"]
    mine = {"8000": str(port), "db.example.com": shop.host, '"port": 5432': f'"port": {shop.port}'}
    start, create, follow = (with_values(block, mine) for block in code_blocks("sh")[1:4])
    with server_folder() as folder, up(folder, start) as store_address:
        address = create.partition("\n")[0]
        source = json.loads(shell(create, folder))
        list_sources, list_jobs = follow.splitlines()
        eventually(
            lambda: (
                {"Completed"} == {job["status"] for job in json.loads(shell(f"{address}\n{list_jobs}", folder, source))}
            ),
            "the first runs",
        )
        found = json.loads(shell(f"{address}\n{list_sources}", folder, source))["results"][0]["schemas"]
        urls = {schema["name"]: schema["table"]["url_pattern"] for schema in found}
        script = with_values(
            code_blocks("python")[0], {"<url_pattern>": urls["orders"], "<S3 endpoint>": store_address}
        )
        ran = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
        assert "shape: (2_000, 3)" in ran.stdout


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def with_values(text: str, values: dict[str, str]) -> str:
    for shown, mine in values.items():
        text = text.replace(shown, mine)
    return text


def shell(script: str, folder: Path, source: dict[str, str] | None = None) -> str:
    script = script.replace("<id>", source["id"]) if source else script
    return subprocess.run(["/bin/sh", "-ec", script], cwd=folder, capture_output=True, text=True, check=True).stdout


@contextmanager
def up(folder: Path, command: str) -> Iterator[str]:
    """The platform until the block ends; the address that it gives for its object store."""
    assert command.endswith(" make up\n")
    given = dict(setting.split("=") for setting in command.removesuffix(" make up\n").split())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SYNCLINE_")}
    process = subprocess.Popen(
        [SYNCLINE, "up"], cwd=folder, env={**environment, **given}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        said = []
        while not said or said[-1] not in ("ready", ""):
            said.append(process.stdout.readline().strip())
        assert said[-1] == "ready", said
        yield next(line for line in said if line.startswith("S3 endpoint")).split()[2]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
