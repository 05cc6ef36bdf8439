"""Providers that tell of what happens to their objects: each change of a player's makes the events that go with it."""

import hashlib
import hmac
import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tests.providers.github import GitHubPlayer
from tests.providers.player import Object, Player
from tests.providers.sender import Event
from tests.providers.server import Asked, Reply, Route
from tests.providers.stripe import StripePlayer

STRIPE_TYPES: Mapping[str, tuple[str, str, str | None]] = {
    "charges": ("charge.succeeded", "charge.updated", None),
    "credit_notes": ("credit_note.created", "credit_note.updated", None),
    "customers": ("customer.created", "customer.updated", "customer.deleted"),
    "disputes": ("charge.dispute.created", "charge.dispute.updated", None),
    "inactive_prices": ("price.created", "price.updated", "price.deleted"),
    "invoices": ("invoice.created", "invoice.updated", "invoice.deleted"),
    "payment_intents": ("payment_intent.created", "payment_intent.processing", None),
    "payouts": ("payout.created", "payout.updated", None),
    "prices": ("price.created", "price.updated", "price.deleted"),
    "products": ("product.created", "product.updated", "product.deleted"),
    "refunds": ("refund.created", "refund.updated", None),
    "subscriptions": ("customer.subscription.created", "customer.subscription.updated", None),
}
"""What Stripe sends of a table's objects that are new, changed and gone."""

GITHUB_EVENTS: Mapping[str, tuple[str, str, tuple[str, str, str | None]]] = {
    "issue_comments": ("issue_comment", "comment", ("created", "edited", "deleted")),
    "issues": ("issues", "issue", ("opened", "edited", "deleted")),
    "milestones": ("milestone", "milestone", ("created", "edited", "deleted")),
    "pull_requests": ("pull_request", "pull_request", ("opened", "edited", None)),
    "releases": ("release", "release", ("published", "edited", "deleted")),
    "review_comments": ("pull_request_review_comment", "comment", ("created", "edited", "deleted")),
    "workflow_runs": ("workflow_run", "workflow_run", ("requested", "completed", None)),
}
"""The event of a table's objects, where it has them, and the actions of those that are new, changed and gone."""
CREATED, CHANGED, GONE = range(3)


class Telling:
    """Of one player, whose API answers between changes and never within one. Thread-safe."""

    def __init__(self, player: Player, event: Callable[[str, Object, int, float], Event]) -> None:
        self.player = player
        self._event = event
        self._lock = threading.Lock()
        for path, route in list(player.provider.routes.items()):
            player.provider.routes[path] = self._between(route)

    def create(self, table: str, number: int) -> Event:
        with self._lock:
            return self._told(table, self.player.put(table, number, self._now()), CREATED)

    def change(self, table: str, key: str) -> Event:
        with self._lock:
            return self._told(table, self.player.change(table, self._found(table, key), self._now()), CHANGED)

    def delete(self, table: str, key: str) -> Event:
        with self._lock:
            found = self._found(table, key)
            self.player.delete(table, found, self._now())
            return self._told(table, found, GONE)

    def rows(self, table: str) -> dict[str, Object]:
        """Those that are there, by their keys."""
        with self._lock:
            return {self.player.key(table, each): dict(each) for each in self.player.objects[table]}

    def _told(self, table: str, found: Object, what: int) -> Event:
        return self._event(table, found, what, self.player.provider.clock())

    def _found(self, table: str, key: str) -> Object:
        return next(each for each in self.player.objects[table] if self.player.key(table, each) == key)

    def _now(self) -> int:
        return int(self.player.provider.clock() - self.player.begin)

    def _between(self, route: Route) -> Route:
        def answer(asked: Asked) -> Reply:
            with self._lock:
                reply = route(asked)
                # What was there then: objects may change before it is sent.
                return Reply(json.dumps(reply.body).encode(), reply.status, reply.headers) if reply.body else reply

        return answer


def stripe(player: StripePlayer, secret: str) -> Telling:
    """Signed with that secret, as the endpoint has it."""
    numbers = itertools.count(1)

    def event(table: str, found: Object, what: int, at: float) -> Event:
        event_type = STRIPE_TYPES[table][what]
        assert event_type is not None, f"Stripe tells nothing of {table} that are gone"
        return stripe_event(secret, f"evt_{next(numbers)}", event_type, found, at)

    return Telling(player, event)


def stripe_event(secret: str, id: str, event_type: str, found: Object, at: float) -> Event:
    told = {
        "id": id,
        "object": "event",
        "api_version": "2025-09-30.clover",
        "created": int(at),
        "data": {"object": found},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": event_type,
    }
    body = json.dumps(told, indent=2).encode()
    return Event(id, event_type, body, lambda now: stripe_headers(secret, body, now), found.get("id"))


def stripe_headers(secret: str, body: bytes, at: float | None = None) -> dict[str, str]:
    """https://docs.stripe.com/webhooks#verify-manually"""
    seconds = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": f"t={seconds},v1={mac},v0=00"}


def github(player: GitHubPlayer, secret: str) -> Telling:
    """Signed with that secret, as the hook has it."""

    def event(table: str, found: Object, what: int, at: float) -> Event:
        name, member, actions = GITHUB_EVENTS[table]
        action = actions[what]
        assert action is not None, f"GitHub tells nothing of {table} that are gone"
        home = player.homes[table, player.key(table, found)]
        repository = next(each for each in player.objects["repositories"] if each["name"] == home)
        return github_event(secret, name, {"action": action, member: found, "repository": repository}, found)

    return Telling(player, event)


def github_event(secret: str, name: str, told: Mapping[str, Any], found: Object | None = None) -> Event:
    body, id = json.dumps(told).encode(), str(uuid.uuid4())
    headers = github_headers(secret, name, id, body)
    return Event(id, name, body, lambda _: headers, None if found is None else found.get("id"))


def github_headers(secret: str, name: str, id: str, body: bytes) -> dict[str, str]:
    """https://docs.github.com/webhooks/webhook-events-and-payloads#delivery-headers"""
    return {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-GitHub-Event": name,
        "X-GitHub-Delivery": id,
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }
