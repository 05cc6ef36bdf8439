"""Stripe, after https://docs.stripe.com/api: lists of the newest first, ``starting_after``, errors and limits."""

from collections.abc import Iterable
from typing import ClassVar

from tests.providers.player import Object, Player, is_new
from tests.providers.server import Asked, Provider, Reply
from tests.providers.stripe_endpoints import StripeEndpointsPlayer
from tests.providers.stripe_endpoints import wrong as _wrong

PATHS = {
    "customers": "cus",
    "subscriptions": "sub",
    "products": "prod",
    "prices": "price",
    "invoices": "in",
    "invoice_payments": "inpay",
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
TABLES = {"invoice_items": "invoiceitems", "inactive_prices": "prices"}
PARAMS = {"limit", "starting_after", "created[gte]"}
OF_ONE_PATH = {"subscriptions": {"status"}, "prices": {"active"}}
"""Parameters that others do not know."""
WITHOUT_TIME = {"invoice_payments", "lines"}
"""Which do not know ``created[gte]``."""
BEGIN = 1_760_000_000


class StripePlayer(Player):
    source_type = "Stripe"
    begin = BEGIN
    tells_changes = False
    page = 100
    limited: ClassVar[Reply] = Reply(
        {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests."}},
        429,
        {"Stripe-Should-Retry": "true", "Stripe-Rate-Limited-Reason": "endpoint-rate"},
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
            self.provider.routes[f"/v1/{path}/*"] = self._one
        self.provider.routes["/v1/invoices/*"] = self._of_invoice
        self.provider.routes["/v1/webhook_endpoints"] = self._endpoints
        self.provider.routes["/v1/webhook_endpoints/*"] = self._endpoint

    def __init__(self, provider: Provider) -> None:
        self.endpoints = StripeEndpointsPlayer()
        self.deleted: set[str] = set()
        """Ids of customers that are gone, of which Stripe says so."""
        super().__init__(provider)

    def put(self, table: str, number: int, seconds: int) -> Object:
        """Lines are of one of two invoices."""
        if table == "invoice_line_items" and not self.objects["invoices"]:
            self.objects["invoices"] = [self.make("invoices", each, each) for each in (1, 2)]
        return super().put(table, number, seconds)

    def make(self, table: str, number: int, seconds: int) -> Object:
        if table == "invoice_line_items":
            return {"id": f"il_{number}", "object": "line_item", "invoice": "in_1", "amount": number, "currency": "eur"}
        path = TABLES.get(table, table)
        time = "date" if path == "invoiceitems" else "created"
        made: Object = {
            "id": f"{PATHS[path]}_{number}",
            "object": path.removesuffix("s"),
            time: BEGIN + seconds,
            "amount": number * 100,
            "currency": "eur",
            "metadata": {"n": str(number)},
            "livemode": False,
        }
        if path == "prices":
            made["active"] = table == "prices"
        if path == "subscriptions":
            made["status"] = "canceled" if number % 2 else "active"
        return made

    def delete(self, table: str, found: Object, seconds: int) -> None:
        super().delete(table, found, seconds)
        if table == "customers":
            self.deleted.add(found["id"])

    def _endpoints(self, asked: Asked) -> Reply:
        return _refused(asked) or self.endpoints.answer(asked, int(self.provider.clock()))

    def _endpoint(self, asked: Asked) -> Reply:
        return _refused(asked) or self.endpoints.answer_one(asked)

    def _of_invoice(self, asked: Asked) -> Reply:
        return self._list(asked) if asked.path.endswith("/lines") else self._one(asked)

    def _one(self, asked: Asked) -> Reply:
        """An object by its id; which one of prices, whether it is active or not."""
        if refused := _refused(asked):
            return refused
        path, id = asked.path.removeprefix("/v1/").split("/")
        there = [
            each for table, objects in self.objects.items() if TABLES.get(table, table) == path for each in objects
        ]
        found = next((each for each in there if each["id"] == id), None)
        if found is None and id in self.deleted:
            return Reply({"id": id, "object": "customer", "deleted": True})
        return Reply(found) if found else _wrong(f"No such object: '{id}'", 404, code="resource_missing")

    def _list(self, asked: Asked) -> Reply:
        if refused := _refused(asked):
            return refused
        path = asked.path.removeprefix("/v1/")
        known = PARAMS | OF_ONE_PATH.get(path, set())
        if path.rpartition("/")[2] in WITHOUT_TIME:
            known = known - {"created[gte]"}
        if unknown := set(asked.query) - known:
            return _wrong(f"Received unknown parameter: {min(unknown)}", code="parameter_unknown")
        if path.endswith("/lines") and all(path.split("/")[1] != each["id"] for each in self.objects["invoices"]):
            return _wrong("No such invoice", 404, code="resource_missing")
        limit = int(asked.query.get("limit", 10))
        if not 1 <= limit <= 100:
            return _wrong("Invalid limit")
        listed = sorted(self._of(path, asked), key=_time, reverse=True)
        listed = [each for each in listed if is_new(asked, "created[gte]", _time(each))]
        if after := asked.query.get("starting_after"):
            ids = [each["id"] for each in listed]
            if after not in ids:
                return _wrong(f"No such object: '{after}'", code="resource_missing")
            listed = listed[ids.index(after) + 1 :]
        return Reply({"object": "list", "url": asked.path, "has_more": len(listed) > limit, "data": listed[:limit]})

    def _of(self, path: str, asked: Asked) -> Iterable[Object]:
        """Without a word to the contrary prices are active ones, and subscriptions those that are not canceled."""
        if path.endswith("/lines"):
            return [each for each in self.objects["invoice_line_items"] if each["invoice"] == path.split("/")[1]]
        found = [
            each for table, objects in self.objects.items() if TABLES.get(table, table) == path for each in objects
        ]
        match path:
            case "prices":
                wanted = asked.query.get("active", "true") == "true"
                return [each for each in found if each["active"] == wanted]
            case "subscriptions" if asked.query.get("status") != "all":
                return [each for each in found if each["status"] != "canceled"]
            case _:
                return found


def _refused(asked: Asked) -> Reply | None:
    if asked.headers.get("authorization") != "Bearer rk_test_1":
        return _wrong("Invalid API Key provided", 401)
    if "stripe-version" not in asked.headers:
        return _wrong("This account has no default version")
    return None


def _time(each: Object) -> int:
    """Lines have none, and an order of their own."""
    return int(each.get("created") or each.get("date", 0))
