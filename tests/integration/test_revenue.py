"""Revenue of what real runs have copied from an API to S3: the same business, and the same figures."""

import secrets
from typing import Any

import pytest

from tests.api.billing import at
from tests.api.business import business
from tests.api.test_revenue import CURRENCIES, MRR, TABLES, millionths
from tests.kit.platform import Platform, named
from tests.providers.server import running
from tests.providers.stripe import StripePlayer


@pytest.mark.long
def test_what_recurs_of_a_copied_account(platform: Platform) -> None:
    with running() as provider:
        player = StripePlayer(provider)
        player.objects.update(business().objects)
        prefix = f"s{secrets.token_hex(3)}_"
        schemas: list[dict[str, Any]] = [
            {"name": name, "should_sync": True, "sync_type": "full_refresh"} for name in TABLES
        ]
        schemas[TABLES.index("invoices")] |= {
            "sync_type": "incremental",
            "incremental_field": "created",
            "incremental_field_type": "timestamp",
        }
        payload = {**player.inputs(), "schemas": schemas}
        body = {"source_type": "Stripe", "prefix": prefix, "payload": payload}
        source = platform.call("POST", "/external_data_sources/", body, status=201)
        for name in TABLES:
            (job,) = platform.wait_for_jobs(source, named(source, name))
            assert job["status"] == "Completed", (name, job["latest_error"])

        found = ask(platform, f"select customer_id, month, currency, mrr from {prefix}stripe_mrr order by all")
        assert found == sorted(
            [f"cus_{customer}", f"{month}-01", CURRENCIES.get(customer, "usd"), millionths(value)]
            for customer, months in MRR.items()
            for month, value in months.items()
        )

        # An invoice in a file of its own, with a column that no object had before.
        paid = dict(player.objects["invoices"][0])
        paid |= {"id": "in_new", "created": at("2024-06-01"), "total": 500, "total_excluding_tax": 500, "note": "new"}
        paid["lines"] = {"object": "list", "data": [], "has_more": False}
        player.objects["invoices"].append(paid)
        platform.sync(source, named(source, "invoices"))
        rest = f"select invoice_id, amount from {prefix}stripe_revenue_items where invoice_id = 'in_new'"
        assert ask(platform, rest) == [["in_new", "5.000"]]


def ask(platform: Platform, sql: str) -> Any:
    return platform.call("POST", "/query/", {"query": sql})["results"]
