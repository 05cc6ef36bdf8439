"""Files of web servers, by their addresses."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import RawIOBase
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx2

from connectors.deadline import remaining
from connectors.errors import (
    AccessError,
    BusyError,
    ConfigurationError,
    CredentialsError,
    SourceError,
    UnreachableError,
)
from connectors.files.entry import FileEntry
from connectors.files.errors import changed
from connectors.outbound import CLOSED, OutboundPolicy
from connectors.outbound.http import (
    CONNECT_SECONDS,
    READ_SECONDS,
    authorities,
    guarded_transport,
    is_about_certificates,
)

MOST_REDIRECTS = 5
LOOKS_AT_ONCE = 8
_MOVED = (301, 302, 303, 307, 308)
_NOT_TO_BE_ASKED = (400, 403, 405, 501)
"""What a server may answer to HEAD that gives the file all the same, as an address that was signed for GET does."""
_CHUNK = 2**18


@dataclass(frozen=True)
class WebServer:
    """``authorization`` is sent to the origin of ``url`` and to no other. ``ca``: an authority of one's own (PEM)."""

    url: str
    authorization: str | None = field(repr=False)
    ca: str | None = None
    outbound: OutboundPolicy = CLOSED


class WebPlace:
    """``connectors.files.entry.Place``. A pattern is an address, below the location or a whole one."""

    is_remote = True

    def __init__(self, server: WebServer) -> None:
        self._server = server
        self._client = httpx2.Client(
            transport=guarded_transport(server.outbound, authorities(server.ca)),
            trust_env=False,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "syncline"},
        )

    def check(self, patterns: Sequence[str]) -> None:
        """There is nothing to log in to but the files themselves: one is asked for."""
        self.listed(patterns, 1)

    def listed(self, patterns: Sequence[str], most: int | None = None) -> list[FileEntry]:
        urls = [urljoin(self._server.url, pattern) for pattern in patterns]
        with ThreadPoolExecutor(LOOKS_AT_ONCE, "syncline-look") as threads:
            left = remaining()
            contexts = [copy_context() for _ in urls[:most]]
            found = list(threads.map(lambda context, url: context.run(self._look, url, left), contexts, urls))
        return [entry for entry in found if entry is not None]

    def open(self, entry: FileEntry) -> RawIOBase:
        return _WebStream(self, entry)

    def ranged(self, entry: FileEntry) -> RawIOBase | None:
        return None

    def check_unchanged(self, entry: FileEntry) -> None:
        now = self._look(entry.address, remaining())
        if now is None or now.version != entry.version:
            raise changed(entry.name)

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def body(self, entry: FileEntry) -> Iterator[httpx2.Response]:
        with self._answer("GET", entry.address, remaining()) as answer:
            if answer.status_code != 200 or _version(answer) != entry.version:
                raise changed(entry.name) if answer.status_code in (200, 404) else _refusal(answer, entry.name)
            yield answer

    def _look(self, url: str, left: float | None) -> FileEntry | None:
        """None where there is no such file."""
        for method in ("HEAD", "GET"):
            with self._answer(method, url, left) as answer:
                if answer.status_code in (404, 410):
                    return None
                if method == "HEAD" and answer.status_code in _NOT_TO_BE_ASKED:
                    continue
                if answer.status_code != 200:
                    raise _refusal(answer, file_name(url))
                length = answer.headers.get("content-length", "")
                size = int(length) if length.isdecimal() else -1
                return FileEntry(file_name(url), size, _modified_at(answer), _version(answer), url)
        return None

    @contextmanager
    def _answer(self, method: str, url: str, left: float | None) -> Iterator[httpx2.Response]:
        """What the server at the end of the redirects says."""
        with self._refused(url), _failures(url):
            for _ in range(MOST_REDIRECTS + 1):
                request = self._client.build_request(
                    method, url, headers=self._credentials(url), timeout=_patience(left)
                )
                answer = self._client.send(request, stream=True)
                try:
                    if answer.status_code not in _MOVED:
                        yield answer
                        return
                    url = self._moved(url, answer.headers.get("location", ""))
                finally:
                    answer.close()
        raise ConfigurationError(f"The file {file_name(url)} is moved on and on.", attr="tables")

    @contextmanager
    def _refused(self, url: str) -> Iterator[None]:
        """What the outbound policy turns down is named by the field that it stands in."""
        try:
            yield
        except ConfigurationError as error:
            if error.attr is None:
                error.attr = "location" if origin(url) == origin(self._server.url) else "tables"
            raise

    def _credentials(self, url: str) -> dict[str, str]:
        given = self._server.authorization
        return {"Authorization": given} if given and origin(url) == origin(self._server.url) else {}

    def _moved(self, url: str, location: str) -> str:
        target = urljoin(url, location)
        if urlsplit(target).scheme not in ("https", urlsplit(url).scheme) or urlsplit(target).username:
            raise ConfigurationError(
                f"The file {file_name(url)} is moved to an address that is not https.", attr="tables"
            )
        return target


class _WebStream(RawIOBase):
    """A file's bytes, of one answer."""

    def __init__(self, place: WebPlace, entry: FileEntry) -> None:
        self._entry = entry
        self._context = place.body(entry)
        with _failures(entry.address):
            answer = self._context.__enter__()
        self._encoded = "content-encoding" in answer.headers
        self._chunks = answer.iter_bytes(_CHUNK)
        self._chunk = b""
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._chunk:
            with _failures(self._entry.address):
                self._chunk = next(self._chunks, b"")
            self._received += len(self._chunk)
        if not self._chunk and not self._encoded and self._entry.size not in (-1, self._received):
            raise UnreachableError(f"The connection broke while {self._entry.name} was read.")
        taken = min(len(buffer), len(self._chunk))
        buffer[:taken] = self._chunk[:taken]
        self._chunk = self._chunk[taken:]
        return taken

    def close(self) -> None:
        if not self.closed:
            self._context.__exit__(None, None, None)
        super().close()


def file_name(url: str) -> str:
    """The address without what may be secret in it."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _patience(left: float | None) -> httpx2.Timeout:
    if left is None:
        return httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    return httpx2.Timeout(max(0.1, left / 2))


def _version(answer: httpx2.Response) -> str:
    told: Mapping[str, str] = answer.headers
    return "|".join(told.get(name, "") for name in ("etag", "last-modified", "content-length"))


def _modified_at(answer: httpx2.Response) -> datetime | None:
    try:
        return parsedate_to_datetime(answer.headers.get("last-modified", "")).astimezone(UTC)
    except ValueError:
        return None


def _refusal(answer: httpx2.Response, name: str) -> SourceError:
    status = answer.status_code
    if status == 401:
        return CredentialsError(f"The web server wants a login for {name}: check the authorization.")
    if status == 403:
        return AccessError(f"The web server does not give {name} to this login.")
    if status == 429 or status >= 500:
        return BusyError(f"The web server of {name} asks to come back later.", retry_after_seconds=30)
    return ConfigurationError(
        f"The web server does not give {name}: it answers with the status {status}.", attr="tables"
    )


@contextmanager
def _failures(url: str) -> Iterator[None]:
    try:
        yield
    except httpx2.ConnectError as error:
        if is_about_certificates(error):
            raise ConfigurationError(
                f"The certificate of {urlsplit(url).hostname} is not to be trusted.", attr="location"
            ) from error
        raise UnreachableError(f"The web server {urlsplit(url).hostname} does not answer.", attr="location") from error
    except httpx2.HTTPError as error:
        raise UnreachableError(f"The web server {urlsplit(url).hostname} does not answer.", attr="location") from error
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise ConfigurationError(f"There can be no file at {file_name(url)}.", attr="tables") from error
