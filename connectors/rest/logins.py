"""How requests prove who they come from."""

import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client

from connectors.errors import CredentialsError, SourceError, UnreachableError
from connectors.rest.declaration import ApiKeyAuth, Auth, BasicAuth, BearerAuth, OAuth2Auth
from connectors.rest.templates import filled


def login_of(
    auth: Auth | None, inputs: Mapping[str, str], transport: Callable[[], httpx2.BaseTransport]
) -> httpx2.Auth:
    """``transport``: by which tokens are asked for."""
    match auth:
        case ApiKeyAuth():
            return _ApiKey(auth.name, filled(auth.key, inputs), in_query=auth.into == "query")
        case BearerAuth():
            return _ApiKey("Authorization", f"Bearer {filled(auth.token, inputs)}", in_query=False)
        case BasicAuth():
            return httpx2.BasicAuth(filled(auth.username, inputs), filled(auth.password, inputs))
        case OAuth2Auth():
            return _Tokens(auth, inputs, transport)
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
    """A token is asked for when a request needs the first one, before it ends, and when it is turned down.

    Thread-safe.
    """

    def __init__(
        self, auth: OAuth2Auth, inputs: Mapping[str, str], transport: Callable[[], httpx2.BaseTransport]
    ) -> None:
        self._url = filled(auth.token_url, inputs)
        self._scope = filled(auth.scope, inputs) if auth.scope else None
        self._refresh_token = filled(auth.refresh_token, inputs) if auth.refresh_token else None
        self._lock = threading.Lock()
        self._client = OAuth2Client(
            filled(auth.client_id, inputs),
            filled(auth.client_secret, inputs),
            scope=self._scope,
            token_endpoint_auth_method=f"client_secret_{'basic' if auth.client_auth == 'basic' else 'post'}",
            transport=transport(),
            trust_env=False,
        )

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
            token: Any = self._client.token
            if not token or token.is_expired(leeway=60) or token["access_token"] == refused:
                token = self._asked_for()
            return str(token["access_token"])

    def _asked_for(self) -> Any:
        try:
            if self._refresh_token is None:
                return self._client.fetch_token(self._url, grant_type="client_credentials")
            return self._client.fetch_token(
                self._url, grant_type="refresh_token", refresh_token=self._refresh_token, **self._scoped()
            )
        except OAuthError as error:
            raise CredentialsError(_refusal(error.error), attr=None) from error
        except httpx2.HTTPError as error:
            raise UnreachableError("The address that gives tokens does not answer.") from error
        except SourceError:
            raise
        except Exception as error:
            raise CredentialsError(
                "The address that gives tokens does not answer with one: check token_url."
            ) from error

    def _scoped(self) -> dict[str, str]:
        return {"scope": self._scope} if self._scope else {}


def _refusal(code: str) -> str:
    return {
        "invalid_client": "The API does not take the client id and the client secret.",
        "unauthorized_client": "The API does not allow this client to ask for tokens of this kind.",
        "invalid_grant": "The refresh token has ended or was withdrawn: connect the account anew.",
        "invalid_scope": "The API does not give this client the scope that is asked for.",
    }.get(code, "The API gives no token for these credentials.")
