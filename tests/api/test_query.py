"""The call that answers queries, and the direct sources that it reads live."""

import base64
import csv
import io
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from sqlmodel import col, select

from connectors.registry import connector
from metadata.models import LakeTable, Schema, Wish
from metadata.names import table_path
from tests.api.conftest import CUSTOMER, Api, Shop
from tests.query import hostile

ARROW = "application/vnd.apache.arrow.stream"
ROWS = pa.table(
    {
        "id": pa.array([1, 2, 2**62], pa.int64()),
        "total": pa.array([Decimal("1.10"), None, Decimal("99999999999999999999.99")], pa.decimal128(38, 2)),
        "at": pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * 3, pa.timestamp("us", "UTC")),
    }
)


@pytest.fixture
def copied(quick_api: Api, shop: Shop, lake: Path) -> Api:
    """A project whose ``shop_postgres_orders`` has been copied once."""
    copy_orders(quick_api, shop, lake, ROWS)
    return quick_api


def copy_orders(api: Api, shop: Shop, lake: Path, rows: pa.Table, prefix: str = "shop_") -> None:
    source = api("POST", "external_data_sources/", 201, json=shop.body(prefix=prefix))
    schema = next(schema for schema in source["schemas"] if schema["name"] == "orders")
    name = f"{prefix}postgres_orders"
    path = table_path(api.project_id, name, schema["id"])
    write_deltalake(f"file://{lake}/{path}", rows)
    with api.database.transaction() as session:
        session.add(LakeTable(project_id=api.project_id, schema_id=uuid.UUID(schema["id"]), name=name, path=path))


def ask(api: Api, sql: str, **more: Any) -> Any:
    return api("POST", "query/", json={"query": sql, **more})


def test_json(copied: Api) -> None:
    answer = ask(copied, 'select id, total, "at" as moment from Shop_Postgres_Orders where id > 1 order by id')
    assert answer["columns"] == [
        {"name": "id", "type": "BIGINT"},
        {"name": "total", "type": "DECIMAL(38,2)"},
        {"name": "moment", "type": "TIMESTAMP WITH TIME ZONE"},
    ]
    assert answer["results"] == [
        [2, None, "2024-01-01T00:00:00Z"],
        [2**62, "99999999999999999999.99", "2024-01-01T00:00:00Z"],
    ]
    assert (answer["row_count"], answer["truncated"]) == (2, False)
    assert answer["duration_ms"] >= 0


def test_csv_and_arrow(copied: Api) -> None:
    body = {"query": "select * from shop_postgres_orders order by id"}
    answer = copied.respond("POST", "query/", json=body, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(answer.text, newline="")))[1] == ["1", "1.10", "2024-01-01T00:00:00Z"]
    answer = copied.respond("POST", "query/", json=body | {"limit": 2}, headers={"Accept": ARROW})
    assert answer.headers["content-type"] == ARROW
    assert pa.ipc.open_stream(answer.content).read_all().equals(ROWS.slice(0, 2))
    assert (answer.headers["x-syncline-truncated"], answer.headers["x-syncline-row-count"]) == ("true", "2")


