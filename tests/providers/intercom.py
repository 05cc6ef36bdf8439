"""Intercom, after https://developers.intercom.com/docs, version 2.14: searches by POST, a scroll, and plain lists."""

import time
from base64 import b64decode, b64encode
from typing import Any, ClassVar

from tests.providers.player import Object, Player
from tests.providers.server import Asked, Provider, Reply

TOKEN = "dG9rOjEyMw=="
BEGIN = 1_760_000_000
DAY = 86_400
SEARCHED = {"contacts": "data", "conversations": "conversations"}
"""Tables that are searched, with where an answer has the objects."""
PLAIN = {"admins": "admins", "tags": "data", "teams": "teams", "segments": "segments"}
CHANGING = (*SEARCHED, "companies", "segments")
"""Tables whose objects say when they were changed."""
SEARCH_PAGE, SCROLL_PAGE = 150, 100
SCROLL_SECONDS = 60


class IntercomPlayer(Player):
    source_type = "Intercom"
    begin = BEGIN
    page = SEARCH_PAGE
    limited: ClassVar[Reply] = Reply(
        {"type": "error.list", "errors": [{"code": "rate_limit_exceeded", "message": "Exceeded rate limit"}]},
        429,
        {"X-RateLimit-Limit": "1666", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1487332510"},
    )
    forbidden: ClassVar[Reply] = Reply(
        {"type": "error.list", "errors": [{"code": "api_plan_restricted", "message": "Active subscription needed."}]},
        403,
    )

    def __init__(self, provider: Provider) -> None:
        super().__init__(provider)
        self.scroll: int | None = None
        """How many companies the open scroll has given."""
        self.scrolled = 0.0

    def inputs(self) -> dict[str, str]:
        return {"access_token": TOKEN, "base_url": self.provider.url}

    def wrong_login(self) -> dict[str, str]:
        return {"access_token": "d3Jvbmc="}

    def page_of(self, table: str) -> int:
        return SEARCH_PAGE if table in SEARCHED else SCROLL_PAGE

    def comes_whole(self, table: str) -> bool:
        return table not in SEARCHED

    def route(self) -> None:
        for table in SEARCHED:
            self.provider.routes[f"/{table}/search"] = self._search
        for table in PLAIN:
            self.provider.routes[f"/{table}"] = self._list
        self.provider.routes["/companies/scroll"] = self._scroll

    def make(self, table: str, number: int, seconds: int) -> Object:
        made: Object = {"type": table.removesuffix("s"), "id": f"{number}", "name": f"{table} {number}"}
        if table in CHANGING:
            made |= {"created_at": BEGIN, "updated_at": BEGIN + seconds}
        return made

    def _list(self, asked: Asked) -> Reply:
        table = asked.path.removeprefix("/")
        if asked.query:
            return _wrong("parameter_invalid", f"{min(asked.query)} is unknown")
        return _refusal(asked, "GET") or Reply({"type": "list", PLAIN[table]: self.objects[table]})

    def _scroll(self, asked: Asked) -> Reply:
        if refusal := _refusal(asked, "GET"):
            return refusal
        if self.scroll is not None and time.monotonic() - self.scrolled > SCROLL_SECONDS:
            self.scroll = None
        param = asked.query.get("scroll_param")
        if set(asked.query) - {"scroll_param"} or (param is not None and (param != "s-1" or self.scroll is None)):
            return _wrong("not_found", "scroll parameter not found", 404)
        if param is None and self.scroll is not None:
            return _wrong("scroll_exists", "scroll already exists for this workspace")
        first = self.scroll or 0
        page = self.objects["companies"][first : first + SCROLL_PAGE]
        self.scroll, self.scrolled = first + len(page) if page else None, time.monotonic()
        return Reply({"type": "list", "data": page, "pages": None, "total_count": None, "scroll_param": "s-1"})

    def _search(self, asked: Asked) -> Reply:
        if refusal := _refusal(asked, "POST"):
            return refusal
        table, body = asked.path.removeprefix("/").removesuffix("/search"), asked.body
        if asked.query or not isinstance(body, dict) or set(body) - {"query", "pagination", "sort"}:
            return _wrong("parameter_invalid", "the request has something that a search does not know")
        query, sort, pagination = body.get("query") or {}, body.get("sort") or {}, body.get("pagination") or {}
        if set(query) != {"field", "operator", "value"} or (query["field"], query["operator"]) != ("updated_at", ">"):
            return _wrong("invalid_field", "the query is not one that is played here")
        if (sort.get("field"), sort.get("order", "descending")) != ("updated_at", "ascending"):
            return _wrong("invalid_field", "the order is not one that is played here")
        if not str(query["value"]).isdigit():
            return _wrong("invalid_value", "the value is no time")
        size = pagination.get("per_page", 50)
        if set(pagination) - {"per_page", "starting_after"} or not 1 <= size <= SEARCH_PAGE:
            return _wrong("parameter_invalid", "per_page must be from 1 to 150")
        found = sorted(
            (each["updated_at"], int(each["id"]), each)
            for each in self.objects[table]
            if _is_after(table, each["updated_at"], int(query["value"]))
        )
        after = pagination.get("starting_after")
        if after is not None:
            try:
                updated, number = b64decode(after, validate=True).decode().split("|")
            except ValueError:
                return _wrong("client_error", "Invalid starting_after param.")
            found = [each for each in found if each[:2] > (int(updated), int(number))]
        page, pages = found[:size], {"type": "pages", "page": 1, "per_page": size}
        if len(found) > size:
            token = b64encode(f"{page[-1][0]}|{page[-1][1]}".encode()).decode()
            pages = {**pages, "next": {"page": 2, "starting_after": token}}
        return Reply(
            {"type": "list", "total_count": len(found), "pages": pages, SEARCHED[table]: [e for *_, e in page]}
        )


def _is_after(table: str, changed: int, since: int) -> bool:
    """Times of contacts are whole days for a search, and what it finds is of a later one."""
    if table == "contacts":
        return changed // DAY > since // DAY
    return changed >= since


def _refusal(asked: Asked, method: str) -> Reply | None:
    if asked.headers.get("authorization") != f"Bearer {TOKEN}":
        return _wrong("unauthorized", "Access Token Invalid", 401)
    if asked.headers.get("intercom-version") != "2.14":
        return _wrong("intercom_version_invalid", "The requested version could not be found")
    if "application/json" not in asked.headers.get("accept", ""):
        return _wrong(
            "media_type_not_acceptable", "The Accept header should send a media type of application/json", 406
        )
    return None if asked.method == method else _wrong("not_found", "The requested resource was not found", 404)


def _wrong(code: str, message: str, status: int = 400) -> Reply:
    errors: list[dict[str, Any]] = [{"code": code, "message": message}]
    return Reply({"type": "error.list", "request_id": "r1", "errors": errors}, status)
