"""A login by OAuth 2 that is as strict as they get: each refresh token is good once, and a new access token ends the
one before.
"""

import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.providers.server import Asked, Provider, Reply

CLIENT = {"client_id": "syncline", "client_secret": "cl1ent-s3cret"}


@dataclass
class Rotating:
    """Gives books to whoever has the newest access token."""

    provider: Provider
    refresh_token: str = "refresh-0"
    """The one that is good."""
    typed: str = "refresh-0"
    """What the user has of them."""
    access_token: str | None = None
    lifetime: float | None = 3600
    rotates: bool = True
    asked: list[dict[str, str]] = field(default_factory=list)
    """Fields of each request for a token."""
    refused: int = 0
    """Of those, with what was not good."""
    used: list[str] = field(default_factory=list)
    """Access tokens of the requests that were answered."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        routes = {"/token": self._give, "/v1/books": self._books, "/expire": self._expire}
        self.provider.routes.update(routes)

    def given(self, *tables: str) -> dict[str, Any]:
        """What a user types, of a ``RestApi`` source. ``tables``: each has all books."""
        auth = {"type": "oauth2", "token_url": "{token_url}", "client_id": "{client_id}"}
        auth |= {"client_secret": "{client_secret}"}
        auth |= {"refresh_token": "{refresh_token}"} if self.rotates else {}
        resources = [{"name": name, "path": "books", "primary_key": ["id"]} for name in tables or ("books",)]
        declaration = {"auth": auth, "resources": resources}
        given = {"base_url": f"{self.provider.url}/v1", "token_url": f"{self.provider.url}/token", **CLIENT}
        return {**given, "refresh_token": self.typed, "declaration": declaration}

    def expire(self) -> None:
        """The access token ends now."""
        with self._lock:
            self.access_token = None

    def _expire(self, asked: Asked) -> Reply:
        self.expire()
        return Reply({})

    def _give(self, asked: Asked) -> Reply:
        fields = dict(parse_qsl(asked.body))
        with self._lock:
            self.asked.append(fields)
            if {name: fields.get(name) for name in CLIENT} != CLIENT:
                self.refused += 1
                return Reply({"error": "invalid_client"}, 401)
            if self.rotates and fields.get("refresh_token") != self.refresh_token:
                self.refused += 1
                return Reply({"error": "invalid_grant", "error_description": f"{fields}"}, 400)
            number = len(self.asked)
            self.access_token = f"access-{number}"
            answer: dict[str, Any] = {"access_token": self.access_token, "token_type": "Bearer"}
            answer |= {} if self.lifetime is None else {"expires_in": self.lifetime}
            if self.rotates:
                self.refresh_token = f"refresh-{number}"
                answer["refresh_token"] = self.refresh_token
            return Reply(answer)

    def _books(self, asked: Asked) -> Reply:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        with self._lock:
            if token != self.access_token:
                return Reply({"message": f"{token} has ended"}, 401)
            self.used.append(token)
        return Reply([{"id": 1, "title": "A"}, {"id": 2, "title": "B"}])
