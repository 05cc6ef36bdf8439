"""What is wrong with a declaration: where, and what to write instead."""

from collections.abc import Sequence
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_TAGGED = ("paging", "auth")
"""Members whose ``type`` stands in the place of an error as well."""
_SENTENCES = {
    "missing": "is missing",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "mapping_type": "must be an object",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "has a character that cannot be there",
    "union_tag_not_found": "has no type",
}


def described(error: ValidationError, known: Sequence[str]) -> str:
    """The first mistake, as ``resources.0.path: is missing``. ``known``: what members there are."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = _place(first["loc"])
    said = _said(first, known)
    # Checks of the whole name the place themselves.
    return said if not place else f"{place}: {said}"


def _place(loc: Sequence[str | int]) -> str:
    kept = [str(each) for number, each in enumerate(loc) if not (number and loc[number - 1] in _TAGGED)]
    # A value that may be of several types is wrong as each of them.
    while kept and (kept[-1] in ("str", "int", "float", "bool") or kept[-1].startswith("function-")):
        kept.pop()
    return ".".join(kept)


def _said(error: ErrorDetails, known: Sequence[str]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    match kind:
        case "value_error":
            return str(context["error"])
        case "union_tag_invalid":
            return f"the type must be one of {_plain(context['expected_tags'])}"
        case "literal_error":
            return f"must be {_plain(context['expected'])}"
        case "extra_forbidden":
            close = get_close_matches(str(error["loc"][-1]), known, 1)
            return "is not known here" + (f"; is {close[0]} meant?" if close else "")
        case "greater_than" | "greater_than_equal" | "less_than_equal":
            name, words = _BOUNDS[kind]
            return f"must be {words} {context[name]:g}"
        case "too_short":
            return "must have at least one entry"
        case "too_long" | "string_too_long":
            return "is too long"
        case _:
            return _SENTENCES.get(kind, "is not what belongs there")


_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
}


def _plain(listed: str) -> str:
    return listed.replace("'", "")
