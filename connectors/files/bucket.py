"""Files in a bucket of S3, or of what speaks its protocol."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from functools import cache
from io import RawIOBase
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore import UNSIGNED
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, SSLError

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
from connectors.files.network import CONNECT_SECONDS, READ_SECONDS, guarded_session
from connectors.files.patterns import compiled, literal_prefix
from connectors.outbound import CLOSED, OutboundPolicy, resolve

ATTEMPTS = 4
"""Of one request; of one file, how often in a row a broken connection is taken up again."""
PAGE_OBJECTS = 1000
"""Listed by one request."""
_ETAG = "ETag"
_SESSION_LOCK = threading.Lock()


@dataclass(frozen=True)
class Bucket:
    """``prefix`` is empty or ends with a slash. Without an ``endpoint`` it is at AWS, without keys it is public."""

    name: str
    prefix: str
    endpoint: str | None
    region: str
    access_key_id: str | None
    secret_access_key: str | None = field(repr=False)
    outbound: OutboundPolicy = CLOSED


class BucketPlace:
    """``connectors.files.entry.Place``. A read of an object is of one version of it from beginning to end."""

    is_remote = True

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        with self._failures():
            self._client = _client(bucket)
        endpoint = urlsplit(self._client.meta.endpoint_url)
        # Said at once: botocore would take a refusal for a passing failure and try again.
        port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
        resolve(bucket.outbound, endpoint.hostname or "", port, attr="endpoint" if bucket.endpoint else None)

    def check(self, patterns: Sequence[str]) -> None:
        with self._failures():
            self._client.list_objects_v2(Bucket=self._bucket.name, Prefix=self._bucket.prefix, MaxKeys=1)

    def listed(self, patterns: Sequence[str], most: int | None = None) -> list[FileEntry]:
        found: dict[str, FileEntry] = {}
        for pattern in patterns:
            matches = compiled(pattern).fullmatch
            for item in self._objects(self._bucket.prefix + literal_prefix(pattern)):
                name = item["Key"].removeprefix(self._bucket.prefix)
                if matches(name) and not name.endswith("/"):
                    modified_at = item["LastModified"].astimezone(UTC)
                    found[name] = FileEntry(name, item["Size"], modified_at, item[_ETAG], item["Key"])
                    if most is not None and len(found) >= most:
                        return list(found.values())
        return list(found.values())

    def open(self, entry: FileEntry) -> RawIOBase:
        return _ObjectStream(self, entry)

    def ranged(self, entry: FileEntry) -> RawIOBase | None:
        return _ObjectStream(self, entry)

    def check_unchanged(self, entry: FileEntry) -> None:
        """Each request asks for the version that was listed."""

    def close(self) -> None:
        self._client.close()

    def body(self, entry: FileEntry, position: int) -> Any:
        """The object's bytes from a position on."""
        with self._failures(entry.name):
            given = {"Range": f"bytes={position}-"} if position else {}
            answer = self._client.get_object(
                Bucket=self._bucket.name, Key=entry.address, IfMatch=entry.version, **given
            )
            if answer[_ETAG] != entry.version:
                raise changed(entry.name)
            return answer["Body"]

    def _objects(self, prefix: str) -> Iterator[Any]:
        listing = self._client.get_paginator("list_objects_v2")
        pages = listing.paginate(Bucket=self._bucket.name, Prefix=prefix, PaginationConfig={"PageSize": PAGE_OBJECTS})
        with self._failures():
            for page in pages:
                yield from page.get("Contents", ())
                remaining()

    @contextmanager
    def _failures(self, name: str | None = None) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise _refusal(error, self._bucket, name) from error
        except SSLError as error:
            raise ConfigurationError(
                f"The certificate of the store of the bucket {self._bucket.name} is not to be trusted.", attr="endpoint"
            ) from error
        except HTTPClientError as error:
            inner = error.kwargs.get("error")
            if isinstance(inner, SourceError):
                raise inner from error
            raise _unreachable(self._bucket) from error
        except ValueError as error:
            raise ConfigurationError("The bucket or its region has an impossible name.", attr="location") from error
        except BotoCoreError as error:
            raise _unreachable(self._bucket) from error


class _ObjectStream(RawIOBase):
    """An object's bytes; a connection that breaks is made anew where it broke."""

    def __init__(self, place: BucketPlace, entry: FileEntry) -> None:
        self._place = place
        self._entry = entry
        self._position = 0
        self._body: Any = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._entry.size}[whence]
        if start + offset != self._position:
            self._drop()
            self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        if self._position >= self._entry.size or not len(view):
            return 0
        for attempt in range(ATTEMPTS):
            try:
                if self._body is None:
                    self._body = self._place.body(self._entry, self._position)
                chunk = self._body.read(len(view))
            except (BotoCoreError, OSError) as error:
                self._drop()
                if attempt + 1 == ATTEMPTS:
                    raise UnreachableError(
                        f"The connection broke again and again while {self._entry.name} was read."
                    ) from error
                continue
            if not chunk:
                raise changed(self._entry.name)
            view[: len(chunk)] = chunk
            self._position += len(chunk)
            return len(chunk)
        return 0

    def close(self) -> None:
        self._drop()
        super().close()

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


@cache
def _session() -> botocore.session.Session:
    """One for all clients: it knows S3 once it has read what there is to know. Made and asked under ``_SESSION_LOCK``.

    Nothing of the server's own configuration or login may serve a user, or reach a host that a user names.
    """
    alone = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    return botocore.session.Session(session_vars=alone)


def _client(bucket: Bucket) -> Any:
    left = remaining()
    patience = (CONNECT_SECONDS, READ_SECONDS) if left is None else (max(1.0, left / 2), max(1.0, left / 2))
    options: dict[str, Any] = {
        "signature_version": "s3v4" if bucket.access_key_id else UNSIGNED,
        "ignore_configured_endpoint_urls": True,
        "retries": {"total_max_attempts": ATTEMPTS if left is None else 1, "mode": "standard"},
        "s3": {"addressing_style": "path" if bucket.endpoint else "auto"},
        # What speaks S3's protocol need not know its newest checksums.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    with _SESSION_LOCK:
        client: Any = _session().create_client(
            "s3",
            region_name=bucket.region,
            endpoint_url=bucket.endpoint,
            # Without any, those of the server would be looked for.
            aws_access_key_id=bucket.access_key_id or "none",
            aws_secret_access_key=bucket.secret_access_key or "none",
            config=Config(**options),
        )
    client._endpoint.http_session = guarded_session(bucket.outbound, *patience)
    return client


def _refusal(error: ClientError, bucket: Bucket, name: str | None) -> SourceError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchBucket":
        return ConfigurationError(f"There is no bucket {bucket.name}.", attr="location")
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "InvalidClientTokenId"):
        return CredentialsError(f"The bucket {bucket.name} turns these keys down: check both of them.")
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
        return ConfigurationError(f"The bucket {bucket.name} is in another region.", attr="region")
    if name is not None and (code in ("NoSuchKey", "PreconditionFailed", "InvalidRange") or status in (404, 412, 416)):
        return changed(name)
    if status in (401, 403):
        what = f"the file {name} of the bucket {bucket.name}" if name else f"what the bucket {bucket.name} holds"
        return AccessError(f"These keys may not read {what}: grant s3:ListBucket and s3:GetObject.")
    if status in (429, 500, 502, 503, 504) or code == "SlowDown":
        return BusyError(f"The store of the bucket {bucket.name} asks to come back later.", retry_after_seconds=10)
    return ConfigurationError(f"The store does not take requests for the bucket {bucket.name}.", attr="location")


def _unreachable(bucket: Bucket) -> UnreachableError:
    host = urlsplit(bucket.endpoint).hostname if bucket.endpoint else "AWS"
    return UnreachableError(f"The store at {host} does not answer.", attr="endpoint")
