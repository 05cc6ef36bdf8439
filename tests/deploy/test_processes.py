"""The commands and settings of compose.yaml, run as plain processes against real servers."""

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest
from psycopg import sql
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from local.ports import choose_ports
from local.postgres import PostgresServer
from metadata.vault import generate_key
from tests.deploy.compose_file import DEPLOY, ENV_EXAMPLE, load_compose, read_env_file
from tests.kit.compare import assert_equal
from tests.kit.platform import API_KEY, SYNCLINE, Platform, eventually, named
from tests.kit.servers import RunningStore, RunningTemporal

METADATA_PASSWORD = secrets.token_hex(24)


@pytest.fixture
def metadata_database(postgres18: PostgresServer) -> Iterator[PostgresServer]:
    """What the service ``metadata-db`` starts with: a role and an empty database of its own."""
    with postgres18.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE syncline LOGIN PASSWORD {}").format(METADATA_PASSWORD))
        connection.execute("CREATE DATABASE syncline OWNER syncline")
        yield postgres18
        connection.execute("DROP DATABASE syncline WITH (FORCE)")
        connection.execute("DROP ROLE syncline")


@pytest.fixture
def platform(
    tmp_path: Path, metadata_database: PostgresServer, temporal: RunningTemporal, object_store: RunningStore
) -> Iterator[Platform]:
    """Nothing runs yet. Only what lies outside the containers is changed: hosts, ports, the bucket, the folder."""
    variables = read_env_file(
        ENV_EXAMPLE.read_text(),
        {
            "METADATA_DB_PASSWORD": METADATA_PASSWORD,
            "TEMPORAL_DB_PASSWORD": secrets.token_hex(24),
            "SYNCLINE_ENCRYPTION_KEYS": generate_key(),
            "SYNCLINE_BOOTSTRAP_API_KEY": API_KEY,
            "SYNCLINE_S3_ACCESS_KEY_ID": object_store.access_key_id,
            "SYNCLINE_S3_SECRET_ACCESS_KEY": object_store.secret_access_key,
            "SYNCLINE_API_PORT": str(choose_ports(["api"])["api"]),
            "SYNCLINE_OUTBOUND_ALLOW": "127.0.0.1",
            "SYNCLINE_TASK_QUEUE": f"deploy-{secrets.token_hex(6)}",
        },
    )
    services = load_compose(variables)["services"]
    environment = dict(services["worker"]["environment"])
    assert services["api"]["environment"] == services["migrate"]["environment"] == environment
    replacements = {
        "metadata-db:5432": f"127.0.0.1:{metadata_database.port}",
        "temporal:7233": temporal.address,
        "http://object-store:8333": object_store.endpoint,
        "s3://syncline/lake": object_store.new_url(),
        "/var/lib/syncline": str(tmp_path / "home"),
        "0.0.0.0": "127.0.0.1",  # noqa: S104
    }
    for name, value in environment.items():
        for inside, outside in replacements.items():
            environment[name] = environment[name].replace(inside, outside) if inside in value else environment[name]
    platform = Platform(tmp_path, environment, int(environment["SYNCLINE_API_PORT"]))
    try:
        yield platform
    finally:
        platform.close()


def test_migrate_api_and_two_workers_sync_a_table(
    platform: Platform, postgres18: PostgresServer, object_store: RunningStore
) -> None:
    database = postgres18.create_database()
    postgres18.execute(
        "CREATE TABLE city (id int PRIMARY KEY, name text NOT NULL, changed_at timestamptz NOT NULL);"
        "INSERT INTO city SELECT n, 'city ' || n, now() FROM generate_series(1, 5000) n;",
        database,
    )
    for command in command_of("migrate"), command_of("migrate"):
        subprocess.run(command, env=platform_environment(platform), check=True, capture_output=True)
    platform.start("api", command_of("api")[1])
    metrics = f"127.0.0.1:{choose_ports(['metrics'])['metrics']}"
    platform.start("first", command_of("worker")[1])
    platform.start("second", command_of("worker")[1], WORKER_METRICS_ADDRESS=metrics)
    assert eventually(lambda: health(platform, "api") == 0, "a healthy API")
    assert eventually(lambda: len(pollers(platform)) == 2, "two workers")
    assert health(platform, "worker") == 0

    source = platform.create_source(
        {
            "host": "127.0.0.1",
            "port": postgres18.port,
            "database": database,
            "user": "postgres",
            "password": postgres18.password,
            "schema": "public",
        },
        [{"name": "city", "should_sync": True, "sync_type": "full_refresh"}],
    )
    city = named(source, "city")
    assert platform.wait_for_jobs(source, city)[0]["status"] == "Completed"
    url = platform.schema(city["id"])["table"]["url_pattern"]
    assert_equal(postgres18.dsn(database), "city", url, object_store)

    assert platform.stop("first") == 0
    with psycopg.connect(postgres18.dsn(database)) as connection:
        connection.execute("DELETE FROM city WHERE id % 2 = 0")
    assert platform.sync(source, city)["status"] == "Completed"
    assert_equal(postgres18.dsn(database), "city", url, object_store)
    # The workflow ends a moment after its job; which of the two workers ended the first run is chance.
    completed = re.compile(r'^temporal_workflow_completed_total\{.*workflow_type="SyncSchema".*\} [12]$', re.MULTILINE)
    assert eventually(lambda: completed.search(httpx2.get(f"http://{metrics}/metrics").text), "a completed workflow")
    ended = httpx2.get(f"http://127.0.0.1:{platform.api_port}/metrics").text
    assert re.search(r'^syncline_jobs_ended_last_hour\{status="Completed"\} 2\.0$', ended, re.MULTILINE)
    assert platform.stop("second") == 0
    # Once it has drained, uvicorn hands the signal on to itself.
    assert platform.stop("api") == -signal.SIGTERM


def test_the_worker_is_not_well_without_a_worker(platform: Platform) -> None:
    assert health(platform, "worker") == 1
    assert health(platform, "api") == 1


def command_of(service: str) -> list[str]:
    """What the container runs: the image's entry point with the service's command."""
    command = load_compose(read_env_file(ENV_EXAMPLE.read_text(), _ANY))["services"][service]["command"]
    assert len(command) == 1
    return [SYNCLINE, *command]


def platform_environment(platform: Platform) -> dict[str, str]:
    return {**os.environ, **platform.environment}


def health(platform: Platform, part: str) -> int:
    """The exit status of the container's health check."""
    environment = {**platform_environment(platform), "PYTHONPATH": str(DEPLOY.parent)}
    command = [sys.executable, str(DEPLOY / "health.py"), part]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


def pollers(platform: Platform) -> set[str]:
    async def identities() -> set[str]:
        client = await Client.connect(platform.environment["SYNCLINE_TEMPORAL_ADDRESS"])
        described = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=platform.environment["SYNCLINE_TEMPORAL_NAMESPACE"],
                task_queue=TaskQueue(name=platform.environment["SYNCLINE_TASK_QUEUE"]),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            )
        )
        return {poller.identity for poller in described.pollers}

    return asyncio.run(identities())


_ANY = dict.fromkeys(
    ("METADATA_DB_PASSWORD", "TEMPORAL_DB_PASSWORD", "SYNCLINE_ENCRYPTION_KEYS", "SYNCLINE_BOOTSTRAP_API_KEY"), "any"
)
