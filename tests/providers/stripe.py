"""Stripe, after https://docs.stripe.com/api: lists of the newest first, ``starting_after``, errors and limits."""

from typing import ClassVar

from tests.providers.player import Object, Player, is_new
from tests.providers.server import Asked, Reply

PATHS = {
    "customers": "cus",
    "subscriptions": "sub",
    "products": "prod",
    "prices": "price",
    "invoices": "in",
    "invoiceitems": "ii",
    "charges": "ch",
    "payment_intents": "pi",
    "refunds": "re",
    "disputes": "dp",
    "payouts": "po",
    "balance_transactions": "txn",
    "coupons": "co",
    "credit_notes": "cn",
    "events": "evt",
}
TABLES = {"invoice_items": "invoiceitems"}
BEGIN = 1_760_000_000


class StripePlayer(Player):
    source_type = "Stripe"
    page = 100
    limited: ClassVar[Reply] = Reply(
        {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests."}}, 429
    )
    forbidden: ClassVar[Reply] = Reply(
        {"error": {"type": "invalid_request_error", "message": "The provided key does not have the permissions."}}, 403
    )

    def inputs(self) -> dict[str, str]:
        return {"api_key": "rk_test_1", "base_url": f"{self.provider.url}/v1"}

    def wrong_login(self) -> dict[str, str]:
        return {"api_key": "rk_test_wrong"}

    def route(self) -> None:
        for path in PATHS:
            self.provider.routes[f"/v1/{path}"] = self._list

    def make(self, table: str, number: int, seconds: int) -> Object:
        path = TABLES.get(table, table)
        time = "date" if path == "invoiceitems" else "created"
        return {
            "id": f"{PATHS[path]}_{number}",
            "object": path.removesuffix("s"),
            time: BEGIN + seconds,
            "amount": number * 100,
            "currency": "eur",
            "metadata": {"n": str(number)},
            "livemode": False,
        }

    def _list(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != "Bearer rk_test_1":
            return Reply({"error": {"message": "Invalid API Key provided", "type": "invalid_request_error"}}, 401)
        if "stripe-version" not in asked.headers:
            return Reply({"error": {"message": "This account has no default version"}}, 400)
        path = asked.path.removeprefix("/v1/")
        table = next((table for table, name in TABLES.items() if name == path), path)
        listed = sorted(self.objects[table], key=_time, reverse=True)
        listed = [each for each in listed if is_new(asked, "created[gte]", _time(each))]
        limit = int(asked.query.get("limit", 10))
        if not 1 <= limit <= 100:
            return Reply({"error": {"message": "Invalid limit", "param": "limit"}}, 400)
        if after := asked.query.get("starting_after"):
            ids = [each["id"] for each in listed]
            if after not in ids:
                return Reply({"error": {"code": "resource_missing", "message": f"No such object: '{after}'"}}, 400)
            listed = listed[ids.index(after) + 1 :]
        return Reply({"object": "list", "url": asked.path, "has_more": len(listed) > limit, "data": listed[:limit]})


def _time(each: Object) -> int:
    return int(each.get("created") or each["date"])
