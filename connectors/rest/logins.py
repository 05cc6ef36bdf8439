"""How requests prove who they come from."""

import math
import threading
import time
from collections.abc import Generator, Mapping

import httpx2

from connectors.rest.asking import Asking, Transport
from connectors.rest.declaration import ApiKeyAuth, Auth, BasicAuth, BearerAuth, OAuth2Auth
from connectors.rest.templates import filled
from connectors.rest.tokens import Grant, granted
from connectors.tokens import Tokens


def login_of(auth: Auth | None, inputs: Mapping[str, str], transport: Transport, tokens: Tokens) -> httpx2.Auth:
    """``transport``: by which tokens are asked for."""
    match auth:
        case ApiKeyAuth():
            return _ApiKey(auth.name, filled(auth.key, inputs), in_query=auth.into == "query")
        case BearerAuth():
            return _ApiKey("Authorization", f"Bearer {filled(auth.token, inputs)}", in_query=False)
        case BasicAuth():
            return httpx2.BasicAuth(filled(auth.username, inputs), filled(auth.password, inputs))
        case OAuth2Auth():
            return _Tokens(auth, inputs, transport, tokens)
        case _:
            return httpx2.Auth()


class _ApiKey(httpx2.Auth):
    def __init__(self, name: str, key: str, *, in_query: bool) -> None:
        self._name = name
        self._key = key
        self._in_query = in_query

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        if self._in_query:
            request.url = request.url.copy_merge_params({self._name: self._key})
        else:
            request.headers[self._name] = self._key
        yield request


class _Tokens(httpx2.Auth):
    """A token is taken of those that all share when a request needs the first one, before it ends, and when it is
    turned down.

    Thread-safe.
    """

    def __init__(self, auth: OAuth2Auth, inputs: Mapping[str, str], transport: Transport, tokens: Tokens) -> None:
        self._asking = Asking(auth, inputs, transport)
        self._tokens = tokens
        self._lock = threading.Lock()
        self._grant: Grant | None = None
        self._good_until = 0.0

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        token = self._token(None)
        request.headers["Authorization"] = f"Bearer {token}"
        answer = yield request
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            request.headers["Authorization"] = f"Bearer {self._token(token)}"
            yield request

    def _token(self, refused: str | None) -> str:
        """Another one than what was refused."""
        with self._lock:
            grant = self._grant
            if grant is None or grant.access_token == refused or time.monotonic() >= self._good_until:
                grant = granted(self._tokens, self._asking.login, self._asking.grant, refused)
                self._good_until = math.inf if grant.good_seconds is None else time.monotonic() + grant.good_seconds
                self._grant = grant
            return grant.access_token
