"""Asking a provider for an access token, as OAuth 2 has it."""

import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client

from connectors.errors import BusyError, CredentialsError, SourceError, UnreachableError
from connectors.outbound.http import CONNECT_SECONDS
from connectors.rest.answers import is_limited, is_passing, wait_of
from connectors.rest.declaration import Limits, OAuth2Auth
from connectors.rest.templates import filled
from connectors.rest.tokens import Grant, Login
from connectors.rest.wires import Wires

ANSWER_SECONDS = 30.0
"""With more patience than others deserve: a refresh token may have ended although its successor has not come. For all
of an answer, once there is a connection.
"""
MOST_ANSWER_BYTES = 2**20

LEEWAY_SECONDS = 60.0
"""So long before its end a token is replaced, or for the last quarter of its time."""

_REFUSALS = {
    "invalid_client": "The API does not take the client id and the client secret.",
    "unauthorized_client": "The API does not allow this client to ask for tokens of this kind.",
    "invalid_grant": "The refresh token has ended or was withdrawn: connect the account anew.",
    "invalid_scope": "The API does not give this client the scope that is asked for.",
}
_REFUSED = "The API gives no token for these credentials."

_OF_THE_WIRE = ("content-encoding", "content-length", "transfer-encoding")

Transport = Callable[[], httpx2.BaseTransport]


class Asking:
    """For one login. Thread-safe."""

    def __init__(self, auth: OAuth2Auth, inputs: Mapping[str, str], transport: Transport) -> None:
        self._transport = transport
        self._url = filled(auth.token_url, inputs)
        self._client_id, self._client_secret = filled(auth.client_id, inputs), filled(auth.client_secret, inputs)
        self._method = f"client_secret_{'basic' if auth.client_auth == 'basic' else 'post'}"
        self._scope = filled(auth.scope, inputs) if auth.scope else None
        self.login = self._login(filled(auth.refresh_token, inputs) if auth.refresh_token else None)

    def _login(self, refresh_token: str | None) -> Login:
        """A secret of a client may be short, or be replaced at the provider: it is of the terms, which are encrypted
        where they are kept. A refresh token that the user gives anew is an account of its own.
        """
        account = _digest(self._url, self._client_id, self._scope if refresh_token is None else (refresh_token,))
        return Login(account, _digest(self._client_secret, self._scope), refresh_token)

    def grant(self, refresh_token: str | None) -> Grant:
        """By this refresh token, or for the client itself."""
        by = {"grant_type": "client_credentials"}
        if refresh_token is not None:
            by = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        try:
            with self._client() as client:
                return _granted(client.fetch_token(self._url, **by))
        except OAuthError as error:
            # Without its description, which may have the token in it.
            code = error.error if error.error in tuple(_REFUSALS) else "another code"
            raise CredentialsError(_REFUSALS.get(code, _REFUSED)) from OAuthError(code)
        except httpx2.HTTPError as error:
            raise UnreachableError("The address that gives tokens does not answer.") from error
        except SourceError:
            raise
        except Exception as error:
            raise CredentialsError(
                "The address that gives tokens does not answer with one: check token_url."
            ) from error

    def _client(self) -> OAuth2Client:
        client = _Client(
            self._client_id,
            self._client_secret,
            scope=self._scope,
            token_endpoint_auth_method=self._method,
            transport=self._transport(),
            timeout=httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            trust_env=False,
        )
        client.register_compliance_hook("access_token_response", _passing)
        return client


class _Client(OAuth2Client):  # type: ignore[misc]
    """Takes no more time for an answer than it may have, and no more of it."""

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        wires, until = Wires(), time.monotonic() + CONNECT_SECONDS + ANSWER_SECONDS
        request.extensions = {**request.extensions, "trace": wires.noted}
        late = threading.Timer(CONNECT_SECONDS + ANSWER_SECONDS, wires.cut)
        late.daemon = True
        late.start()
        try:
            answer = super().send(request, **{**options, "stream": True})
            try:
                content = b"".join(_pieces(answer))
            finally:
                answer.close()
        finally:
            late.cancel()
        if time.monotonic() >= until:
            raise UnreachableError("The address that gives tokens does not come to the end of its answer.")
        headers = [(name, value) for name, value in answer.headers.multi_items() if name not in _OF_THE_WIRE]
        return httpx2.Response(answer.status_code, headers=headers, content=content, request=answer.request)

    def parse_response_token(self, resp: httpx2.Response) -> Mapping[str, Any]:
        """As it came. What else is wrong with it is no reason to lose a token that is good once."""
        found = resp.json()
        if not isinstance(found, dict):
            raise TypeError("a token comes in an object")
        if found.get("error"):
            raise OAuthError(found["error"])
        return found


def _pieces(answer: httpx2.Response) -> Iterator[bytes]:
    size = 0
    for piece in answer.iter_bytes():
        size += len(piece)
        if size > MOST_ANSWER_BYTES:
            raise SourceError("The address that gives tokens answers with far more than one: check token_url.")
        yield piece


def _passing(answer: httpx2.Response) -> httpx2.Response:
    """Raises for one that says to come back later."""
    limits = Limits()
    if is_limited(answer, answer.content, limits):
        raise BusyError(
            "The address that gives tokens has had too many requests; the run goes on later.",
            retry_after_seconds=wait_of(answer, limits, limited=True),
        )
    if is_passing(answer):
        raise UnreachableError(f"The address that gives tokens has a bad moment (status {answer.status_code}).")
    return answer


def _granted(found: Mapping[str, Any]) -> Grant:
    token, next_one, lifetime = found["access_token"], found.get("refresh_token"), found.get("expires_in")
    if not isinstance(token, str) or not token:
        raise ValueError("an access token is a text")
    return Grant(token, _good_for(lifetime), next_one if isinstance(next_one, str) and next_one else None)


def _good_for(lifetime: Any) -> float | None:
    """None where nobody can tell. Some say 0 of a token that does not end."""
    try:
        seconds = float(lifetime or 0)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds - min(LEEWAY_SECONDS, seconds / 4) if 0 < seconds < math.inf else None


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
