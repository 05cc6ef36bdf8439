"""What a table knows of its inbox beside its rows: which files its newest commit has taken out, and which objects are
gone. The commit's state leads there, so that both are as the rows are, whatever crashes.
"""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from lake.errors import LakeError
from lake.orders import Key
from lake.storage import LakeStore

GONE_DAYS = 30
"""For how long a late event of an object that is gone does not bring it back."""
LEFT_OVER = timedelta(days=1)
"""What no commit led to in so long is of an attempt that died."""


@dataclass(frozen=True)
class Gone:
    """When an object went, by the order of its rows and by our own clock (seconds since the epoch)."""

    order: int
    at: float


@dataclass(frozen=True)
class Ledger:
    taken: tuple[str, ...] = ()
    """Names of files of the inbox, all of whose events are in the table: they can go."""
    gone: Mapping[Key, Gone] = field(default_factory=dict)
    since: int | None = None
    """The order of the oldest row that was read: what is older and has no row may have gone before anybody looked."""


def ledger_root(schema_id: str) -> str:
    return f"_ledgers/{schema_id}"


class Ledgers:
    """Of one table. A state is what ``keep`` gave, and None before the first."""

    def __init__(self, store: LakeStore, root: str) -> None:
        self._store = store
        self._root = root

    def read(self, state: str | None) -> Ledger:
        if state is None:
            return Ledger()
        names = json.loads(state)
        gone = self._content(names["gone"]) if names["gone"] else []
        return Ledger(
            tuple(self._content(names["taken"])),
            {tuple(key): Gone(order, at) for key, order, at in gone},
            names.get("since"),
        )

    def keep(self, ledger: Ledger, state: str | None, earlier: Mapping[Key, Gone]) -> str:
        """Write it, beside what is there: it counts with the commit that has this state. ``state`` and ``earlier`` are
        of the commit before: objects that were gone already are not written again.
        """
        names = {
            "taken": self._written(list(ledger.taken)),
            "gone": json.loads(state)["gone"] if state else None,
            "since": ledger.since,
        }
        if ledger.gone != earlier:
            known = [[list(key), gone.order, gone.at] for key, gone in ledger.gone.items()]
            names["gone"] = self._written(known) if known else None
        return json.dumps(names, sort_keys=True)

    def clear(self, state: str | None, at: datetime) -> None:
        """Delete what the state does not lead to, and nobody is about to commit. ``at``: no later than when the state
        was seen to be that of the table's newest commit.
        """
        needed = set(json.loads(state).values()) if state else set()
        # By their names the oldest come first.
        left = takewhile(lambda each: each.modified < at - LEFT_OVER, self._store.list(self._root))
        self._store.delete(each.path for each in left if each.path not in needed)

    def _written(self, content: object) -> str:
        path = f"{self._root}/{time.time_ns() // 1000:017d}-{uuid.uuid4().hex[:12]}.json"
        self._store.write_json(path, content)
        return path

    def _content(self, path: str) -> Any:
        content = self._store.read_json(path)
        if content is None:
            raise LakeError("The table's ledger is gone: resync the table.")
        return content
