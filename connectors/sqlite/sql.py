"""Names and conditions as SQL text. Values of the user's travel beside it, as parameters."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Condition:
    """``sql`` with a ``?`` for each of ``values``, in their order."""

    sql: str
    values: tuple[Any, ...] = ()


def all_of(conditions: Iterable[Condition]) -> Condition:
    """True where each of them is."""
    found = list(conditions)
    sql = " AND ".join(f"({each.sql})" for each in found) or "1"
    return Condition(sql, tuple(value for each in found for value in each.values))


def reference(column: str) -> str:
    """A column of the table under read, whose alias is ``t``. Alone in its quotes it might be taken for a text."""
    return f"t.{identifier(column)}"
