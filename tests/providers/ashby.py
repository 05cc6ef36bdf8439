"""Ashby, after https://developers.ashbyhq.com: calls by POST, cursors, sync tokens, and failures of status 200."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from tests.providers.player import Object, Player
from tests.providers.server import Asked, Reply

KEY = "ashby-key-1"
VERSION = "2026-01-01"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PAGING = ("limit", "cursor")
TIMES = ("createdAt", "updatedAt")


@dataclass(frozen=True)
class Call:
    """What a call knows. ``times``: those that its objects have."""

    path: str
    times: tuple[str, ...] = ()
    parent: tuple[str, str] | None = None
    """The table of what it must be asked for by, and the parameter for it."""
    knows: tuple[str, ...] = ()
    paged: bool = True
    tokens: bool = True


def child(path: str, table: str, param: str, *times: str, paged: bool = True) -> Call:
    return Call(path, times, (table, param), paged=paged, tokens=False)


ARCHIVED = ("includeArchived",)
CALLS = {
    "candidates": Call("candidate.list", TIMES),
    "candidate_notes": child("candidate.listNotes", "candidates", "candidateId", "createdAt"),
    "candidate_tags": Call("candidateTag.list", knows=ARCHIVED),
    "applications": Call("application.list", TIMES),
    "application_history": child("application.listHistory", "applications", "applicationId", "enteredStageAt"),
    "application_feedback": Call("applicationFeedback.list", ("submittedAt",)),
    "application_hiring_team_roles": Call("applicationHiringTeamRole.list", paged=False, tokens=False),
    "projects": Call("project.list", ("createdAt",)),
    "jobs": Call("job.list", TIMES),
    "job_postings": Call(
        "jobPosting.list", ("updatedAt",), knows=("includeUnpublishedJobPostings",), paged=False, tokens=False
    ),
    "job_templates": Call("jobTemplate.list", TIMES),
    "job_boards": Call("jobBoard.list", paged=False, tokens=False),
    "openings": Call("opening.list", ("openedAt",)),
    "close_reasons": Call("closeReason.list", knows=ARCHIVED, paged=False, tokens=False),
    "interviews": Call("interview.list", knows=(*ARCHIVED, "includeNonSharedInterviews")),
    "interview_plans": Call("interviewPlan.list", TIMES, knows=ARCHIVED),
    "interview_stages": child("interviewStage.list", "interview_plans", "interviewPlanId", paged=False),
    "interview_stage_groups": Call("interviewStageGroup.list", paged=False, tokens=False),
    "interview_schedules": Call("interviewSchedule.list", TIMES),
    "interview_events": child("interviewEvent.list", "interview_schedules", "interviewScheduleId", *TIMES),
    "interviewer_pools": Call("interviewerPool.list", knows=("includeArchivedPools", "includeArchivedTrainingStages")),
    "offers": Call("offer.list", ("decidedAt",)),
    "approvals": Call("approval.list", ("createdAt",)),
    "users": Call("user.list", ("updatedAt",), knows=("includeDeactivated",)),
    "departments": Call("department.list", TIMES, knows=ARCHIVED),
    "locations": Call("location.list", knows=ARCHIVED),
    "hiring_team_roles": Call("hiringTeamRole.list", knows=("namesOnly",), paged=False, tokens=False),
    "sources": Call("source.list", knows=ARCHIVED),
    "source_tracking_links": Call("sourceTrackingLink.list", knows=("includeDisabled",), tokens=False),
    "archive_reasons": Call("archiveReason.list", knows=ARCHIVED),
    "custom_fields": Call("customField.list", knows=ARCHIVED),
    "feedback_form_definitions": Call("feedbackFormDefinition.list", knows=ARCHIVED),
    "survey_form_definitions": Call("surveyFormDefinition.list"),
}
MOST_OBJECTS = 2**20
PARENTS = 3
"""How many the objects of a table are spread over, where they come in one answer each."""


class AshbyPlayer(Player):
    source_type = "Ashby"
    begin = BEGIN.timestamp()
    page = 100
    limited: ClassVar[Reply] = Reply(
        {"success": False, "errors": ["rate_limited"], "errorInfo": {"code": "rate_limited", "message": "Slow down."}},
        429,
        {"Retry-After": "0"},
    )
    forbidden: ClassVar[Reply] = Reply(
        {
            "success": False,
            "errors": ["missing_endpoint_permission"],
            "errorInfo": {"code": "missing_endpoint_permission", "message": "The key lacks a permission."},
        },
        403,
    )

    def inputs(self) -> dict[str, str]:
        return {"api_key": KEY, "base_url": self.provider.url}

    def wrong_login(self) -> dict[str, str]:
        return {"api_key": "ashby-key-2"}

    def route(self) -> None:
        self.oldest_token = 0
        for table, call in CALLS.items():
            self.provider.routes[f"/{call.path}"] = partial(self._answer, table)

    def make(self, table: str, number: int, seconds: int) -> Object:
        call = CALLS[table]
        made = (BEGIN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        found: Object = {"id": f"{table}-{number}", "title": f"{table} {number}", "isArchived": number % 5 == 0}
        if call.parent is not None:
            parents = self._parents(call.parent[0], 1 if call.paged else PARENTS)
            found[call.parent[1]] = parents[number % len(parents)]["id"]
        return {**found, **dict.fromkeys(call.times, made), "customFields": [{"title": "Level", "value": number}]}

    def comes_whole(self, table: str) -> bool:
        return not CALLS[table].paged and CALLS[table].parent is None

    def end_tokens(self, table: str) -> None:
        self.oldest_token = len(self.log[table]) + 1

    def _parents(self, table: str, count: int) -> list[Object]:
        while len(self.objects[table]) < count:
            self.put(table, len(self.objects[table]), 0)
        return self.objects[table][:count]

    def _answer(self, table: str, asked: Asked) -> Reply:
        call = CALLS[table]
        return _refused_login(asked) or _refused_shape(call, asked) or self._list(table, call, asked.body)

    def _list(self, table: str, call: Call, body: Mapping[str, Any]) -> Reply:
        listed, now = self.objects[table], len(self.log[table])
        if call.parent is not None:
            of, param = call.parent
            if body[param] not in [each["id"] for each in self.objects[of]]:
                return _failed("application_not_found", f"There is no {param} {body[param]}.")
            listed = [each for each in listed if each[param] == body[param]]
        if any(not body.get(name) for name in call.knows if name.startswith("includeArchived")):
            listed = [each for each in listed if not each["isArchived"]]
        if call.knows == ("namesOnly",) and body["namesOnly"]:
            return Reply({"success": True, "results": [each["title"] for each in listed]})
        if not call.paged:
            return Reply({"success": True, "results": listed, "moreDataAvailable": False})
        if (token := body.get("syncToken")) is not None:
            since = _number("token", token)
            if since is None or since > now:
                return _failed("sync_token_invalid", "The sync token cannot be decoded: omit it.")
            if since < self.oldest_token:
                return _failed("sync_token_expired", "The sync token has expired: omit it.")
            # Of what is listed, that which came behind the token.
            new = set(self.log[table][since:])
            listed = [each for each in listed if each["id"] in new]
        return self._page(table, body, listed, now)

    def _page(self, table: str, body: Mapping[str, Any], listed: list[Object], now: int) -> Reply:
        """A cursor is of the very call, token and parent that it was given for: the place of the last object in the
        order in which they were created, and when the pass began, from when on the next token tells.
        """
        call = CALLS[table]
        limit, of = (
            body.get("limit", 100),
            f"{call.path}/{body.get('syncToken')}/{call.parent and body[call.parent[1]]}",
        )
        if (cursor := body.get("cursor")) is not None:
            found = _number(of, cursor)
            if found is None:
                return _failed("invalid_next_cursor", "The cursor cannot be decoded: omit it.")
            now, place = divmod(found, MOST_OBJECTS)
            listed = [each for each in listed if self._place(table, each) > place]
        page, more = listed[:limit], len(listed) > limit
        answer: dict[str, Any] = {"success": True, "results": page, "moreDataAvailable": more}
        if more:
            answer["nextCursor"] = _sealed(of, now * MOST_OBJECTS + self._place(table, page[-1]))
        elif call.tokens:
            answer["syncToken"] = _sealed("token", now)
        return Reply(answer)

    def _place(self, table: str, found: Object) -> int:
        return self._numbers.get((table, found["id"]), -1)


def _refused_login(asked: Asked) -> Reply | None:
    given = asked.headers.get("authorization", "")
    if not given.startswith("Basic "):
        return Reply({"success": False, "errors": ["unauthorized"]}, 401)
    if given != f"Basic {b64encode(f'{KEY}:'.encode()).decode()}":
        return Reply(b"The API key is not valid.", 403)
    return None


def _refused_shape(call: Call, asked: Asked) -> Reply | None:
    if asked.method != "POST":
        return Reply(b"Not Found", 404)
    if asked.headers.get("ashby-version", VERSION) != VERSION:
        return _failed("invalid_version", "There is no such version.")
    if not isinstance(asked.body, dict):
        return _failed("invalid_input", "The body must be JSON, and said to be.")
    known = {*call.knows, *(PAGING if call.paged else ()), *(("syncToken",) if call.tokens else ())}
    required = {"namesOnly"} & known
    if call.parent is not None:
        known.add(call.parent[1])
        required.add(call.parent[1])
    if asked.query or not required <= set(asked.body) <= known:
        return _failed("invalid_input", f"The body must be of {', '.join(sorted(known))}.")
    limit = asked.body.get("limit", 100)
    if not isinstance(limit, int) or not 1 <= limit <= 100:
        return _failed("invalid_input", "limit: must be at most 100")
    return None


def _failed(code: str, message: str) -> Reply:
    return Reply(
        {"success": False, "errors": [code], "errorInfo": {"code": code, "message": message, "requestId": "01JS"}}
    )


def _sealed(of: str, number: int) -> str:
    return b64encode(f"{of}:{number}".encode()).decode()


def _number(of: str, sealed: Any) -> int | None:
    """None for what was not sealed here, or for something else."""
    try:
        found, _, number = b64decode(str(sealed), validate=True).decode().rpartition(":")
        return int(number) if found == of else None
    except ValueError:
        return None
