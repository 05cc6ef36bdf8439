"""Nineteen customers over half a year, each of which shows something. What they are worth stands in test_revenue."""

from tests.api.billing import Account, at, line, price

MONTHS = ("2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01")
BASIC = price("basic", 2000)
PRO = price("pro", 5000)
SEAT = price("seat", 1000)
YEAR = price("year", 20_000, "year")
WEEK = price("week", 700, "week")
QUARTER = price("quarter", 9000, "month", 3)
YEN = price("yen", 1500, currency="jpy")
DINAR = price("dinar", 9990, currency="kwd")
USAGE = price("usage", 1, usage_type="metered")
OLD = {**price("old", 1200), "active": False}
ADD_ONS = [price(f"addon_{number}", 100) for number in range(12)]


def business() -> Account:
    account = Account()
    for each in (BASIC, PRO, SEAT, YEAR, WEEK, QUARTER, YEN, DINAR, USAGE):
        account.add("prices", each)
    account.add("inactive_prices", OLD)
    account.add("customers", {"id": "cus_steady", "created": at("2024-01-01")})
    for tell in (_plain, _changing, _coming_and_going, _discounted, _other_periods, _not_counted, _paid_otherwise):
        tell(account)
    return account


def _plain(account: Account) -> None:
    sub = account.subscribe("sub_steady", "steady", BASIC, ended="2024-04-01")
    account.bill("steady", sub, "basic", 2000, *MONTHS)
    account.add(
        "credit_notes",
        {
            "id": "cn_1",
            "created": at("2024-02-05"),
            "effective_at": None,
            "invoice": "in_002",
            "customer": "cus_steady",
            "currency": "usd",
            "status": "issued",
            "reason": "product_unsatisfactory",
            "total": 800,
            "total_excluding_tax": 800,
            # Three dollars of it were refunded, five went to the customer's balance.
            "refunds": [{"refund": "re_gone", "amount_refunded": 300}],
        },
    )
    sub = account.subscribe("sub_yen", "yen", YEN, ended="2024-04-01")
    account.bill("yen", sub, "yen", 1500, "2024-02-01", "2024-03-01", "2024-04-01", currency="jpy")
    sub = account.subscribe("sub_dinar", "dinar", DINAR, ended="2024-03-01")
    account.bill("dinar", sub, "dinar", 9990, "2024-02-01", "2024-03-01", currency="kwd")


def _changing(account: Account) -> None:
    # To a better plan on February 20, 19 of 29 days before the period ends; billed with the next one, by invoice items.
    sub = account.subscribe("sub_up", "up", PRO, ended="2024-04-10")
    account.bill("up", sub, "basic", 2000, "2024-01-10", "2024-02-10", "2024-03-10")
    changed = {"subscription": sub, "is_proration": True, "is_item": True}
    lines = [
        line(-1310, "basic", "2024-02-20", "2024-03-10", **changed),
        line(3276, "pro", "2024-02-20", "2024-03-10", **changed),
        line(5000, "pro", "2024-03-10", "2024-04-10", subscription=sub),
    ]
    account.invoice("up", "2024-03-10", lines)

    # From three seats to one on March 15, 21 of 31 days before the period ends.
    sub = account.subscribe("sub_down", "down", SEAT, ended="2024-05-05")
    account.bill("down", sub, "seat", 3000, "2024-01-05", "2024-02-05", "2024-03-05", "2024-04-05", quantity=3)
    lines = [
        line(-2032, "seat", "2024-03-15", "2024-04-05", subscription=sub, quantity=3, is_proration=True),
        line(677, "seat", "2024-03-15", "2024-04-05", subscription=sub, is_proration=True),
        line(1000, "seat", "2024-04-05", "2024-05-05", subscription=sub),
    ]
    account.invoice("down", "2024-04-05", lines)

    # Canceled on February 11, with the rest of the month, 19 of 29 days, given back to the balance.
    sub = account.subscribe("sub_credited", "credited", BASIC, ended="2024-02-11")
    account.bill("credited", sub, "basic", 2000, "2024-01-01", "2024-02-01", "2024-03-01")
    account.invoice(
        "credited",
        "2024-02-11",
        [line(-1310, "basic", "2024-02-11", "2024-03-01", subscription=sub, is_proration=True)],
    )

    # From a month to a year: the period begins anew on the day of the change.
    sub = account.subscribe("sub_longer", "longer", YEAR)
    account.bill("longer", sub, "basic", 2000, "2024-01-01", "2024-02-01", "2024-03-01")
    lines = [
        line(-966, "basic", "2024-02-16", "2024-03-01", subscription=sub, is_proration=True),
        line(20_000, "year", "2024-02-16", "2025-02-16", subscription=sub),
    ]
    account.invoice("longer", "2024-02-16", lines)


def _coming_and_going(account: Account) -> None:
    sub = account.subscribe("sub_back_1", "back", OLD, ended="2024-02-01")
    account.bill("back", sub, "old", 1200, "2024-01-01", "2024-02-01")
    sub = account.subscribe("sub_back_2", "back", PRO, ended="2024-05-15")
    account.bill("back", sub, "pro", 5000, "2024-04-15", "2024-05-15")

    # A trial for two weeks, then two months, the second given up at once without anything back.
    sub = account.subscribe("sub_trial", "trial", PRO, ended="2024-03-20")
    account.bill("trial", sub, "pro", 0, "2024-01-20", "2024-02-03")
    account.bill("trial", sub, "pro", 5000, "2024-02-03", "2024-03-03", "2024-04-03")

    # Collection was paused for a month, whose invoice was voided.
    sub = account.subscribe("sub_paused", "paused", BASIC, ended="2024-04-01")
    account.bill("paused", sub, "basic", 2000, "2024-01-01", "2024-02-01")
    account.bill("paused", sub, "basic", 2000, "2024-02-01", "2024-03-01", status="void")
    account.bill("paused", sub, "basic", 2000, "2024-03-01", "2024-04-01")


