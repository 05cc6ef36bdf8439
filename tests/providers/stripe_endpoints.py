"""Stripe's webhook endpoints, after https://docs.stripe.com/api/webhook_endpoints."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from tests.providers.server import Asked, Reply

MOST = 16
VERSIONS = {"2025-09-30.clover", "2025-08-27.basil", "2024-06-20"}
CREATE = {"url", "enabled_events[]", "api_version", "description", "connect"}
UPDATE = {"url", "enabled_events[]", "description", "disabled"}
_WORDS = {
    "balance": "available",
    "charge": "captured expired failed pending refunded succeeded updated",
    "charge.dispute": "closed created funds_reinstated funds_withdrawn updated",
    "charge.refund": "updated",
    "coupon": "created deleted updated",
    "credit_note": "created updated voided",
    "customer": "created deleted updated",
    "customer.subscription": (
        "created deleted paused pending_update_applied pending_update_expired resumed trial_will_end updated"
    ),
    "invoice": (
        "created deleted finalization_failed finalized marked_uncollectible overdue overpaid paid "
        "payment_action_required payment_failed payment_succeeded sent upcoming updated voided will_be_due"
    ),
    "invoice_payment": "paid",
    "invoiceitem": "created deleted",
    "payment_intent": (
        "amount_capturable_updated canceled created partially_funded payment_failed processing "
        "requires_action succeeded"
    ),
    "payout": "canceled created failed paid reconciliation_completed updated",
    "price": "created deleted updated",
    "product": "created deleted updated",
    "refund": "created failed updated",
}
TYPES = {f"{each}.{word}" for each, words in _WORDS.items() for word in words.split()}
"""Those of the objects that are played, and some more."""


class StripeEndpointsPlayer:
    def __init__(self) -> None:
        self.known: list[dict[str, Any]] = []
        self.secrets: dict[str, str] = {}
        """By id. Told once."""
        self.may_manage = True
        """Whether the key has the permission."""
        self._made = 0

    def answer(self, asked: Asked, now: int) -> Reply:
        """The list, or a new one."""
        if not self.may_manage:
            return _forbidden()
        return self._create(asked, now) if asked.method == "POST" else self._list(asked)

    def answer_one(self, asked: Asked) -> Reply:
        if not self.may_manage:
            return _forbidden()
        id = asked.path.rsplit("/", 1)[1]
        found = next((each for each in self.known if each["id"] == id), None)
        if found is None:
            return wrong(f"No such webhook endpoint: '{id}'", 404, code="resource_missing")
        match asked.method:
            case "DELETE":
                self.known.remove(found)
                return Reply({"id": id, "object": "webhook_endpoint", "deleted": True})
            case "POST":
                return self._update(asked, found)
            case _:
                return Reply(found)

    def sent_to(self, event_type: str) -> list[dict[str, Any]]:
        """Endpoints that such an event goes to."""
        return [
            each
            for each in self.known
            if each["status"] == "enabled" and ({event_type, "*"} & set(each["enabled_events"]))
        ]

    def _list(self, asked: Asked) -> Reply:
        if unknown := set(asked.query) - {"limit", "starting_after"}:
            return wrong(f"Received unknown parameter: {min(unknown)}", code="parameter_unknown")
        limit, ids = int(asked.query.get("limit", 10)), [each["id"] for each in self.known]
        first = ids.index(asked.query["starting_after"]) + 1 if "starting_after" in asked.query else 0
        page = self.known[first : first + limit]
        return Reply({"object": "list", "has_more": first + limit < len(ids), "data": page, "url": asked.path})

    def _create(self, asked: Asked, now: int) -> Reply:
        given = _form(asked)
        if refused := _unfit(given, CREATE):
            return refused
        if "url" not in given or "enabled_events[]" not in given:
            return wrong("Missing required param", code="parameter_missing")
        version = given.get("api_version", [None])[0]
        if version is not None and version not in VERSIONS:
            return wrong("Invalid API version")
        if len(self.known) >= MOST:
            return wrong(f"You have reached the maximum of {MOST} test webhook endpoints.")
        self._made += 1
        made: dict[str, Any] = {
            "id": f"we_{self._made}",
            "object": "webhook_endpoint",
            "api_version": version,
            "application": None,
            "created": now,
            "description": given.get("description", [None])[0],
            "enabled_events": given["enabled_events[]"],
            "livemode": False,
            "metadata": {},
            "status": "enabled",
            "url": given["url"][0],
        }
        self.known.insert(0, made)
        self.secrets[made["id"]] = f"whsec_{self._made:032d}"
        return Reply({**made, "secret": self.secrets[made["id"]]})

    def _update(self, asked: Asked, found: dict[str, Any]) -> Reply:
        given = _form(asked)
        if refused := _unfit(given, UPDATE):
            return refused
        for name in ("url", "description"):
            found[name] = given.get(name, [found[name]])[0]
        found["enabled_events"] = given.get("enabled_events[]", found["enabled_events"])
        if "disabled" in given:
            found["status"] = "disabled" if given["disabled"][0] == "true" else "enabled"
        return Reply(found)


def wrong(message: str, status: int = 400, **more: str) -> Reply:
    return Reply({"error": {"type": "invalid_request_error", "message": message, **more}}, status)


def _form(asked: Asked) -> dict[str, list[str]]:
    """Stripe takes forms only."""
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    return parse_qs(asked.body, keep_blank_values=True, strict_parsing=True)


def _unfit(given: Mapping[str, list[str]], known: set[str]) -> Reply | None:
    if unknown := set(given) - known:
        return wrong(f"Received unknown parameter: {min(unknown)}", code="parameter_unknown")
    types = given.get("enabled_events[]", [])
    if unknown := set(types) - TYPES - {"*"}:
        return wrong(f"Invalid enabled_events: must be one of the known types, not {min(unknown)}")
    if "*" in types and len(types) > 1:
        return wrong("The wildcard event type must be the only one")
    return None


def _forbidden() -> Reply:
    told = "The provided key does not have the required permissions for this endpoint."
    return wrong(f"{told} Having the 'rak_webhook_write' permission would allow this request to continue.", 403)
