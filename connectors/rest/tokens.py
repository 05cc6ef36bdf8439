"""One access token for all who log in alike, and one of them at a time who asks for the next.

A refresh token that is sent may have ended with it, and its successor is in the answer alone. So nobody else sends it
meanwhile, an exchange that has begun is carried to its end, and what came is kept before it is used.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from connectors.deadline import remaining
from connectors.errors import BusyError, CredentialsError, SourceError, UnreachableError
from connectors.tokens import OWN, Kept, Tokens

log = structlog.get_logger()

CLAIM_SECONDS = 45.0
"""Longer than an exchange may take. After so long others go on where a process was killed over one."""
MOST_WAIT_SECONDS = 2 * CLAIM_SECONDS
KEEP_SECONDS = 300.0
"""For so long a new refresh token waits for the database to be there again."""
PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Login:
    account: str
    """Digest of who logs in where. Of secrets that could be guessed it tells nothing."""
    terms: str = field(repr=False)
    """Of all else that is sent for a token: one that was given on other terms is none for this login."""
    refresh_token: str | None = field(default=None, repr=False)
    """As its user gave it; None where the client's own credentials are all that is needed."""


@dataclass(frozen=True)
class Grant:
    """What a provider gave, or is left of it."""

    access_token: str = field(repr=False)
    good_seconds: float | None = None
    """None: until it is refused."""
    refresh_token: str | None = field(default=None, repr=False)
    """The next one, where there is another."""


Exchange = Callable[[str | None], Grant]
"""Asks the provider, by the newest refresh token. Raises ``SourceError`` only."""


def granted(tokens: Tokens, login: Login, exchange: Exchange, refused: str | None = None) -> Grant:
    """The newest access token that is good and not the one that was refused.

    Raises ``SourceError`` only. Where the newest tokens are kept nobody may answer: then a login by a refresh token
    waits (``BusyError``), as the one that its user gave may have ended long ago, and a new one would be lost.
    """
    try:
        return _shared(tokens, login, exchange, refused)
    except SourceError:
        raise
    except Exception as error:
        if login.refresh_token is not None:
            raise BusyError(
                "The database that keeps the newest tokens of this login does not give them; the run goes on when it "
                "does."
            ) from error
        log.warning("the shared tokens are away", error=type(error).__name__)
        return _shared(OWN, login, exchange, refused)


def _shared(tokens: Tokens, login: Login, exchange: Exchange, refused: str | None) -> Grant:
    give_up = time.monotonic() + MOST_WAIT_SECONDS
    while True:
        kept = tokens.kept(login.account)
        if (found := _usable(kept, login, refused)) is not None:
            return found
        left = remaining()
        claim = None if kept.claimed_seconds else tokens.claim(login.account, kept.version, CLAIM_SECONDS)
        if claim is not None:
            asking = _Asking(tokens, login, exchange, kept, claim)
            if (found := _to_its_end(asking.run, left)) is not None:
                return found
        if time.monotonic() > give_up:
            raise BusyError("Others have been asking for an access token for too long; the run tries again.")
        time.sleep(PAUSE_SECONDS if left is None else min(left, PAUSE_SECONDS))


def _usable(kept: Kept, login: Login, refused: str | None) -> Grant | None:
    token, good = kept.values.get("access_token"), kept.good_seconds
    if token is None or token == refused or (good is not None and good <= 0):
        return None
    return Grant(token, good) if kept.values["terms"] == login.terms else None


@dataclass(frozen=True)
class _Asking:
    """An exchange, by whoever has the claim on it."""

    tokens: Tokens
    login: Login
    exchange: Exchange
    kept: Kept
    claim: str

    def run(self) -> Grant | None:
        """None where somebody else has kept newer tokens meanwhile, as after a claim that ended too soon."""
        newest = self.kept.values.get("refresh_token", self.login.refresh_token)
        try:
            began = time.monotonic()
            grant = self.exchange(newest)
            return grant if self._is_kept(grant, newest, began) else None
        except CredentialsError:
            if self.tokens.kept(self.login.account).version != self.kept.version:
                return None
            raise
        finally:
            # Where the tokens were kept there is nothing to give back.
            with suppress(Exception):
                self.tokens.release(self.login.account, self.claim)

    def _is_kept(self, grant: Grant, newest: str | None, began: float) -> bool:
        next_one = grant.refresh_token or newest
        values = {"access_token": grant.access_token, "terms": self.login.terms}
        values |= {} if next_one is None else {"refresh_token": next_one}
        give_up = time.monotonic() + KEEP_SECONDS
        while True:
            good = None if grant.good_seconds is None else grant.good_seconds - (time.monotonic() - began)
            try:
                return self.tokens.keep(self.login.account, self.kept.version, values, good)
            except Exception as error:
                if next_one == newest:
                    # Nothing is lost but a request.
                    return True
                if time.monotonic() > give_up:
                    log.error("a new refresh token could not be kept", error=type(error).__name__)
                    raise
            time.sleep(PAUSE_SECONDS)


def _to_its_end(work: Callable[[], Grant | None], patience_seconds: float | None) -> Grant | None:
    """In a thread of its own, which goes on when whoever waits has no more patience."""
    done: Future[Grant | None] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="asking for a token").start()
    try:
        return done.result(patience_seconds)
    except TimeoutError as error:
        raise UnreachableError("The source did not answer in time.") from error
