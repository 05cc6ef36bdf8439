"""The embedded servers: started, used, killed and started again."""

from contextlib import suppress
from typing import Any

import boto3
import botocore.exceptions
import psycopg
import pytest

from local.object_store import PORT_NAMES, Credentials, ObjectStore
from local.ports import choose_ports
from local.postgres import PostgresServer
from tests.kit.platform import eventually
from tests.kit.servers import RunningStore, run_object_store, run_postgres, server_folder


def s3_client(store: RunningStore, secret: str | None = None) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        aws_access_key_id=store.access_key_id,
        aws_secret_access_key=secret or store.secret_access_key,
        region_name=store.region,
    )


def test_each_created_database_is_empty_and_apart(postgres: PostgresServer) -> None:
    first, second = postgres.create_database(), postgres.create_database()
    postgres.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)", first)
    with postgres.connect(second) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_postgres_asks_for_the_password(postgres18: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres18.dsn().replace(postgres18.password, "wrong"))


def test_postgres_keeps_committed_rows_over_a_kill() -> None:
    with run_postgres(18) as server:
        server.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS a")
        port = server.port
        server.kill()
        server.restart()
        with server.connect() as connection:
            assert connection.execute("SELECT count(*), sum(a) FROM t").fetchone() == (1000, 500500)
        assert server.port == port


def test_a_template_is_copied_with_its_rows(postgres18: PostgresServer) -> None:
    template = postgres18.create_database()
    postgres18.execute("CREATE TABLE t AS SELECT 7 AS a", template)
    with postgres18.connect(postgres18.create_database(template=template)) as connection:
        assert connection.execute("SELECT a FROM t").fetchone() == (7,)


def test_the_store_refuses_a_conditional_put_on_an_existing_object(object_store: RunningStore) -> None:
    client, key = s3_client(object_store), "conditional"
    client.put_object(Bucket=object_store.bucket, Key=key, Body=b"first", IfNoneMatch="*")
    with pytest.raises(botocore.exceptions.ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=object_store.bucket, Key=key, Body=b"second", IfNoneMatch="*")
    assert client.get_object(Bucket=object_store.bucket, Key=key)["Body"].read() == b"first"


def test_the_store_asks_for_the_secret(object_store: RunningStore) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="SignatureDoesNotMatch"):
        s3_client(object_store, secret="wrong").list_objects_v2(Bucket=object_store.bucket)


def test_the_store_keeps_objects_over_a_kill() -> None:
    with run_object_store() as store:
        body = b"x" * 1_000_000
        s3_client(store).put_object(Bucket=store.bucket, Key="kept", Body=body)
        store.kill()
        store.restart()
        client = s3_client(store)

        def kept() -> bytes | None:
            # It answers before all of its parts have found one another again.
            with suppress(client.exceptions.ClientError):
                return bytes(client.get_object(Bucket=store.bucket, Key="kept")["Body"].read())
            return None

        assert eventually(kept, "the store to be whole again") == body


def test_the_store_starts_in_a_folder_deeper_than_a_socket_path_may_be() -> None:
    with server_folder() as folder:
        deep = folder / ("deep " * 30)
        store = ObjectStore(deep, choose_ports(PORT_NAMES), Credentials("KEY", "secret"))
        process = store.process()
        process.start()
        try:
            process.wait_ready()
        finally:
            process.kill()
            store.remove_sockets()
