"""No secret in logs, workflow histories, answers or error texts."""

import asyncio
import json
from typing import Any

from temporalio.client import Client

from tests.integration.conftest import SourceDatabase
from tests.kit.platform import API_KEY, Platform, named
from tests.kit.servers import RunningTemporal

PASSWORD = "pa55-w0rd-that-must-not-show"


async def histories(temporal: RunningTemporal, schema_ids: list[str]) -> str:
    """Every event of every workflow of these schemas, and their schedules."""
    client = await Client.connect(temporal.address, namespace=temporal.namespace)
    texts: list[str] = []
    async for execution in client.list_workflows():
        if any(execution.id.startswith(schema_id) for schema_id in schema_ids):
            handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
            texts.append((await handle.fetch_history()).to_json())
    for schema_id in schema_ids:
        described = await client.get_schedule_handle(schema_id).describe()
        texts.append(str(described.raw_description))
    assert len(texts) > len(schema_ids), "no history was looked at"
    return "\n".join(texts)


def test_no_secret_shows_anywhere(own_platform: Platform, temporal: RunningTemporal, database: SourceDatabase) -> None:
    platform = own_platform
    role = f"reader_{database.name}"
    database.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'",
        "CREATE TABLE t (id int PRIMARY KEY, v text)",
        "INSERT INTO t VALUES (1, 'a')",
        "CREATE TABLE lost (id int PRIMARY KEY)",
        f"GRANT SELECT ON t, lost TO {role}",
    )
    inputs = {**database.inputs, "user": role, "password": PASSWORD}
    full = {"should_sync": True, "sync_type": "full_refresh"}
    source = platform.create_source(inputs, [{"name": "t", **full}, {"name": "lost", **full}])
    for name in ("t", "lost"):
        assert platform.wait_for_jobs(source, named(source, name))[0]["status"] == "Completed"
    database.execute("DROP TABLE lost")
    failed = platform.sync(source, named(source, "lost"))
    assert failed["status"] == "Failed"
    database.execute(f"ALTER ROLE {role} PASSWORD 'another'")
    assert platform.sync(source, named(source, "t"))["status"] == "Failed"
    assert f'password authentication failed for user \\"{role}\\"' in platform.logs(), "what the driver said"
    answers: list[Any] = [source, failed]
    refused = platform.client.post(
        "/external_data_sources/",
        json={"source_type": "Postgres", "payload": {**inputs, "password": PASSWORD + "-wrong"}},
    )
    assert refused.status_code == 400
    answers += [refused.text, platform.call("GET", "/external_data_sources/"), platform.jobs(source)]
    seen = asyncio.run(histories(temporal, [schema["id"] for schema in source["schemas"]]))
    store_secret = platform.environment["SYNCLINE_S3_SECRET_ACCESS_KEY"]
    encryption_key = platform.environment["SYNCLINE_ENCRYPTION_KEYS"]
    for place, text in (("answers", json.dumps(answers)), ("histories", seen), ("logs", platform.logs())):
        assert text, place
        for secret in (PASSWORD, API_KEY, store_secret, encryption_key):
            assert secret not in text, f"a secret shows in the {place}"
