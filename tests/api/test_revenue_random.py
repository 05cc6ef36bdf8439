"""Monthly recurring revenue of customers who do what they like: the view against what each agreed on at the time."""

import calendar
import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.api.billing import Account, Object, line, price
from tests.api.conftest import Api
from tests.api.test_revenue import load

CUSTOMERS = 150
PLANS = {
    "month": [price("m1", 1999), price("m2", 4900), price("m3", 333)],
    "year": [price("y1", 19_900, "year"), price("y2", 99_999, "year")],
    "week": [price("w1", 777, "week"), price("w2", 1250, "week")],
}
MONTHLY = {"month": Fraction(1), "year": Fraction(1, 12), "week": Fraction(52, 12)}
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


class Customer:
    """One who subscribes, changes plan and quantity within periods, leaves, and may come back."""

    def __init__(self, account: Account, number: int, chance: random.Random) -> None:
        self.account, self.chance, self.name = account, chance, f"c{number}"
        self.spans: list[tuple[datetime, datetime, str, Fraction]] = []
        """From when until when what is worth how many cents a month, by the subscription."""
        self.number = 0
        end = self.subscribe(BEGIN + self.some(timedelta(days=90)))
        if chance.random() < 0.4:
            self.subscribe(end + self.some(timedelta(days=80)))

    def some(self, most: timedelta) -> timedelta:
        return timedelta(seconds=self.chance.randrange(1, int(most.total_seconds())))

    def subscribe(self, begin: datetime) -> datetime:
        """Answers when it ends."""
        self.number += 1
        unit = self.chance.choice(list(PLANS))
        name, plan, quantity = f"sub_{self.name}_{self.number}", self.chance.choice(PLANS[unit]), 1
        periods = self.chance.randrange(1, 5 if unit != "year" else 2)
        pending: list[Object] = []
        for period in range(periods):
            first, last = after(begin, unit, period), after(begin, unit, period + 1)
            self.bill(first, [*pending, self.part(plan, quantity, first, last, first, name)])
            pending, since, is_last = [], first, period == periods - 1
            moments = sorted({first + self.some(last - first) for _ in range(self.chance.randrange(3))})
            for moment in moments:
                self.worth(since, moment, name, unit, plan, quantity)
                credit = self.part(plan, quantity, first, last, moment, name, sign=-1)
                if is_last and moment == moments[-1] and self.chance.random() < 0.5:
                    if self.chance.random() < 0.5:
                        self.bill(moment, [credit])
                    return self.end(name, moment)
                plan, quantity = self.chance.choice(PLANS[unit]), self.chance.randrange(1, 9)
                changed = [credit, self.part(plan, quantity, first, last, moment, name)]
                if is_last or self.chance.random() < 0.5:
                    self.bill(moment, changed)
                else:
                    pending += changed
                since = moment
            self.worth(since, last, name, unit, plan, quantity)
        return self.end(name, last)

    def end(self, name: str, moment: datetime) -> datetime:
        self.account.subscribe(name, self.name, ended=text(moment))
        return moment

    def bill(self, moment: datetime, lines: list[Object]) -> None:
        self.account.invoice(self.name, text(moment), lines)

    def part(
        self, plan: Object, quantity: int, first: datetime, last: datetime, since: datetime, name: str, sign: int = 1
    ) -> Object:
        """What the period costs from then on, in whole cents."""
        share = Fraction(int((last - since).total_seconds()), int((last - first).total_seconds()))
        amount = sign * round(plan["unit_amount"] * quantity * share)
        is_part = sign < 0 or since != first
        is_item = is_part and self.chance.random() < 0.5
        return line(
            amount,
            plan["id"],
            text(since),
            text(last),
            subscription=name,
            quantity=quantity,
            is_proration=is_part,
            is_item=is_item,
        )

    def worth(self, since: datetime, until: datetime, name: str, unit: str, plan: Object, quantity: int) -> None:
        self.spans.append((since, until, name, plan["unit_amount"] * quantity * MONTHLY[unit]))

    def months(self) -> dict[str, str]:
        found = {}
        for number in range(30):
            month, end = after(BEGIN, "month", number), after(BEGIN, "month", number + 1)
            cents = [value for since, until, _, value in self.spans if since < end <= until]
            if any(cents):
                millionths = sum(int(value * 10_000 + Fraction(1, 2)) for value in cents)
                found[month.strftime("%Y-%m-01")] = f"{millionths // 10**6}.{millionths % 10**6:06}"
        return found


def after(begin: datetime, unit: str, times: int) -> datetime:
    """So many units later; of a day that a month does not have, its last."""
    if unit == "week":
        return begin + timedelta(weeks=times)
    months = begin.month - 1 + times * (12 if unit == "year" else 1)
    year, month = begin.year + months // 12, months % 12 + 1
    return begin.replace(year=year, month=month, day=min(begin.day, calendar.monthrange(year, month)[1]))


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_what_was_agreed_on_is_what_recurs(quick_api: Api, lake: Path, seed: int) -> None:
    account, chance = Account(), random.Random(seed)  # noqa: S311 - nothing secret
    for plans in PLANS.values():
        for plan in plans:
            account.add("prices", plan)
    customers = [Customer(account, number, chance) for number in range(CUSTOMERS)]
    load(quick_api, lake, account, ("invoices", "subscriptions", "prices", "invoice_line_items"))
    found: dict[str, dict[str, Any]] = {}
    query = {"query": "select customer_id, month, mrr from shop_stripe_mrr", "limit": 100_000}
    for customer, month, mrr in quick_api("POST", "query/", json=query)["results"]:
        found.setdefault(customer, {})[month] = mrr
    assert found == {f"cus_{each.name}": months for each in customers if (months := each.months())}
