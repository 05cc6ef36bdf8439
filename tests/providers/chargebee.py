"""Chargebee, after https://apidocs.chargebee.com/docs/api: wrapped objects, ``next_offset``, filters, sort orders."""

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import ClassVar

from tests.providers.player import Object, Player
from tests.providers.server import Asked, Reply

KEY = "test_readonly_1"
BEGIN = 1_760_000_000
DELETED = 7
"""Each so manieth object is a deleted one, where an object can be."""


@dataclass(frozen=True)
class Listed:
    """What a list knows. ``sorts``: the times it can be sorted by; the first is the one it filters by."""

    sorts: tuple[str, ...]
    filtered: str = "updated_at"
    has_deleted: bool = False


LISTS = {
    "customers": Listed(("created_at", "updated_at"), has_deleted=True),
    "subscriptions": Listed(("created_at", "updated_at"), has_deleted=True),
    "invoices": Listed(("date", "updated_at"), has_deleted=True),
    "credit_notes": Listed(("date",), has_deleted=True),
    "transactions": Listed(("date", "updated_at"), has_deleted=True),
    "orders": Listed(("created_at", "updated_at"), has_deleted=True),
    "payment_sources": Listed(("created_at", "updated_at")),
    "items": Listed(("updated_at",)),
    "item_prices": Listed(("updated_at",)),
    "coupons": Listed(("created_at",)),
    "events": Listed(("occurred_at",), filtered="occurred_at"),
}


class ChargebeePlayer(Player):
    source_type = "Chargebee"
    begin = BEGIN
    page = 100
    limited: ClassVar[Reply] = Reply(
        {"message": "Too many requests.", "api_error_code": "api_request_limit_exceeded", "http_status_code": 429}, 429
    )
    forbidden: ClassVar[Reply] = Reply(
        {"message": "The key has no access.", "api_error_code": "api_authorization_failed", "http_status_code": 403},
        403,
    )

    def inputs(self) -> dict[str, str]:
        return {"site": "acme-test", "api_key": KEY, "base_url": f"{self.provider.url}/api/v2"}

    def wrong_login(self) -> dict[str, str]:
        return {"api_key": "test_wrong"}

    def route(self) -> None:
        for table in LISTS:
            self.provider.routes[f"/api/v2/{table}"] = self._list

    def make(self, table: str, number: int, seconds: int) -> Object:
        listed = LISTS[table]
        times = {*listed.sorts, listed.filtered}
        made: Object = {"id": f"{number}", "object": table.removesuffix("s"), "amount": number * 100}
        if listed.has_deleted:
            made["deleted"] = number % DELETED == DELETED - 1
        return {**made, **dict.fromkeys(sorted(times), BEGIN + seconds)}

    def delete(self, table: str, found: Object, seconds: int) -> None:
        """Where deleted objects are listed, it is a change."""
        if not LISTS[table].has_deleted:
            return super().delete(table, found, seconds)
        times = {LISTS[table].filtered: BEGIN + seconds}
        return self._replace(table, found, {**found, **times, "deleted": True})

    def _list(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Basic {b64encode(f'{KEY}:'.encode()).decode()}":
            return _wrong("Sorry, authentication failed.", "api_authentication_failed", 401)
        table = asked.path.removeprefix("/api/v2/")
        listed, query = LISTS[table], asked.query
        known = {"limit", "offset", "sort_by[asc]", f"{listed.filtered}[after]"}
        if unknown := set(query) - known - ({"include_deleted"} if listed.has_deleted else set()):
            return _wrong(f"{min(unknown)} : unknown parameter", "param_wrong_value")
        limit, sort = int(query.get("limit", 10)), query.get("sort_by[asc]", listed.sorts[0])
        if not 1 <= limit <= 100:
            return _wrong("limit : must be from 1 to 100", "param_wrong_value")
        if sort not in listed.sorts:
            return _wrong(f"sort_by : cannot be sorted by {sort}", "param_wrong_value")
        since = int(query.get(f"{listed.filtered}[after]", 0))
        found = sorted(
            (each[sort] * 1000, int(each["id"]), each)
            for each in self.objects[table]
            if each[listed.filtered] > since and (query.get("include_deleted") == "true" or not each.get("deleted"))
        )
        if "offset" in query:
            try:
                place = tuple(int(part) for part in json.loads(query["offset"]))
            except ValueError:
                return _wrong("offset : invalid value", "param_wrong_value")
            found = [each for each in found if each[:2] > place]
        page, wrapper = found[:limit], table.removesuffix("s")
        body: Object = {"list": [{wrapper: each} for _, _, each in page]}
        if len(found) > limit:
            body["next_offset"] = json.dumps([str(part) for part in page[-1][:2]])
        return Reply(body)


def _wrong(message: str, code: str, status: int = 400) -> Reply:
    return Reply({"message": message, "type": "invalid_request", "api_error_code": code}, status)
