"""Loaded by the fuzzer: valid requests reach a source that is there, and the fuzzer's own key and project stay."""

import json
import os
import secrets
from typing import Any

import schemathesis
from schemathesis.core.parameters import ParameterLocation

CONNECTION: dict[str, Any] = json.loads(os.environ.get("FUZZ_CONNECTION", "{}"))
OBJECTS: dict[str, str] = json.loads(os.environ.get("FUZZ_OBJECTS", "{}"))
"""By collection, one that is there."""

KEPT = frozenset(os.environ.get("FUZZ_KEPT", "").split())
"""Ids that no call may delete."""

FORM = "application/x-www-form-urlencoded"
LONG_URL = 30_000
"""Characters; beyond twice as many the HTTP parser answers in plain text, before any of our code."""

TABLES = [{"name": "customer"}, {"name": "orders", "should_sync": True, "sync_type": "full_refresh"}]


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Not the deletion of what the fuzzer stands on, and nothing that the wire makes something else of."""
    if case.method == "DELETE" and KEPT & {str(value) for value in case.path_parameters.values()}:
        return False
    return len(str(case.query)) < LONG_URL and not _is_wrong_form(case) and not _has_a_list_of_one(case)


def _is_wrong_form(case: schemathesis.Case) -> bool:
    """In a form a text is a list of one, and an empty one null: what is wrong in JSON need not be wrong there."""
    body = case.meta.components.get(ParameterLocation.BODY) if case.meta else None
    return case.media_type == FORM and body is not None and body.mode is schemathesis.GenerationMode.NEGATIVE


def _has_a_list_of_one(case: schemathesis.Case) -> bool:
    """In a URL it is the one thing itself: no call here takes a list."""
    return any(isinstance(value, list) and len(value) == 1 for value in (case.query or {}).values())


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Half of the valid requests are about something that is there: a generated id or host leads nowhere."""
    if not _valid(case) or secrets.randbelow(2):
        return
    collection = case.path.split("/")[4:5]
    if case.method != "DELETE" and "id" in case.path_parameters and collection and collection[0] in OBJECTS:
        case.path_parameters["id"] = OBJECTS[collection[0]]
    if case.operation.definition.raw.get("operationId") == "external_data_sources_create":
        _reach_the_source(case)


def _reach_the_source(case: schemathesis.Case) -> None:
    if isinstance(case.body, dict) and isinstance(case.body.get("payload"), dict):
        case.body["source_type"] = "Postgres"
        case.body["prefix"] = f"f{secrets.token_hex(4)}_"
        case.body["payload"] = {**CONNECTION, "schemas": TABLES}


def _valid(case: schemathesis.Case) -> bool:
    return case.meta is not None and case.meta.generation.mode == schemathesis.GenerationMode.POSITIVE
