"""Queries over what a real run has copied, and over a direct source, asked of real processes."""

import socket
import subprocess
from typing import Any

import httpx2
import psycopg
import pytest

from tests.integration.conftest import SourceDatabase
from tests.kit.platform import API_KEY, SYNCLINE, Platform, eventually

ROWS = 20_000


@pytest.fixture
def orders(platform: Platform, database: SourceDatabase) -> str:
    """The name of a copied table in the lake on S3."""
    database.execute(
        "CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(12, 2), name text, at timestamptz, f float8)",
        f"INSERT INTO orders SELECT n, n * 1.11, 'é' || n, '2024-01-01Z'::timestamptz + n * interval '1 ms', "
        f"CASE WHEN n % 1000 = 0 THEN 'NaN' ELSE n / 7.0 END FROM generate_series(1, {ROWS}) n",
    )
    source = platform.create_source(
        database.inputs, [{"name": "orders", "should_sync": True, "sync_type": "full_refresh"}]
    )
    schema = next(schema for schema in source["schemas"] if schema["name"] == "orders")
    return str(eventually(lambda: platform.schema(schema["id"])["table"], "the first load")["name"])


def ask(platform: Platform, sql: str, limit: int = 100_000) -> Any:
    return platform.call("POST", "/query/", {"query": sql, "limit": limit})["results"]


def test_the_copy_answers_as_the_source_does(platform: Platform, database: SourceDatabase, orders: str) -> None:
    with psycopg.connect(database.dsn) as connection:
        for sql in (
            'select id, total::text, name, to_char_at from (select *, (extract(epoch from "at") * 1000)::bigint '
            "as to_char_at from orders) o order by id",
            "select count(*), sum(total)::text, min(name), max(id) from orders where id > 100 and f > 5",
            "select id from orders where f > 2000 order by id",
        ):
            theirs = [list(row) for row in connection.execute(sql.encode())]
            assert ask(platform, sql.replace("from orders", f"from {orders}")) == theirs
    assert ask(platform, f"select count(*) from {orders}") == [[ROWS]]


def test_the_command_line(platform: Platform, orders: str) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        url = str(platform.client.base_url).split("/api/")[0]
        command = [SYNCLINE, "query", *arguments, "--api-url", url, "--api-key", API_KEY]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    sql = f"select id, total from {orders} order by id limit 2"
    assert run(sql).stdout == "id  total\n1   1.11\n2   2.22\n"
    assert run(sql, "--format", "csv").stdout.splitlines() == ["id,total", "1,1.11", "2,2.22"]
    assert '"row_count": 2' in run(sql, "--format", "json").stdout
    failed = run("select * from nothing")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "There is no table nothing." in failed.stderr


def test_a_client_that_goes_away_ends_its_query_at_the_source(platform: Platform, database: SourceDatabase) -> None:
    database.execute(
        "CREATE VIEW slow AS SELECT n AS id FROM generate_series(1, 2000000000) n WHERE sqrt(n) < 0 OR n > 1999999999"
    )
    body = {
        "source_type": "Postgres",
        "prefix": "away_",
        "access_method": "direct",
        "payload": database.inputs,
    }
    source = platform.call("POST", "/external_data_sources/", body, status=201)
    url = httpx2.URL(str(platform.client.base_url))
    content = b'{"query": "select count(*) from away_postgres_slow"}'
    request = (
        f"POST /api/projects/1/query/ HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {API_KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port or 80)) as client:
        client.sendall(request.encode() + content)
        eventually(lambda: sessions(database), "the query at the source", 30)
    eventually(lambda: not sessions(database), "its end at the source", 30)
    platform.call("DELETE", f"/external_data_sources/{source['id']}/", status=204)


def sessions(database: SourceDatabase) -> list[Any]:
    with psycopg.connect(database.dsn) as connection:
        return connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'syncline-query-%%' AND datname = %s "
            "AND state = 'active'",
            [database.name],
        ).fetchall()
