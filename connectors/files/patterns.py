"""Patterns of file names: ``*`` and ``?`` within a folder, ``**`` across folders, ``[a-z]`` one character. Pure.

As in a shell, none of them stands for a dot at the beginning of a name.
"""

import re

_WILDCARDS = re.compile(r"[*?\[]")
_DOTLESS = r"(?!\.)"


def literal_prefix(pattern: str) -> str:
    """The part that is in every name that the pattern matches."""
    found = _WILDCARDS.search(pattern)
    return pattern if found is None else pattern[: found.start()]


def compiled(pattern: str) -> re.Pattern[str]:
    """``ValueError`` says what is wrong with the pattern."""
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise ValueError("a pattern begins below the location, without / and ..")
    parts = pattern.split("/")
    if "" in parts:
        raise ValueError("it has an empty part between its slashes")
    expression = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            expression += rf"(?:{_DOTLESS}[^/]+/)*" + (rf"{_DOTLESS}[^/]+" if last else "")
        else:
            expression += _segment(part) + ("" if last else "/")
    return re.compile(expression, re.DOTALL)


def _segment(part: str) -> str:
    if "**" in part:
        raise ValueError("** stands for whole folders: it has a / on either side")
    expression, place = (_DOTLESS if part[0] in "*?[" else ""), 0
    while place < len(part):
        one = part[place]
        place += 1
        if one == "*":
            expression += "[^/]*"
        elif one == "?":
            expression += "[^/]"
        elif one == "[":
            end = part.find("]", place + 1)
            if end < 0:
                raise ValueError("a [ is not closed")
            chosen, negated = part[place:end], part[place] in "!^"
            inside = re.sub(r"([\\\[\]^&~|])", r"\\\1", chosen[1:] if negated else chosen)
            if not inside:
                raise ValueError("a [ holds nothing")
            expression += f"[^/{inside}]" if negated else f"[{inside}]"
            place = end + 1
        else:
            expression += re.escape(one)
    try:
        re.compile(expression)
    except re.error:
        raise ValueError("a [ holds no range of characters") from None
    return expression
