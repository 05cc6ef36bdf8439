"""Which views there are, and what each reads. Their SQL lies in a folder for each source type, one file a view.

A file is one SELECT over the source's tables by their own names, over the other views that it is said to use, and over
``chosen``, whose one row says what the source's owner wants: ``with_charges``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

STRIPE = "Stripe"


class Kind(StrEnum):
    """What a view takes a column of a table to be; where the table has no such column, it is null."""

    TEXT = "VARCHAR"
    JSON = "JSON"
    """Objects and lists of the API, as text."""
    WHOLE = "BIGINT"
    FLAG = "BOOLEAN"
    TIME = "TIME"
    """Seconds since 1970, whether the table has a time or such a number."""


@dataclass(frozen=True)
class View:
    """``needs``: tables without which it is not offered. ``may_read``: such as are empty where they are not there."""

    name: str
    needs: tuple[str, ...]
    uses: tuple[str, ...] = ()
    """Files of the folder that it builds on, each behind those that it uses itself."""
    may_read: tuple[str, ...] = ()
    needs_for_charges: tuple[str, ...] = ()
    """Tables that are needed, too, where charges without an invoice are wanted, and are not read where they are not."""

    def read(self, with_charges: bool) -> tuple[str, ...]:
        return (*self.needed(with_charges), *self.may_read)

    def needed(self, with_charges: bool) -> tuple[str, ...]:
        return (*self.needs, *(self.needs_for_charges if with_charges else ()))

    @property
    def tables(self) -> tuple[str, ...]:
        """All that its SQL names."""
        return (*self.needs, *self.needs_for_charges, *self.may_read)


_ITEMS = ("invoiced", "paid_by", "items")
_CHARGES = ("charges", "invoice_payments")
_PAID_FOR = ("charges", "invoices", "invoice_payments")
_PRICES = ("prices", "inactive_prices", "invoice_line_items")

VIEWS: Mapping[str, tuple[View, ...]] = {
    STRIPE: (
        View("revenue_items", ("invoices",), _ITEMS, ("invoice_line_items",), _CHARGES),
        View("revenue_by_month", ("invoices",), _ITEMS, ("invoice_line_items",), _CHARGES),
        View("revenue_refunds", ("refunds", *_PAID_FOR), ("paid_by",)),
        View("revenue_disputes", ("disputes", *_PAID_FOR), ("paid_by",)),
        View("revenue_credit_notes", ("credit_notes", "invoices")),
        View("mrr", ("invoices", "subscriptions"), ("invoiced", "recurring"), _PRICES),
        View("mrr_movements", ("invoices", "subscriptions"), ("invoiced", "recurring", "mrr"), _PRICES),
    )
}
"""By source type."""

_LINE = {
    "id": Kind.TEXT,
    "amount": Kind.WHOLE,
    "currency": Kind.TEXT,
    "description": Kind.TEXT,
    "quantity": Kind.WHOLE,
    "period": Kind.JSON,
    "discount_amounts": Kind.JSON,
    "taxes": Kind.JSON,
    "parent": Kind.JSON,
    "pricing": Kind.JSON,
}
_PRICE = {
    "id": Kind.TEXT,
    "unit_amount": Kind.WHOLE,
    "billing_scheme": Kind.TEXT,
    "transform_quantity": Kind.JSON,
    "recurring": Kind.JSON,
}
_TAKEN_BACK = {
    "id": Kind.TEXT,
    "amount": Kind.WHOLE,
    "currency": Kind.TEXT,
    "charge": Kind.TEXT,
    "payment_intent": Kind.TEXT,
    "created": Kind.TIME,
    "status": Kind.TEXT,
    "reason": Kind.TEXT,
}

COLUMNS: Mapping[str, Mapping[str, Mapping[str, Kind]]] = {
    STRIPE: {
        "invoices": {
            "id": Kind.TEXT,
            "customer": Kind.TEXT,
            "currency": Kind.TEXT,
            "status": Kind.TEXT,
            "created": Kind.TIME,
            "auto_advance": Kind.FLAG,
            "total": Kind.WHOLE,
            "total_excluding_tax": Kind.WHOLE,
            "total_taxes": Kind.JSON,
            "total_discount_amounts": Kind.JSON,
            "status_transitions": Kind.JSON,
            "parent": Kind.JSON,
            "lines": Kind.JSON,
        },
        "invoice_line_items": {"invoice_id": Kind.TEXT, **_LINE},
        "invoice_payments": {"invoice": Kind.TEXT, "status": Kind.TEXT, "payment": Kind.JSON},
        "charges": {
            "id": Kind.TEXT,
            "customer": Kind.TEXT,
            "currency": Kind.TEXT,
            "amount": Kind.WHOLE,
            "amount_captured": Kind.WHOLE,
            "captured": Kind.FLAG,
            "paid": Kind.FLAG,
            "status": Kind.TEXT,
            "payment_intent": Kind.TEXT,
            "description": Kind.TEXT,
            "created": Kind.TIME,
        },
        "refunds": {**_TAKEN_BACK, "balance_transaction": Kind.TEXT},
        "disputes": {**_TAKEN_BACK, "balance_transactions": Kind.JSON},
        "credit_notes": {
            "id": Kind.TEXT,
            "invoice": Kind.TEXT,
            "customer": Kind.TEXT,
            "currency": Kind.TEXT,
            "status": Kind.TEXT,
            "reason": Kind.TEXT,
            "total": Kind.WHOLE,
            "total_excluding_tax": Kind.WHOLE,
            "refunds": Kind.JSON,
            "created": Kind.TIME,
            "effective_at": Kind.TIME,
        },
        "subscriptions": {"id": Kind.TEXT, "status": Kind.TEXT, "ended_at": Kind.TIME, "items": Kind.JSON},
        "prices": _PRICE,
        "inactive_prices": _PRICE,
    }
}
"""What the views read of each table, by source type."""


def view_named(source_type: str, name: str) -> View:
    return next(view for view in VIEWS[source_type] if view.name == name)
