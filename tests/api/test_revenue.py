"""The views of revenue over a Stripe source: a business whose every figure is worked out here by hand."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deltalake import write_deltalake

from connectors.base import ReadRequest
from connectors.outbound import OPEN
from connectors.registry import connector
from connectors.surroundings import Surroundings
from metadata.models import LakeTable
from metadata.names import table_name, table_path
from tests.api.billing import Account, at, line
from tests.api.business import ADD_ONS, PRO, business
from tests.api.conftest import Api
from tests.connectors.reading import read_all
from tests.providers.server import running
from tests.providers.stripe import StripePlayer

VIEWS = (
    "revenue_items",
    "revenue_by_month",
    "revenue_refunds",
    "revenue_disputes",
    "revenue_credit_notes",
    "mrr",
    "mrr_movements",
)
MRR = {
    "steady": {"2024-01": 20, "2024-02": 20, "2024-03": 20},
    "up": {"2024-01": 20, "2024-02": 50, "2024-03": 50},
    "down": {"2024-01": 30, "2024-02": 30, "2024-03": 10, "2024-04": 10},
    "credited": {"2024-01": 20},
    "longer": {"2024-01": 20, **{f"2024-{month:02}": "16.666667" for month in range(2, 13)}, "2025-01": "16.666667"},
    "back": {"2024-01": 12, "2024-04": 50},
    "trial": {"2024-02": 50},
    "paused": {"2024-01": 20, "2024-03": 20},
    "coupon": {"2024-01": 25, "2024-02": 50},
    "half": {"2024-02": 10, "2024-03": 10},
    "year": {f"2024-{month:02}": "16.666667" for month in range(1, 13)},
    "two": {"2024-01": "50.333333", "2024-02": 20},
    "quarter": {"2024-01": 30, "2024-02": 30, "2024-03": 30},
    "inline": {"2024-01": 15, "2024-02": 15},
    "many": {"2024-01": 12},
    "late": {"2024-03": 20},
    "yen": {"2024-02": 1500, "2024-03": 1500},
    "dinar": {"2024-02": "9.990000"},
}
CURRENCIES = {"yen": "jpy", "dinar": "kwd"}
MOVEMENTS = {
    ("up", "2024-01"): (0, 20, 0, 0, 0, 0, 20),
    ("up", "2024-02"): (20, 0, 30, 0, 0, 0, 50),
    ("up", "2024-03"): (50, 0, 0, 0, 0, 0, 50),
    ("up", "2024-04"): (50, 0, 0, 0, -50, 0, 0),
    ("down", "2024-03"): (30, 0, 0, -20, 0, 0, 10),
    ("down", "2024-05"): (10, 0, 0, 0, -10, 0, 0),
    ("back", "2024-01"): (0, 12, 0, 0, 0, 0, 12),
    ("back", "2024-02"): (12, 0, 0, 0, -12, 0, 0),
    ("back", "2024-03"): None,
    ("back", "2024-04"): (0, 0, 0, 0, 0, 50, 50),
    ("back", "2024-05"): (50, 0, 0, 0, -50, 0, 0),
    ("trial", "2024-01"): None,
    ("trial", "2024-02"): (0, 50, 0, 0, 0, 0, 50),
    ("trial", "2024-03"): (50, 0, 0, 0, -50, 0, 0),
    ("coupon", "2024-02"): (25, 0, 25, 0, 0, 0, 50),
    ("two", "2024-02"): ("50.333333", 0, 0, "-30.333333", 0, 0, 20),
    ("longer", "2024-02"): (20, 0, 0, "-3.333333", 0, 0, "16.666667"),
    ("year", "2025-01"): ("16.666667", 0, 0, 0, "-16.666667", 0, 0),
}
FIGURES = ("opening", "new", "expansion", "contraction", "churn", "reactivation", "closing")
TAKEN_BACK = ("revenue_refunds", "revenue_disputes", "revenue_credit_notes")
TABLES = (
    "invoices",
    "subscriptions",
    "prices",
    "inactive_prices",
    "charges",
    "refunds",
    "disputes",
    "credit_notes",
    "invoice_line_items",
    "invoice_payments",
)
"""All that the views read."""
JANUARY = ("2024-01-01", "2024-02-01")

Row = dict[str, Any]
Views = dict[str, list[Row]]


def load(api: Api, lake: Path, account: Account, tables: Sequence[str], prefix: str = "shop_") -> Any:
    """The source, with what the connector reads of these tables in the lake."""
    with running() as provider:
        player = StripePlayer(provider)
        player.objects.update(account.objects)
        body = {"source_type": "Stripe", "prefix": prefix, "payload": player.inputs()}
        source = api("POST", "external_data_sources/", 201, json=body)
        stripe = connector("Stripe")
        config = stripe.parse_config(player.inputs(), Surroundings(OPEN))
        for schema in source["schemas"]:
            if schema["name"] not in tables:
                continue
            name = table_name(prefix, "Stripe", schema["name"])
            path = table_path(api.project_id, name, schema["id"])
            write_deltalake(
                f"file://{lake}/{path}", read_all(stripe, config, ReadRequest(schema["name"], "read")).table
            )
            with api.database.transaction() as session:
                schema_id = uuid.UUID(schema["id"])
                session.add(LakeTable(project_id=api.project_id, schema_id=schema_id, name=name, path=path))
    return source


def ask(api: Api, sql: str) -> list[list[Any]]:
    found: list[list[Any]] = api("POST", "query/", json={"query": sql})["results"]
    return found


def refused(api: Api, sql: str) -> str:
    return str(api.refused("POST", "query/", "query", json={"query": sql})["detail"])


@pytest.fixture(scope="module")
def shop(sqlite_instance: Api, lake: Path) -> Api:
    """A project with the business, all of it loaded. It is only read."""
    api = sqlite_instance.other_project()
    load(api, lake, business(), TABLES)
    return api


@pytest.fixture(scope="module")
def views(shop: Api) -> Views:
    """All rows of every view, each asked for once."""
    found = {}
    taken_back = " union all ".join(f"select * from shop_stripe_{name}" for name in TAKEN_BACK)
    for name in (*(name for name in VIEWS if name not in TAKEN_BACK), "taken back"):
        rows = f"({taken_back})" if name == "taken back" else f"shop_stripe_{name}"
        answer = shop("POST", "query/", json={"query": f"select * from {rows} order by all"})
        names = [column["name"] for column in answer["columns"]]
        money = {column["type"] for column in answer["columns"] if "DECIMAL" in column["type"]}
        assert money == {"DECIMAL(38,6)" if name.startswith("mrr") else "DECIMAL(38,3)"}
        found[name] = [dict(zip(names, row, strict=True)) for row in answer["results"]]
    return found


def of(rows: Iterable[Row], customer: str, *names: str) -> list[tuple[Any, ...]]:
    """These columns of a customer's rows."""
    return [tuple(row[name] for name in names) for row in rows if row["customer_id"] == f"cus_{customer}"]