@pytest.mark.parametrize(
    ("accept", "type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/*, application/json;q=0.5", "text/csv"),
        ("application/json;q=0.2, application/vnd.apache.arrow.stream;q=0.9, */*;q=0.1", ARROW),
        ("text/html, */*;q=0.1", "application/json"),
    ],
)
def test_the_form_is_the_clients_choice(quick_api: Api, accept: str | None, type: str) -> None:
    headers = {"Accept": accept} if accept else {}
    answer = quick_api.respond("POST", "query/", json={"query": "select 1"}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(type)


def test_no_other_form(quick_api: Api) -> None:
    for accept in ("text/html", "application/json;q=0", "image/*"):
        quick_api.refused("POST", "query/", None, 406, json={"query": "select 1"}, headers={"Accept": accept})


def test_bodies_that_are_refused(quick_api: Api) -> None:
    for body, attr in (
        ({}, "query"),
        ({"query": 1}, "query"),
        ({"query": None}, "query"),
        ({"query": ""}, "query"),
        ({"query": "select '\0'"}, "query"),
        ({"query": "x" * 100_001}, "query"),
        ({"query": "select 1", "limit": 0}, "limit"),
        ({"query": "select 1", "limit": "5"}, "limit"),
        ({"query": "select 1", "limit": 100_001}, "limit"),
    ):
        quick_api.refused("POST", "query/", attr, json=body)


def test_who_may_ask(quick_api: Api) -> None:
    reader = quick_api.with_key("external_data_source:read")
    assert ask(reader, "select 1")["results"] == [[1]]
    writer = quick_api.with_key("external_data_source:write")
    assert writer.respond("POST", "query/", json={"query": "select 1"}).status_code == 403


def test_other_projects_tables_do_not_exist(copied: Api) -> None:
    other = copied.other_project()
    for sql in (
        "select * from shop_postgres_orders",
        f"select * from project_{copied.project_id}.shop_postgres_orders",
    ):
        error = other.refused("POST", "query/", "query", json={"query": sql})
        assert "99999999" not in str(error)
    near = copied.refused("POST", "query/", "query", json={"query": "select * from shop_postgres_order"})
    assert near["code"] == "unknown_table"
    assert near["detail"] == "There is no table shop_postgres_order. Similar names: shop_postgres_orders."
    far = other.refused("POST", "query/", "query", json={"query": "select * from shop_postgres_order"})
    assert far["detail"] == "There is no table shop_postgres_order."


@pytest.mark.parametrize(
    "sql",
    [*hostile.FILES[::9], *hostile.ADDRESSES[::6], *hostile.STATEMENTS[::12], *hostile.SECRETS[::9], "select 'a'::int"],
)
def test_what_is_refused(copied: Api, tmp_path: Path, sql: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("stolen\n")
    error = copied.refused("POST", "query/", "query", json={"query": sql.format(file=secret)})
    assert error["type"] == "validation_error"
    assert error["code"] in ("invalid_query", "unknown_table")
    assert "stolen" not in error["detail"].replace(".stolen", "")
    assert not Path(f"{secret}.stolen").exists()


def test_deleted_tables_are_gone(copied: Api) -> None:
    [source] = copied("GET", "external_data_sources/")["results"]
    schema = next(schema for schema in source["schemas"] if schema["table"])
    copied("DELETE", f"external_data_schemas/{schema['id']}/", 204)
    copied.refused("POST", "query/", "query", json={"query": "select * from shop_postgres_orders"})


def direct(api: Api, shop: Shop, prefix: str = "live_", **inputs: Any) -> Any:
    body = shop.body(prefix=prefix, access_method="direct")
    body["payload"] |= inputs
    return api("POST", "external_data_sources/", 201, json=body)


def test_a_direct_source_is_never_copied(api: Api, shop: Shop) -> None:
    source = direct(api, shop)
    assert (source["access_method"], source["engine"], source["status"]) == ("direct", "postgres", "Completed")
    assert {schema["name"] for schema in source["schemas"]} == {"customer", "orders", "keyless"}
    schema = source["schemas"][0]
    path = f"external_data_schemas/{schema['id']}/"
    assert (schema["should_sync"], schema["sync_type"], schema["table"]) == (False, None, None)
    api.refused("PATCH", path, "should_sync", json={"should_sync": True, "sync_type": "full_refresh"})
    api.refused("PATCH", path, "sync_type", json={"sync_type": "full_refresh"})
    many = {"schemas": [{"id": schema["id"], "sync_type": "full_refresh"}]}
    bulk = f"external_data_sources/{source['id']}/bulk_update_schemas/"
    api.refused("PATCH", bulk, "schemas.0.sync_type", json=many)
    for method, call in (("POST", "reload/"), ("POST", "resync/"), ("DELETE", "delete_data/")):
        assert api.refused(method, path + call, None)["code"] == "direct_source"
    assert api.refused("POST", f"external_data_sources/{source['id']}/reload/", None)["code"] == "direct_source"
    own = f"external_data_sources/{source['id']}/"
    api.refused("PATCH", own, "access_method", json={"access_method": "warehouse"})
    assert api("POST", f"external_data_sources/{source['id']}/refresh_schemas/")["total_tables_seen"] == 3
    with api.database.read() as session:
        ids = [found.id for found in session.exec(select(Schema).where(Schema.project_id == api.project_id))]
        assert not session.exec(select(Wish).where(col(Wish.schema_id).in_(ids))).all()
    assert connections(api) == [{"id": source["id"], "prefix": "live_", "engine": "postgres"}]
    api("DELETE", f"external_data_sources/{source['id']}/", 204)
    assert connections(api) == []
    api.refused("POST", "query/", "query", json={"query": "select * from live_postgres_customer"})


def connections(api: Api) -> Any:
    return api("GET", "external_data_sources/connections/")


def test_direct_sources_that_are_refused(quick_api: Api, shop: Shop) -> None:
    create = "external_data_sources/"
    quick_api.refused("POST", create, "prefix", json=shop.body(access_method="direct"))
    body = shop.body(CUSTOMER, prefix="live_", access_method="direct")
    quick_api.refused("POST", create, "payload.schemas.0.should_sync", json=body)
    assert quick_api("GET", create)["count"] == 0


def test_direct_tables_answer_as_the_source_does(quick_api: Api, own_shop: Shop, lake: Path) -> None:
    own_shop.execute(
        """
        CREATE TABLE "Odd Table" (id bigint PRIMARY KEY, "Größe" numeric, small numeric(6, 2), f double precision,
          moment timestamptz, day date, tags text[], doc jsonb, raw bytea, who uuid, "CASE" text, "case" text);
        INSERT INTO "Odd Table" SELECT n, n + 0.000000000000000001, n / 100.0,
          CASE n WHEN 3 THEN 'NaN' ELSE n / 3.0 END, '2024-01-01Z'::timestamptz + n * interval '1 hour',
          DATE '2024-01-01' + n, ARRAY['a', n::text],
          jsonb_build_object('n', n), decode(lpad(to_hex(n), 4, '0'), 'hex'),
          lpad(n::text, 32, '0')::uuid, 'U' || n, 'l' || n FROM generate_series(1, 500) n;
        INSERT INTO orders SELECT n, n % 5 + 1, n * 1.25, DATE '2024-01-01' + n FROM generate_series(1, 1000) n;
        """
    )
    direct(quick_api, own_shop)
    copy_orders(quick_api, own_shop, lake, pa.table({"id": [1, 2, 3], "mark": ["x", "y", "z"]}))
    with psycopg.connect(own_shop.server.dsn(own_shop.database)) as connection:
        for sql in (
            "select id, name from live_postgres_customer order by id",
            "select id, total from live_postgres_orders where id = 7",
            "select id from live_postgres_orders where placed_on >= '2024-03-01' and 900 > id order by id",
            "select customer_id, sum(total), count(*) from live_postgres_orders group by 1 order by 1",
            "select c.name, o.total from live_postgres_orders o join live_postgres_customer c on c.id = o.customer_id "
            "where o.id < 5 order by o.id",
            "select count(*) from live_postgres_orders a, live_postgres_orders b where a.id = b.id and a.id < 10",
            "select count(*) from live_postgres_orders",
            'select id, "Größe", small, raw, who from live_postgres_odd_table where id in (1, 500) order by id',
            "select id from live_postgres_odd_table where f > 100 order by id",
            "select id from live_postgres_odd_table where moment < '2024-01-02 00:00:00' order by id",
            "select id from live_postgres_odd_table where who = '00000000-0000-0000-0000-000000000042'",
        ):
            theirs = sql.replace("live_postgres_odd_table", '"Odd Table"').replace("live_postgres_", "")
            rows = [list(row) for row in connection.execute(theirs.encode())]
            assert_same(ask(quick_api, sql)["results"], rows)
    both = "select mark, total from live_postgres_orders join shop_postgres_orders using (id) order by id"
    assert ask(quick_api, both)["results"] == [["x", "1.25"], ["y", "2.50"], ["z", "3.75"]]


def assert_same(found: list[list[Any]], wanted: list[list[Any]]) -> None:
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        for value, expected in zip(ours, theirs, strict=True):
            if isinstance(expected, Decimal):
                assert Decimal(value) == expected
            elif isinstance(expected, bytes):
                assert value == base64.b64encode(expected).decode()
            else:
                assert value == (str(expected) if isinstance(expected, uuid.UUID) else expected)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from live_postgres_customer; drop table customer",
        "delete from live_postgres_customer",
        "select * from customer",
        "select * from public.customer",
        "select * from live_postgres_pg_authid",
        "select * from pg_authid",
        "select * from postgres_query('source', 'select 1')",
        "call postgres_execute('source', 'drop table customer')",
        "select pg_read_file('/etc/passwd')",
        "select lo_import('/etc/passwd') from live_postgres_customer",
        "select * from dblink('a', 'b')",
        "select pg_sleep(100) from live_postgres_customer",
        "select * from live_postgres_customer where name = pg_read_file('/etc/passwd')",
        "select set_config('a', 'b', false) from live_postgres_customer",
    ],
)
def test_a_superuser_source_is_out_of_reach(quick_api: Api, shop: Shop, sql: str) -> None:
    direct(quick_api, shop)
    error = quick_api.refused("POST", "query/", "query", json={"query": sql})
    assert error["code"] in ("invalid_query", "unknown_table")


