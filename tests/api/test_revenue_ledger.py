"""What items and what takes them back come to together: nothing is taken off that was never counted."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.api.billing import Account, Object, at, line, price
from tests.api.conftest import Api
from tests.api.test_revenue import TABLES, TAKEN_BACK, ask, load

LEDGER = " union all ".join(f"select * from shop_stripe_{name}" for name in ("revenue_items", *TAKEN_BACK))
SQL = f"""
    select customer_id, strftime(recognized_at, '%m-%d'), kind, amount, tax from ({LEDGER})
    order by recognized_at, kind
"""


def goods(account: Account, customer: str, status: str = "paid", tax: int = 0) -> str:
    """An invoice of 100.00 without tax, of January 10, paid at once if at all."""
    return account.invoice(
        customer, "2024-01-10", [line(10_000, None, "2024-01-10", "2024-01-10", tax=tax)], status=status
    )


def credit(account: Account, customer: str, invoice: str, day: str, *refunds: Object) -> None:
    account.add(
        "credit_notes",
        {
            "id": f"cn_{invoice}",
            "created": at(day),
            "effective_at": None,
            "invoice": invoice,
            "customer": f"cus_{customer}",
            "currency": "usd",
            "status": "issued",
            "reason": "duplicate",
            "total": 2000,
            "total_excluding_tax": 2000,
            "refunds": list(refunds),
        },
    )


def pay(account: Account, customer: str, invoice: str, amount: int) -> None:
    """A part of it, of which 10.00 were given back and 5.00 disputed."""
    account.charge(customer, customer, "2024-01-12", amount)
    paid = {"type": "payment_intent", "payment_intent": f"pi_{customer}"}
    account.add("invoice_payments", {"id": invoice, "created": at("2024-01-12"), "invoice": invoice, "payment": paid})
    account.objects["invoice_payments"][-1]["status"] = "paid"
    account.take_back("refunds", f"re_{customer}", customer, "2024-01-20", 1200, status="succeeded")
    taken = {"id": "txn", "amount": -600, "created": at("2024-01-21")}
    account.take_back(
        "disputes", f"dp_{customer}", customer, "2024-01-21", 600, status="lost", balance_transactions=[taken]
    )


def account_of_parts() -> Account:
    account = Account()
    for status in ("open", "uncollectible", "void"):
        credit(account, status, goods(account, status, status), "2024-01-11")
    credit(account, "early", goods(account, "early"), "2024-01-05")
    credit(account, "late", goods(account, "late"), "2024-01-30")
    record = {"type": "payment_record_refund", "amount_refunded": 1500, "refund": None}
    credit(account, "back", goods(account, "back"), "2024-01-30", record, {"amount_refunded": 500, "refund": "re_gone"})
    pay(account, "part", goods(account, "part", "open", tax=2000), 3000)
    pay(account, "whole", goods(account, "whole", "paid", tax=2000), 12_000)
    account.charge("shop", "shop", "2024-01-12", 3000)
    account.take_back("refunds", "re_shop", "shop", "2024-01-20", 1200, status="succeeded")
    return account


def test_nothing_is_taken_off_that_was_not_counted(quick_api: Api, lake: Path) -> None:
    source = load(quick_api, lake, account_of_parts(), TABLES)

    def ledger() -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = defaultdict(list)
        for customer, *row in ask(quick_api, SQL):
            found[customer.removeprefix("cus_")].append(row)
        return found

    found = ledger()
    line_of = ["01-10", "invoice_line", "100.000", "0.000"]
    assert [found[status] for status in ("open", "uncollectible", "void")] == [[], [], []]
    assert found["early"] == [["01-10", "credit_note", "-20.000", "0.000"], line_of]
    assert found["late"] == [line_of, ["01-30", "credit_note", "-20.000", "0.000"]]
    # 5.00 of it are an item of the refund; 15.00 were given back where Stripe has no refund.
    assert found["back"] == [line_of, ["01-30", "credit_note", "-15.000", "0.000"]]
    # Of an open invoice what was paid counts as it came; of a paid one all is of revenue and tax as the invoice is.
    of_charge = [["01-12", "charge", "30.000", None], ["01-20", "refund", "-12.000", None]]
    assert found["part"] == [*of_charge, ["01-21", "dispute", "-6.000", None]]
    of_invoice = [["01-20", "refund", "-10.000", "-2.000"], ["01-21", "dispute", "-5.000", "-1.000"]]
    assert found["whole"] == [["01-10", "invoice_line", "100.000", "20.000"], *of_invoice]
    assert found["shop"] == of_charge

    path = f"external_data_sources/{source['id']}/revenue_analytics_config/"
    quick_api("PATCH", path, json={"include_invoiceless_charges": False})
    found = ledger()
    assert (found["part"], found["shop"]) == ([], [])
    assert found["whole"] == [["01-10", "invoice_line", "100.000", "20.000"], *of_invoice]


def test_invoices_that_name_no_customer(quick_api: Api, lake: Path) -> None:
    """As those of accounts."""
    account, plan = Account(), price("plan", 2000)
    sub = account.subscribe("sub", "nobody", plan, ended="2024-03-01")
    account.bill("nobody", sub, "plan", 2000, "2024-01-01", "2024-02-01", "2024-03-01")
    for invoice in account.objects["invoices"]:
        invoice["customer"] = None
    load(quick_api, lake, account, ("invoices", "subscriptions"))
    sql = "select strftime(month, '%m'), opening, new, reactivation, churn from shop_stripe_mrr_movements order by 1"
    assert ask(quick_api, sql) == [
        ["01", "0.000000", "20.000000", "0.000000", "0.000000"],
        ["02", "20.000000", "0.000000", "0.000000", "0.000000"],
        ["03", "20.000000", "0.000000", "0.000000", "-20.000000"],
    ]