def millionths(value: Any) -> str:
    return f"{value}.000000" if isinstance(value, int) else str(value)


def test_monthly_recurring_revenue(views: Views) -> None:
    assert [(row["customer_id"], row["month"], row["currency"], row["mrr"]) for row in views["mrr"]] == sorted(
        (
            (f"cus_{customer}", f"{month}-01", CURRENCIES.get(customer, "usd"), millionths(value))
            for customer, months in MRR.items()
            for month, value in months.items()
        ),
        key=lambda row: (row[1], row[0]),
    )
    assert of(views["mrr"], "two", "subscriptions") == [(2,), (1,)]


def test_what_moves_it(views: Views) -> None:
    found = {
        (row["customer_id"].removeprefix("cus_"), row["month"][:7]): tuple(row[name] for name in FIGURES)
        for row in views["mrr_movements"]
    }
    for key, figures in MOVEMENTS.items():
        assert found.get(key) == (None if figures is None else tuple(map(millionths, figures))), key
    assert {key: figures[-1] for key, figures in found.items() if figures[-1] != millionths(0)} == {
        (customer, month): millionths(value) for customer, months in MRR.items() for month, value in months.items()
    }
    assert len(found) == len(views["mrr_movements"])


def test_openings_and_movements_make_closings(views: Views) -> None:
    rows = sorted(views["mrr_movements"], key=lambda row: row["month"])
    closings: dict[Any, Decimal] = defaultdict(Decimal)
    """The last one of each customer."""
    for row in rows:
        opening, *moved, closing = (Decimal(row[name]) for name in FIGURES)
        assert opening == closings[row["customer_id"], row["currency"]], row
        assert opening + sum(moved) == closing, row
        assert sum(each != 0 for each in moved) <= 1, row
        closings[row["customer_id"], row["currency"]] = closing
    # All that was ever won is lost again but for what is in force now.
    assert not any(closings.values())


