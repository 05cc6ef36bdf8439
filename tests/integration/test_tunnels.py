"""A source behind an SSH server: refused at first, then copied while that server is killed, then queried."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import SourceDatabase
from tests.integration.test_control import FULL, KEYED, reading
from tests.integration.test_run_logs import events, lines
from tests.kit.platform import Platform, named
from tests.kit.sshd import Sshd, run_sshd

ROWS = 60_000


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    with run_sshd() as server:
        yield server


def test_a_copy_through_a_tunnel_that_breaks(platform: Platform, database: SourceDatabase, sshd: Sshd) -> None:
    database.execute(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text, a int[])",
        f"INSERT INTO t SELECT n, 'v' || n, array_fill(n, ARRAY[300]) FROM generate_series(1, {ROWS}) n",
        "CREATE TABLE small (id bigint PRIMARY KEY, v numeric(12, 4))",
        "INSERT INTO small SELECT n, n / 7.0 FROM generate_series(1, 1000) n",
    )
    wanted = [{"name": "t", "should_sync": True, **FULL}, {"name": "small", "should_sync": True, **KEYED}]
    inputs = {**database.inputs, **sshd.inputs()}

    body = {"source_type": "Postgres", "prefix": "tunnelled_", "payload": {**inputs, "ssh_host_key": ""}}
    refused = platform.call("POST", "/external_data_sources/", body, status=400)
    fingerprint = sshd.host_keys["ssh-ed25519"].get_fingerprint()
    assert refused["attr"] == "payload.ssh_host_key"
    assert f"ssh-ed25519 {fingerprint}" in refused["detail"]

    source = platform.create_source({**inputs, "ssh_host_key": f"ssh-ed25519 {fingerprint}"}, wanted, "tunnelled_")
    shown = platform.call("GET", f"/external_data_sources/{source['id']}/")
    assert shown["job_inputs"]["ssh_host_key"] == f"ssh-ed25519 {fingerprint}"
    assert "PRIVATE KEY" not in str(shown)

    schema = named(source, "t")
    reading(platform, source, schema)
    sshd.kill()
    sshd.restart()
    assert_whole(platform, database, source)
    again = lines(platform, schema, platform.jobs(source, schema)[0])
    assert "reading" in events(again), "it broke in the middle, and was read again"
    database.execute("UPDATE small SET v = -v, id = id + 5000 WHERE id % 2 = 0", "DELETE FROM small WHERE id < 5000")
    small = named(source, "small")
    assert platform.sync(source, small)["rows_synced"] == 500
    assert "PRIVATE KEY" not in platform.logs()


def test_a_query_of_a_source_that_is_not_copied(platform: Platform, database: SourceDatabase, sshd: Sshd) -> None:
    database.execute("CREATE TABLE t (id int, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL)")
    body = {
        "source_type": "Postgres",
        "prefix": "behind_",
        "access_method": "direct",
        "payload": {**database.inputs, **sshd.inputs()},
    }
    platform.call("POST", "/external_data_sources/", body, status=201)
    found = platform.call("POST", "/query/", {"query": "SELECT id, v FROM behind_postgres_t WHERE id > 1 ORDER BY id"})
    assert found["results"] == [[2, "b"], [3, None]]


def test_stored_secrets_do_not_go_to_another_bastion(platform: Platform, database: SourceDatabase, sshd: Sshd) -> None:
    database.execute("CREATE TABLE t (id int)")
    source = platform.create_source({**database.inputs, **sshd.inputs()}, [])
    path = f"/external_data_sources/{source['id']}/"
    with run_sshd() as other:
        moved = {"ssh_port": other.port, "ssh_host_key": other.host_line("ssh-ed25519")}
        refused = platform.call("PATCH", path, {"job_inputs": moved}, status=400)
        assert "goes to another host now" in refused["detail"]
        given = {**other.inputs(), "password": database.inputs["password"]}
        assert platform.call("PATCH", path, {"job_inputs": given})["job_inputs"]["ssh_port"] == other.port


def assert_whole(platform: Platform, database: SourceDatabase, source: dict[str, Any]) -> None:
    for schema in source["schemas"]:
        job = platform.wait_for_jobs(source, schema)[0]
        assert job["status"] == "Completed", (schema["name"], job["latest_error"])
        database.assert_in_lake(platform, schema)
