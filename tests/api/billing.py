"""Objects of Stripe, as its API of 2025-09-30 gives them, and a business that bills with them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

Object = dict[str, Any]


def at(text: str) -> int:
    """``2024-01-31`` in Stripe's seconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def price(name: str, amount: int, unit: str = "month", count: int = 1, currency: str = "usd", **more: Any) -> Object:
    return {
        "id": name,
        "object": "price",
        "active": True,
        "created": at("2023-12-01"),
        "product": f"prod_{name}",
        "currency": currency,
        "type": "recurring",
        "billing_scheme": "per_unit",
        "transform_quantity": None,
        "unit_amount": amount,
        "recurring": {"interval": unit, "interval_count": count, "usage_type": "licensed", "meter": None, **more},
    }


def line(
    amount: int,
    name: str | None,
    begin: str,
    end: str,
    *,
    subscription: str | None = None,
    quantity: int = 1,
    discount: int = 0,
    tax: int = 0,
    is_inclusive: bool = False,
    is_proration: bool = False,
    is_item: bool = False,
) -> Object:
    """``is_item``: by an invoice item, as classic billing has its prorations; else by an item of a subscription."""
    details: Object = {"proration": is_proration, "invoice_item": None, "subscription": subscription}
    kind = "invoice_item_details" if is_item or subscription is None else "subscription_item_details"
    return {
        "object": "line_item",
        "amount": amount,
        "description": f"{quantity} × {name}",
        "discount_amounts": [{"amount": discount, "discount": "di_1"}] if discount else [],
        "parent": {"type": kind, kind: details},
        "period": {"start": at(begin), "end": at(end)},
        "pricing": {"type": "price_details", "price_details": {"price": name, "product": f"prod_{name}"}}
        if name
        else None,
        "quantity": quantity,
        "taxes": [{"amount": tax, "tax_behavior": "inclusive" if is_inclusive else "exclusive"}] if tax else [],
    }


class Account:
    """What a Stripe account has, by the tables that it becomes."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Object]] = {}

    def add(self, table: str, made: Object) -> Object:
        self.objects.setdefault(table, []).append(made)
        return made

    def subscribe(self, name: str, customer: str, *prices: Object, ended: str | None = None, **more: Any) -> str:
        self.add(
            "subscriptions",
            {
                "id": name,
                "object": "subscription",
                "customer": f"cus_{customer}",
                "created": at("2024-01-01"),
                "status": "canceled" if ended else "active",
                "ended_at": at(ended) if ended else None,
                "items": {"object": "list", "has_more": False, "data": [{"quantity": 1, "price": p} for p in prices]},
                **more,
            },
        )
        return name

    def invoice(
        self,
        customer: str,
        day: str,
        lines: Sequence[Object],
        *,
        currency: str = "usd",
        status: str = "paid",
        shipping: int = 0,
        payment: str | None = None,
    ) -> str:
        """``payment``: the name of its payment intent and charge, where they matter. Totals are as Stripe has them."""
        number = len(self.objects.get("invoices", ())) + 1
        name = f"in_{number:03}"
        own = [
            {"id": f"il_{number:03}_{n:02}", "invoice": name, "currency": currency, **each}
            for n, each in enumerate(lines)
        ]
        discount = sum(each["amount"] for one in own for each in one["discount_amounts"])
        taxes = [each for one in own for each in one["taxes"]]
        outside = sum(each["amount"] for each in taxes if each["tax_behavior"] == "exclusive")
        total = sum(one["amount"] for one in own) - discount + outside + shipping
        subscription = next((s for one in own if (s := one["parent"][one["parent"]["type"]]["subscription"])), None)
        self.add(
            "invoices",
            {
                "id": name,
                "object": "invoice",
                "customer": f"cus_{customer}",
                "created": at(day),
                "currency": currency,
                "status": status,
                "auto_advance": status == "open",
                "parent": {"type": "subscription_details", "subscription_details": {"subscription": subscription}}
                if subscription
                else None,
                "total": total,
                "total_excluding_tax": total - sum(each["amount"] for each in taxes),
                "total_taxes": taxes,
                "total_discount_amounts": [{"amount": discount, "discount": "di_1"}] if discount else [],
                "status_transitions": {
                    "finalized_at": at(day),
                    "paid_at": at(day) + 3600 if status == "paid" else None,
                },
                "lines": {"object": "list", "data": own[:10], "has_more": len(own) > 10},
            },
        )
        if len(own) > 10:
            for each in own:
                self.add("invoice_line_items", each)
        if payment:
            self.charge(payment, customer, day, total, currency)
            paid = {"type": "payment_intent", "payment_intent": f"pi_{payment}"}
            self.add(
                "invoice_payments",
                {"id": f"inpay_{number}", "created": at(day), "invoice": name, "status": "paid", "payment": paid},
            )
        return name

    def bill(self, customer: str, subscription: str, name: str, amount: int, *days: str, **more: Any) -> None:
        """An invoice for each period between the days, in advance."""
        of_line = {key: more.pop(key) for key in ("quantity", "discount", "tax") if key in more}
        for begin, end in pairwise(days):
            self.invoice(
                customer, begin, [line(amount, name, begin, end, subscription=subscription, **of_line)], **more
            )

    def charge(self, name: str, customer: str, day: str, amount: int, currency: str = "usd", **more: Any) -> None:
        self.add(
            "charges",
            {
                "id": f"ch_{name}",
                "object": "charge",
                "created": at(day),
                "customer": f"cus_{customer}",
                "payment_intent": f"pi_{name}",
                "amount": amount,
                "amount_captured": amount,
                "captured": True,
                "paid": True,
                "status": "succeeded",
                "currency": currency,
                "description": name,
                **more,
            },
        )

    def take_back(self, table: str, name: str, payment: str, day: str, amount: int, **more: Any) -> None:
        self.add(
            table,
            {
                "id": name,
                "created": at(day),
                "amount": amount,
                "currency": "usd",
                "charge": f"ch_{payment}",
                "payment_intent": f"pi_{payment}",
                "reason": "requested",
                **more,
            },
        )