def test_items_of_invoices(views: Views) -> None:
    items, money = views["revenue_items"], ("gross", "discount", "amount", "tax", "total")
    (year,) = (row for row in items if row["customer_id"] == "cus_year")
    assert year == {
        "item_id": year["item_id"],
        "kind": "invoice_line",
        "invoice_id": year["invoice_id"],
        "charge_id": None,
        "customer_id": "cus_year",
        "subscription_id": "sub_year",
        "product_id": "prod_year",
        "price_id": "year",
        "description": "1 × year",
        "quantity": 1,
        "is_recurring": True,
        "is_proration": False,
        "currency": "usd",
        "gross": "200.000",
        "discount": "0.000",
        "amount": "200.000",
        "tax": "40.000",
        "total": "240.000",
        "period_start": "2024-01-15T00:00:00Z",
        "period_end": "2025-01-15T00:00:00Z",
        "recognized_at": "2024-01-15T01:00:00Z",
    }
    assert of(items, "coupon", *money) == [
        ("50.000", "25.000", "25.000", "0.000", "25.000"),
        ("50.000", "0.000", "50.000", "0.000", "50.000"),
    ]
    assert of(items, "yen", "currency", "amount") == [("jpy", "1500.000")] * 2
    assert of(items, "dinar", "currency", "amount") == [("kwd", "9.990")]
    assert of(items, "up", "amount", "is_recurring", "is_proration") == [
        ("20.000", True, False),
        ("20.000", True, False),
        ("-13.100", True, True),
        ("32.760", True, True),
        ("50.000", True, False),
    ]
    # The price of the goods has 1.90 of tax in it; shipping is no line.
    assert of(items, "goods", "kind", "is_recurring", *money) == [
        ("invoice_line", False, "10.000", "0.000", "10.000", "1.900", "11.900"),
        ("invoice_rest", False, "5.000", "0.000", "5.000", "0.000", "5.000"),
    ]
    assert of(items, "many", "price_id") == [(f"addon_{number}",) for number in range(12)]
    assert of(items, "late") == of(items, "bad") == of(items, "unpaid") == []


def test_items_add_up_to_each_invoice(views: Views) -> None:
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for row in views["revenue_items"]:
        if row["kind"] != "charge":
            totals[row["invoice_id"]] += Decimal(row["total"])
            assert Decimal(row["gross"]) - Decimal(row["discount"]) == Decimal(row["amount"])
            assert Decimal(row["amount"]) + Decimal(row["tax"]) == Decimal(row["total"])
    units = {"usd": 100, "jpy": 1, "kwd": 1000}
    paid = [invoice for invoice in business().objects["invoices"] if invoice["status"] == "paid"]
    assert totals == {each["id"]: Decimal(each["total"]) / units[each["currency"]] for each in paid}


def test_charges_without_an_invoice(views: Views) -> None:
    charges = [row for row in views["revenue_items"] if row["kind"] == "charge"]
    assert of(charges, "shop", "item_id", "charge_id", "currency", "amount", "tax", "total", "recognized_at") == [
        ("ch_half_captured", "ch_half_captured", "usd", "4.000", None, "4.000", "2024-02-14T00:00:00Z"),
        ("ch_shop", "ch_shop", "usd", "12.500", None, "12.500", "2024-02-12T00:00:00Z"),
        ("ch_shop_yen", "ch_shop_yen", "jpy", "800.000", None, "800.000", "2024-02-13T00:00:00Z"),
    ]
    assert len(charges) == 3


def test_what_was_taken_back(views: Views) -> None:
    names = ("item_id", "invoice_id", "charge_id", "customer_id", "subscription_id", "amount", "tax", "total")
    (year,) = {row["invoice_id"] for row in views["revenue_items"] if row["customer_id"] == "cus_year"}

    of_shop, of_year = (None, "ch_shop", "cus_shop", None), (year, "ch_year", "cus_year", "sub_year")
    found = [(row["kind"], row["recognized_at"][:10], *(row[name] for name in names)) for row in views["taken back"]]
    assert found == [
        ("credit_note", "2024-02-05", "cn_1", "in_002", None, "cus_steady", None, "-5.000", "0.000", "-5.000"),
        ("dispute", "2024-03-01", "dp_won:txn_1", *of_shop, "-12.500", None, "-12.500"),
        ("dispute_reversal", "2024-03-20", "dp_won:txn_2", *of_shop, "12.500", None, "12.500"),
        ("dispute", "2024-04-02", "dp_year:txn_3", *of_year, "-25.000", "-5.000", "-30.000"),
        ("refund", "2024-02-20", "re_shop", *of_shop, "-2.500", None, "-2.500"),
        ("refund", "2024-03-01", "re_year", *of_year, "-50.000", "-10.000", "-60.000"),
    ]
    assert list(views["taken back"][0]) == list(views["revenue_items"][0])


