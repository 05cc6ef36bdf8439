"""Which Singer taps an installation lets its sources run: the operator's list."""

import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,99}")


@dataclass(frozen=True)
class AllowedTap:
    """``program``: a path, or a name that is looked up on the PATH of the process that runs it."""

    name: str
    program: str


def allowed_taps(text: str) -> tuple[AllowedTap, ...]:
    """The taps of a list such as ``tap-csv, tap-postgres=/opt/taps/tap-postgres``. ``ValueError`` for what is none."""
    found: dict[str, AllowedTap] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, is_given, program = (each.strip() for each in part.partition("="))
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a tap")
        if is_given and not program.startswith("/"):
            raise ValueError(f"the program of {name} is no absolute path")
        if name in found:
            raise ValueError(f"{name} is named twice")
        found[name] = AllowedTap(name, program or name)
    return tuple(found.values())
