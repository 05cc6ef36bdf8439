"""Zendesk Support, after its API reference (developer.zendesk.com): incremental exports by cursor and by time, lists by
``page[after]``, their limits and errors.
"""

from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import ClassVar
from urllib.parse import quote

from tests.providers.player import Object, Player
from tests.providers.server import Asked, Reply

BY_CURSOR = ("tickets", "users")
BY_TIME = ("organizations", "ticket_events", "ticket_metric_events")
LISTS = ("groups", "group_memberships", "organization_memberships", "ticket_fields", "satisfaction_ratings")
TIMES = {"tickets": "generated_timestamp", "ticket_events": "timestamp", "ticket_metric_events": "time"}
"""By which an export goes, where it is not ``updated_at``."""
BEGIN = 1_760_000_000
MOST_EXPORTED = 1000
MOST_LISTED = 100
UNSEEN_SECONDS = 60
"""Exports leave out what changed so recently."""


class ZendeskPlayer(Player):
    source_type = "Zendesk"
    begin = BEGIN
    page = MOST_LISTED
    limited: ClassVar[Reply] = Reply(
        b"Number of allowed incremental export API requests per minute exceeded", 429, {"Retry-After": "0"}
    )
    forbidden: ClassVar[Reply] = Reply(
        {"error": {"title": "Forbidden", "message": "You do not have access to this page."}}, 403
    )

    def inputs(self) -> dict[str, str]:
        return {
            "subdomain": "company",
            "email": "admin@company.example",
            "api_token": "token-1",
            "base_url": f"{self.provider.url}/api/v2",
        }

    def wrong_login(self) -> dict[str, str]:
        return {"api_token": "token-wrong"}

    def page_of(self, table: str) -> int:
        return MOST_LISTED if table in LISTS else MOST_EXPORTED

    def pages_overlap(self, table: str) -> bool:
        return table in BY_TIME

    def unseen_seconds(self, table: str) -> float:
        return 0.0 if table in LISTS else UNSEEN_SECONDS

    def route(self) -> None:
        routes = self.provider.routes
        self._cursors: set[str] = set()
        for name in BY_CURSOR:
            routes[f"/api/v2/incremental/{name}/cursor"] = self._by_cursor
            routes[f"/api/v2/incremental/{name}/cursor.json"] = self._by_cursor
        for name in BY_TIME:
            routes[f"/api/v2/incremental/{name}"] = self._by_time
        for name in LISTS:
            routes[f"/api/v2/{name}"] = self._list

    def make(self, table: str, number: int, seconds: int) -> Object:
        moment = datetime.fromtimestamp(BEGIN + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        made: Object = {"id": 10_000 + number, "created_at": moment, "updated_at": moment}
        match table:
            case "tickets":
                fields = [{"id": 27642, "value": str(number)}]
                return {**made, "generated_timestamp": BEGIN + seconds, "status": "open", "custom_fields": fields}
            case "ticket_events":
                comment = {"id": number, "event_type": "Comment", "body": f"Comment {number}", "public": True}
                event = {"ticket_id": number, "timestamp": BEGIN + seconds, "event_type": "Audit"}
                return {"id": made["id"], "created_at": moment, **event, "child_events": [comment]}
            case "ticket_metric_events":
                return {
                    "id": made["id"],
                    "ticket_id": number,
                    "metric": "reply_time",
                    "type": "fulfill",
                    "time": moment,
                }
            case _:
                return {**made, "name": f"Name {number}", "url": f"{self.provider.url}/api/v2/{table}/{number}.json"}

    def delete(self, table: str, found: Object, seconds: int) -> None:
        """Deleted tickets and users are exported, as changed ones."""
        if table not in BY_CURSOR:
            return super().delete(table, found, seconds)
        gone: Object = {"status": "deleted"} if table == "tickets" else {"active": False}
        return self._replace(table, found, {**found, **self._times(table, found, seconds), **gone})

    def _by_cursor(self, asked: Asked) -> Reply:
        """``start_time`` begins, ``cursor`` goes on: an opaque text that was given before."""
        name, query = asked.path.split("/")[4], asked.query
        if refused := _refusal(asked, {"start_time", "cursor", "per_page", "include", "exclude_deleted"}):
            return refused
        size = int(query.get("per_page", MOST_EXPORTED))
        if not 1 <= size <= MOST_EXPORTED:
            return _invalid("per_page must be at most 1000")
        if (cursor := query.get("cursor")) is None:
            if wrong := self._wrong_start(query.get("start_time")):
                return wrong
            found = [each for each in self._exported(name) if _time(name, each) >= int(query["start_time"])]
        elif cursor in self._cursors:
            moment, last = map(int, b64decode(cursor).decode().split("|"))
            found = [each for each in self._exported(name) if (_time(name, each), each["id"]) > (moment, last)]
        else:
            return _invalid("cursor is invalid")
        page = found[:size]
        after = self._cursor(name, page[-1]) if page else cursor
        url = f"{self.provider.url}/api/v2/incremental/{name}/cursor.json?cursor={quote(after or '')}&per_page={size}"
        return Reply(
            {
                name: page,
                "after_cursor": after,
                "after_url": url if after else None,
                "before_cursor": None,
                "before_url": None,
                "end_of_stream": len(found) <= size,
            }
        )

    def _by_time(self, asked: Asked) -> Reply:
        """A page goes on to the end of its last second, from which the next one begins: that second comes twice."""
        name, query = asked.path.split("/")[4], asked.query
        if refused := _refusal(asked, {"start_time", "include", "per_page"}):
            return refused
        if wrong := self._wrong_start(query.get("start_time")):
            return wrong
        found = [each for each in self._exported(name) if _time(name, each) >= int(query["start_time"])]
        page = found[:MOST_EXPORTED]
        end = _time(name, page[-1]) if page else None
        page += [each for each in found[MOST_EXPORTED:] if _time(name, each) == end]
        if name == "ticket_events" and query.get("include") != "comment_events":
            page = [{**each, "child_events": [{"comment_present": True}]} for each in page]
        url = f"{self.provider.url}{asked.path}.json?start_time={end}"
        return Reply(
            {
                name: page,
                "count": len(page),
                "end_time": end,
                "next_page": url if page else None,
                "end_of_stream": len(page) == len(found),
            }
        )

    def _list(self, asked: Asked) -> Reply:
        """With ``page[size]``, by which Zendesk tells its paging by cursors from the one by numbers."""
        name, query = asked.path.removeprefix("/api/v2/"), asked.query
        if refused := _refusal(asked, {"page[size]", "page[after]", "page[before]"}):
            return refused
        size = int(query.get("page[size]", 0))
        if not 1 <= size <= MOST_LISTED:
            return _invalid("page[size] must be between 1 and 100")
        after = query.get("page[after]")
        if after is not None and after not in self._cursors:
            return _invalid("page[after] is not valid")
        last = int(b64decode(after).decode().split("|")[1]) if after else 0
        found = sorted((each for each in self.objects[name] if each["id"] > last), key=lambda each: int(each["id"]))
        page, more = found[:size], len(found) > size
        meta = {"has_more": more, "after_cursor": self._cursor(name, page[-1]) if page else None}
        return Reply({name: page, "meta": {**meta, "before_cursor": None}, "links": {"prev": None, "next": None}})

    def _exported(self, name: str) -> list[Object]:
        seen = [each for each in self.objects[name] if _time(name, each) <= self.provider.clock() - UNSEEN_SECONDS]
        return sorted(seen, key=lambda each: (_time(name, each), each["id"]))

    def _cursor(self, name: str, last: Object) -> str:
        cursor = b64encode(f"{_time(name, last)}|{last['id']}".encode()).decode()
        self._cursors.add(cursor)
        return cursor

    def _wrong_start(self, start_time: str | None) -> Reply | None:
        if start_time is None or not start_time.isdecimal():
            return _invalid("start_time is required")
        if int(start_time) > self.provider.clock() - UNSEEN_SECONDS:
            told = {
                "error": "InvalidValue",
                "description": "Too recent start_time. Use a start_time older than 1 minute",
            }
            return Reply(told, 422)
        return None


def _time(name: str, each: Object) -> int:
    value = each[TIMES.get(name, "updated_at")]
    return value if isinstance(value, int) else int(datetime.fromisoformat(value).timestamp())


def _refusal(asked: Asked, known: set[str]) -> Reply | None:
    login = b64encode(b"admin@company.example/token:token-1").decode()
    if asked.headers.get("authorization") != f"Basic {login}":
        return Reply({"error": "Couldn't authenticate you"}, 401)
    unknown = set(asked.query) - known
    return _invalid(f"unknown parameter {min(unknown)}") if unknown else None


def _invalid(message: str) -> Reply:
    return Reply({"error": "InvalidValue", "description": message}, 400)
