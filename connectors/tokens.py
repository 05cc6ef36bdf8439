"""Where the newest tokens of a login are kept, and who may ask its provider for the next ones.

Many providers end a refresh token with its use and give another: all who log in with one have to share what came.
"""

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Kept(Protocol):
    """What is kept of an account."""

    @property
    def version(self) -> int:
        """Goes up with whatever is kept. 0 is nothing."""

    @property
    def values(self) -> Mapping[str, str]: ...

    @property
    def good_seconds(self) -> float | None:
        """How long the values are good yet; None for as long as nobody finds otherwise."""

    @property
    def claimed_seconds(self) -> float:
        """For how long somebody may still be asking for the next version; 0 where nobody is."""


class Tokens(Protocol):
    """Hashable, and survives a pickle. ``account``: the same text for all who share tokens, 64 characters at the most.

    Raises whatever stands in the way of an answer.
    """

    def kept(self, account: str) -> Kept: ...

    def claim(self, account: str, version: int, seconds: float) -> str | None:
        """The right to ask for what follows this version, alone and for so long.

        None where somebody else has it, or the version is not the newest.
        """

    def release(self, account: str, claim: str) -> None:
        """Give the right back, if it is still one's own."""

    def keep(self, account: str, version: int, values: Mapping[str, str], good_seconds: float | None) -> bool:
        """In place of this version, which ends any claim. False, and nothing is changed, where it is not the newest."""


@dataclass(frozen=True)
class OwnTokens:
    """For this process alone. Thread-safe."""

    def kept(self, account: str) -> Kept:
        with _LOCK:
            found, now = _KEPT.get(account, _NOTHING), time.monotonic()
            good = None if found.good_until is None else found.good_until - now
            return _Seen(found.version, found.values, good, max(0.0, found.claimed_until - now))

    def claim(self, account: str, version: int, seconds: float) -> str | None:
        with _LOCK:
            found = _KEPT.setdefault(account, _Entry())
            if found.version != version or found.claimed_until > time.monotonic():
                return None
            found.claim, found.claimed_until = secrets.token_hex(16), time.monotonic() + seconds
            return found.claim

    def release(self, account: str, claim: str) -> None:
        with _LOCK:
            found = _KEPT.get(account)
            if found is not None and found.claim == claim:
                found.claimed_until = 0.0

    def keep(self, account: str, version: int, values: Mapping[str, str], good_seconds: float | None) -> bool:
        with _LOCK:
            if _KEPT.get(account, _NOTHING).version != version:
                return False
            good_until = None if good_seconds is None else time.monotonic() + good_seconds
            _KEPT[account] = _Entry(version + 1, dict(values), good_until)
            return True


@dataclass
class _Entry:
    version: int = 0
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    good_until: float | None = None
    claim: str | None = None
    claimed_until: float = 0.0


@dataclass(frozen=True)
class _Seen:
    version: int
    values: Mapping[str, str] = field(repr=False)
    good_seconds: float | None
    claimed_seconds: float


OWN = OwnTokens()
_LOCK = threading.Lock()
_NOTHING = _Entry()
_KEPT: dict[str, _Entry] = {}