def test_text_that_looks_like_sql_stays_text(quick_api: Api, own_shop: Shop) -> None:
    """A pushed condition is a constant, whatever it holds."""
    direct(quick_api, own_shop)
    for text in ("x'; drop table customer; --", "x' or 'a' = 'a", "\\'; --", "customer 1"):
        literal = text.replace("'", "''")
        found = ask(quick_api, f"select id from live_postgres_customer where name = '{literal}'")["results"]
        assert found == ([[1]] if text == "customer 1" else [])
    assert ask(quick_api, "select count(*) from live_postgres_customer")["results"] == [[5]]


def test_a_source_that_is_away(quick_api: Api, own_shop: Shop) -> None:
    direct(quick_api, own_shop)
    own_shop.execute("DROP TABLE customer")
    error = quick_api.refused("POST", "query/", "query", json={"query": "select * from live_postgres_customer"})
    assert error["code"] == "source_error"
    assert own_shop.inputs["password"] not in str(error)


@pytest.fixture
def without_direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a connector that cannot be queried live."""
    monkeypatch.delattr(type(connector("Postgres")), "engine")


@pytest.mark.usefixtures("without_direct")
def test_not_every_source_type_can_be_direct(quick_api: Api, shop: Shop) -> None:
    body = shop.body(prefix="live_", access_method="direct")
    quick_api.refused("POST", "external_data_sources/", "access_method", json=body)