def _discounted(account: Account) -> None:
    # Half of the first month.
    sub = account.subscribe("sub_coupon", "coupon", PRO, ended="2024-03-01")
    account.bill("coupon", sub, "pro", 5000, "2024-01-01", "2024-02-01", discount=2500)
    account.bill("coupon", sub, "pro", 5000, "2024-02-01", "2024-03-01")

    # Half price for ever; a second seat on February 15, 15 of 29 days before the end. Parts have no discount.
    sub = account.subscribe("sub_half", "half", SEAT, ended="2024-04-01")
    account.bill("half", sub, "seat", 1000, "2024-02-01", "2024-03-01", discount=500)
    lines = [
        line(-259, "seat", "2024-02-15", "2024-03-01", subscription=sub, is_proration=True),
        line(517, "seat", "2024-02-15", "2024-03-01", subscription=sub, quantity=2, is_proration=True),
        line(2000, "seat", "2024-03-01", "2024-04-01", subscription=sub, quantity=2, discount=1000),
    ]
    account.invoice("half", "2024-03-01", lines)


def _other_periods(account: Account) -> None:
    sub = account.subscribe("sub_year", "year", YEAR, ended="2025-01-15")
    account.bill("year", sub, "year", 20_000, "2024-01-15", "2025-01-15", tax=4000, payment="year")
    account.take_back("refunds", "re_year", "year", "2024-03-01", 6000, status="succeeded")

    # A plan by the month and one by the week, which ends first.
    sub = account.subscribe("sub_two_1", "two", BASIC, ended="2024-03-01")
    account.bill("two", sub, "basic", 2000, "2024-01-01", "2024-02-01", "2024-03-01")
    sub = account.subscribe("sub_two_2", "two", WEEK, ended="2024-02-05")
    account.bill("two", sub, "week", 700, "2024-01-29", "2024-02-05")

    sub = account.subscribe("sub_quarter", "quarter", QUARTER, ended="2024-04-01")
    account.bill("quarter", sub, "quarter", 9000, "2024-01-01", "2024-04-01")

    # A price that is in no table: by its period.
    sub = account.subscribe("sub_inline", "inline", ended="2024-03-01")
    account.bill("inline", sub, "inline", 3000, "2024-01-01", "2024-03-01")

    sub = account.subscribe("sub_many", "many", *ADD_ONS, ended="2024-02-01")
    lines = [line(100, each["id"], "2024-01-01", "2024-02-01", subscription=sub) for each in ADD_ONS]
    account.invoice("many", "2024-01-01", lines)


def _not_counted(account: Account) -> None:
    """One is late and counted all the same; the others are not."""
    sub = account.subscribe("sub_late", "late", BASIC, status="past_due")
    account.bill("late", sub, "basic", 2000, "2024-03-01", "2024-04-01", status="open")
    sub = account.subscribe("sub_unpaid", "unpaid", BASIC, status="unpaid")
    account.bill("unpaid", sub, "basic", 2000, "2024-03-01", "2024-04-01", status="open")
    sub = account.subscribe("sub_bad", "bad", BASIC, ended="2024-04-01")
    account.bill("bad", sub, "basic", 2000, "2024-03-01", "2024-04-01", status="uncollectible")
    sub = account.subscribe("sub_usage", "usage", USAGE, ended="2024-03-01")
    account.bill("usage", sub, "usage", 350, "2024-01-01", "2024-02-01", quantity=350)
    # Goods, with shipping and a tax that the price has in it.
    goods = line(1190, None, "2024-02-10", "2024-02-10", tax=190, is_inclusive=True)
    account.invoice("goods", "2024-02-10", [goods], shipping=500)


def _paid_otherwise(account: Account) -> None:
    account.charge("shop", "shop", "2024-02-12", 1250)
    account.charge("shop_yen", "shop", "2024-02-13", 800, "jpy")
    account.charge("half_captured", "shop", "2024-02-14", 1000, amount_captured=400)
    account.charge("declined", "shop", "2024-02-15", 999, status="failed", paid=False)
    account.charge("held", "shop", "2024-02-16", 999, captured=False, amount_captured=0)
    account.take_back("refunds", "re_shop", "shop", "2024-02-20", 250, status="succeeded")
    # What was held, or not captured, was never paid: giving that back moves nothing.
    account.take_back("refunds", "re_held", "held", "2024-02-17", 999, status="succeeded")
    account.take_back("refunds", "re_rest", "half_captured", "2024-02-17", 600, status="succeeded")
    account.take_back("refunds", "re_failed", "shop", "2024-02-21", 100, status="failed")
    taken = {"id": "txn_1", "amount": -1250, "created": at("2024-03-01")}
    given = {"id": "txn_2", "amount": 1250, "created": at("2024-03-20")}
    account.take_back(
        "disputes", "dp_won", "shop", "2024-03-01", 1250, status="won", balance_transactions=[taken, given]
    )
    taken = {"id": "txn_3", "amount": -3300, "created": at("2024-04-02")}
    account.take_back("disputes", "dp_year", "year", "2024-04-02", 3000, status="lost", balance_transactions=[taken])
    account.take_back(
        "disputes", "dp_asked", "shop", "2024-04-03", 1250, status="warning_closed", balance_transactions=[]
    )