def test_revenue_in_the_months_of_its_service(views: Views) -> None:
    rows = views["revenue_by_month"]
    # 200.00 over 366 days, from January 15: by the days in each month.
    assert of(rows, "year", "month", "amount") == [
        ("2024-01-01", "9.290"),
        ("2024-02-01", "15.850"),
        ("2024-03-01", "16.940"),
        ("2024-04-01", "16.390"),
        ("2024-05-01", "16.940"),
        ("2024-06-01", "16.390"),
        ("2024-07-01", "16.940"),
        ("2024-08-01", "16.940"),
        ("2024-09-01", "16.400"),
        ("2024-10-01", "16.940"),
        ("2024-11-01", "16.390"),
        ("2024-12-01", "16.940"),
        ("2025-01-01", "7.650"),
    ]
    # 20.00 over 31 days, of which 22 are in January.
    assert of(rows, "up", "month", "amount")[:2] == [("2024-01-01", "14.190"), ("2024-02-01", "5.810")]
    assert of(rows, "yen", "month", "amount") == [("2024-02-01", "1500.000"), ("2024-03-01", "1500.000")]
    assert sorted(of(rows, "shop", "month", "amount")) == [
        ("2024-02-01", "12.500"),
        ("2024-02-01", "4.000"),
        ("2024-02-01", "800.000"),
    ]
    spread: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        spread[row["item_id"]] += Decimal(row["amount"])
    assert spread == {row["item_id"]: Decimal(row["amount"]) for row in views["revenue_items"]}


def test_a_view_is_a_table_to_a_query(shop: Api) -> None:
    joined = """
        with invoices as (select 'mine' as id) select p.currency, sum(i.amount), any_value(invoices.id)
        from Shop_Stripe_Revenue_Items i join shop_stripe_prices p on p.id = i.price_id, invoices
        where i.customer_id in ('cus_yen', 'cus_steady') group by 1 order by 1
    """
    assert ask(shop, joined) == [["jpy", "3000.000", "mine"], ["usd", "60.000", "mine"]]
    assert "may not call" in refused(shop, "select money(1, 'usd') from shop_stripe_mrr")
    assert "There is no table" in refused(shop, "select * from shop_stripe_mrr, invoiced")


def test_invoices_whose_other_lines_are_not_there(quick_api: Api, lake: Path) -> None:
    account = Account()
    sub = account.subscribe("sub_many", "many", *ADD_ONS)
    account.invoice("many", "2024-01-01", [line(100, each["id"], *JANUARY, subscription=sub) for each in ADD_ONS])
    load(quick_api, lake, account, ("invoices", "subscriptions", "charges", "invoice_payments"))
    found = ask(quick_api, "select price_id, kind, amount from shop_stripe_revenue_items order by item_id")
    assert found[:-1] == [[f"addon_{number}", "invoice_line", "1.000"] for number in range(10)]
    assert found[-1] == [None, "invoice_rest", "2.000"]
    assert "enable the table invoice_line_items" in refused(quick_api, "select * from shop_stripe_mrr_movements")


def test_charges_are_left_out_where_nobody_wants_them(quick_api: Api, lake: Path) -> None:
    account = Account()
    account.charge("shop", "shop", "2024-02-12", 1250)
    account.invoice("shop", "2024-02-12", [line(700, None, *JANUARY)])
    source = load(quick_api, lake, account, ("invoices", "charges"))
    sql = "select kind, amount from shop_stripe_revenue_items"
    assert refused(quick_api, sql) == (
        "The view shop_stripe_revenue_items needs tables of its source that are not loaded: invoice_payments."
    )
    path = f"external_data_sources/{source['id']}/revenue_analytics_config/"
    quick_api("PATCH", path, json={"include_invoiceless_charges": False})
    assert ask(quick_api, sql) == [["invoice_line", "7.000"]]


