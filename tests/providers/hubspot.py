"""HubSpot, after its API reference (developers.hubspot.com): lists of the CRM by id, with ``paging.next.after``."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from tests.providers.player import Object, Player
from tests.providers.server import Asked, Reply

OBJECTS = ("contacts", "companies", "deals", "tickets", "products", "line_items")
PIPELINES = {"deal": "deals", "ticket": "tickets"}
LIST = {"limit", "after", "archived"}
BEGIN = 1_760_000_000
MOST = 100
DEFAULTS = {"hs_object_id", "createdate"}
"""Properties that come unasked."""


class HubSpotPlayer(Player):
    source_type = "HubSpot"
    begin = BEGIN
    page = MOST
    limited: ClassVar[Reply] = Reply(
        {
            "status": "error",
            "message": "You have reached your ten_secondly_rolling limit.",
            "errorType": "RATE_LIMIT",
            "correlationId": "c033cdaa-2c40-4a64-ae48-b4cec88dad24",
            "policyName": "TEN_SECONDLY_ROLLING",
        },
        429,
        {"X-HubSpot-RateLimit-Max": "190", "X-HubSpot-RateLimit-Interval-Milliseconds": "10000"},
    )
    forbidden: ClassVar[Reply] = Reply(
        {
            "status": "error",
            "message": "This app hasn't been granted all required scopes to make this call.",
            "errors": [{"message": "One or more of the following scopes are required."}],
            "category": "MISSING_SCOPES",
        },
        403,
    )

    def inputs(self) -> dict[str, str]:
        return {"access_token": "pat-eu1-1", "base_url": self.provider.url, "deal_properties": "dealname,amount"}

    def wrong_login(self) -> dict[str, str]:
        return {"access_token": "pat-eu1-wrong"}

    def route(self) -> None:
        self._given: set[str] = set()
        for name in OBJECTS:
            self.provider.routes[f"/crm/v3/objects/{name}"] = self._objects
        self.provider.routes["/crm/v3/owners"] = self._owners
        for path in PIPELINES.values():
            self.provider.routes[f"/crm/v3/pipelines/{path}"] = self._pipelines
            self.provider.routes[f"/crm/v3/pipelines/{path}/*"] = self._stages

    def put(self, table: str, number: int, seconds: int) -> Object:
        """An account has no more pipelines than an answer holds; stages are those of three of them."""
        if table.endswith("_pipelines") and len(self.objects[table]) >= MOST:
            return self.objects[table][-1]
        if table.endswith("_stages"):
            parents = f"{table.removesuffix('_stages')}_pipelines"
            for parent in range(len(self.objects[parents]), 3):
                self.put(parents, parent, seconds)
        return super().put(table, number, seconds)

    def key(self, table: str, found: Any) -> Any:
        return (found["pipeline_id"], found["id"]) if table.endswith("_stages") else super().key(table, found)

    def make(self, table: str, number: int, seconds: int) -> Object:
        time = datetime.fromtimestamp(BEGIN + seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made: Object = {
            "id": str(10_000 + number),
            "createdAt": time,
            "updatedAt": time,
            "archived": table.startswith("archived_"),
        }
        match table:
            case "owners" | "archived_owners":
                return {**made, "type": "PERSON", "email": f"{number}@example.com", "userId": number, "teams": []}
            case "deal_pipelines" | "ticket_pipelines":
                return {**made, "label": f"Pipeline {number}", "displayOrder": number, "stages": []}
            case "deal_stages" | "ticket_stages":
                more = {"label": f"Stage {number}", "displayOrder": number, "metadata": {"isClosed": "false"}}
                return {**made, **more, "pipeline_id": str(10_000 + number % 3)}
        properties = {"hs_object_id": made["id"], "createdate": time, "dealname": f"Deal {number}", "amount": None}
        return {**made, "properties": properties}

    def _with_other_text(self, found: Object, number: int) -> Object:
        if "properties" not in found:
            return super()._with_other_text(found, number)
        return {**found, "properties": {**found["properties"], "dealname": f"change {number}"}}

    def _objects(self, asked: Asked) -> Reply:
        allowed = {*LIST, "properties", "propertiesWithHistory", "associations"}
        wanted = {*DEFAULTS, *asked.query.get("properties", "").split(",")}
        listed = [
            {**each, "properties": {name: value for name, value in each["properties"].items() if name in wanted}}
            for each in self.objects[asked.path.removeprefix("/crm/v3/objects/")]
        ]
        return _refusal(asked) or self._page(asked, listed, 10, allowed)

    def _owners(self, asked: Asked) -> Reply:
        archived = asked.query.get("archived", "false") == "true"
        listed = self.objects["archived_owners" if archived else "owners"]
        return _refusal(asked) or self._page(asked, listed, 100, {*LIST, "email"})

    def _page(self, asked: Asked, objects: list[Object], default: int, allowed: set[str]) -> Reply:
        if unknown := set(asked.query) - allowed:
            return _invalid(f"Unknown parameter {min(unknown)}")
        limit = int(asked.query.get("limit", default))
        if not 1 <= limit <= MOST:
            return _invalid(f"Number of items to return must be between 1 and {MOST}")
        after = asked.query.get("after")
        if after is not None and after not in self._given:
            return _invalid("The paging cursor is invalid")
        listed = sorted(objects, key=lambda each: int(each["id"]))
        listed = [each for each in listed if after is None or int(each["id"]) >= int(after)]
        if len(listed) <= limit:
            return Reply({"results": listed})
        following = listed[limit]["id"]
        self._given.add(following)
        link = f"{self.provider.url}{asked.path}?limit={limit}&after={following}"
        return Reply({"results": listed[:limit], "paging": {"next": {"after": following, "link": link}}})

    def _pipelines(self, asked: Asked) -> Reply:
        return _refusal(asked) or Reply({"results": self.objects[f"{_kind(asked)}_pipelines"]})

    def _stages(self, asked: Asked) -> Reply:
        pipeline, kind = asked.path.split("/")[5], _kind(asked)
        if pipeline not in {each["id"] for each in self.objects[f"{kind}_pipelines"]}:
            return Reply({"status": "error", "message": "resource not found", "category": "OBJECT_NOT_FOUND"}, 404)
        stages = [
            {name: value for name, value in each.items() if name != "pipeline_id"}
            for each in self.objects[f"{kind}_stages"]
            if each["pipeline_id"] == pipeline
        ]
        return _refusal(asked) or Reply({"results": stages})


def _kind(asked: Asked) -> str:
    return next(kind for kind, path in PIPELINES.items() if asked.path.startswith(f"/crm/v3/pipelines/{path}"))


def _refusal(asked: Asked) -> Reply | None:
    if asked.headers.get("authorization") == "Bearer pat-eu1-1":
        return None
    message = "Authentication credentials not found. This API supports OAuth 2.0 authentication."
    return Reply({"status": "error", "message": message, "category": "INVALID_AUTHENTICATION"}, 401)


def _invalid(message: str) -> Reply:
    return Reply({"status": "error", "message": message, "category": "VALIDATION_ERROR"}, 400)