def test_views_are_there_where_they_are_wanted_and_can_be(quick_api: Api, lake: Path) -> None:
    source = load(quick_api, lake, Account(), ("credit_notes", "invoices"))
    sql = "select * from shop_stripe_revenue_credit_notes"
    assert ask(quick_api.with_key("external_data_source:read"), sql) == []
    assert refused(quick_api, "select * from shop_stripe_mrr") == (
        "The view shop_stripe_mrr needs tables of its source that are not loaded: subscriptions."
    )
    assert refused(quick_api, sql[:-1]) == (
        "There is no table shop_stripe_revenue_credit_note. "
        "Similar names: shop_stripe_revenue_credit_notes, shop_stripe_credit_notes, shop_stripe_invoices."
    )
    assert "There is no table" in refused(quick_api.other_project(), sql)
    path = f"external_data_sources/{source['id']}/revenue_analytics_config/"
    quick_api("PATCH", path, json={"enabled": False})
    assert "There is no table" in refused(quick_api, sql)


def test_columns_that_no_object_had_are_null(quick_api: Api, lake: Path) -> None:
    account, day = Account(), at("2024-01-01")
    account.add("invoices", {"id": "in_1", "created": day, "status": "paid", "currency": "eur", "total": 500})
    for table in TABLES[1:]:
        account.add(table, {"id": f"{table}_1", "created": day, "active": True, "status": "active", "invoice": "in_2"})
    load(quick_api, lake, account, TABLES)
    counts = ", ".join(f"(select count(each) from shop_stripe_{name} each)" for name in VIEWS)
    assert ask(quick_api, f"select {counts}") == [[1, 1, 0, 0, 0, 0, 0]]


@pytest.mark.long
def test_tables_that_a_view_cannot_count_on(quick_api: Api, lake: Path) -> None:
    source = load(quick_api, lake, Account(), ("credit_notes", "invoices"))
    schemas = {schema["name"]: f"external_data_schemas/{schema['id']}/" for schema in source["schemas"]}
    cursor = {"incremental_field": "created", "incremental_field_type": "timestamp"}
    quick_api("PATCH", schemas["credit_notes"], json={"sync_type": "append", **cursor})
    sql = "select * from shop_stripe_revenue_credit_notes"
    assert refused(quick_api, sql) == (
        "The view shop_stripe_revenue_credit_notes counts each object once: copy the table credit_notes by "
        "full_refresh or incremental, not by append."
    )
    quick_api("PATCH", schemas["credit_notes"], json={"sync_type": "full_refresh", "enabled_columns": ["created"]})
    assert refused(quick_api, sql) == (
        "The view shop_stripe_revenue_credit_notes needs columns of the table credit_notes that are not enabled: "
        "invoice, customer, currency, status, reason, total, total_excluding_tax, refunds, effective_at."
    )


def test_the_month_that_is_not_over(quick_api: Api, lake: Path) -> None:
    """What is in force now counts, also by an invoice that is about to be sent; a period that has not begun is not."""
    account, today = Account(), datetime.now(UTC)
    before, after = ((today + timedelta(days=days)).isoformat(" ", "seconds")[:-6] for days in (-1, 29))
    for number, status in enumerate(("paid", "open", "draft")):
        account.bill(status, account.subscribe(f"sub_{number}", status, PRO), "pro", 5000, before, after, status=status)
        account.objects["invoices"][-1]["auto_advance"] = status != "paid"
    later = (today + timedelta(days=59)).isoformat(" ", "seconds")[:-6]
    account.bill("later", account.subscribe("sub_later", "later", PRO), "pro", 5000, after, later)
    load(quick_api, lake, account, ("invoices", "subscriptions"))
    month = today.strftime("%Y-%m-01")
    sql = f"select customer_id, mrr from shop_stripe_mrr where month >= date '{month}' order by 1"
    assert ask(quick_api, sql) == [[f"cus_{status}", "50.000000"] for status in ("draft", "open", "paid")]


@pytest.mark.long
def test_two_accounts_in_one_query(quick_api: Api, lake: Path) -> None:
    for prefix, amount in (("eu_", 700), ("us_", 900)):
        account = Account()
        account.invoice("shop", "2024-02-12", [line(amount, None, *JANUARY)])
        load(quick_api, lake, account, TABLES, prefix)
    sql = "select e.amount, u.amount from eu_stripe_revenue_items e, us_stripe_revenue_items u"
    assert ask(quick_api, sql) == [["7.000", "9.000"]]
