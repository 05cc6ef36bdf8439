"""A bucket that was reached: what it holds, and the bytes of one version of an object."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from connectors.deadline import remaining
from connectors.errors import ConfigurationError
from connectors.outbound import resolve
from connectors.s3.bucket import Bucket
from connectors.s3.errors import changed, failures
from connectors.s3.session import guarded_client

PAGE_OBJECTS = 1000
"""Listed by one request."""
_ETAG = "ETag"
_PARTIAL = 206


@dataclass(frozen=True)
class StoredObject:
    """One version of an object, as it is listed. ``modified_at`` is in UTC."""

    key: str
    size: int
    modified_at: datetime
    version: str


class BucketClient:
    """Threads may share one. Raises ``SourceError`` only, but for what the body of an object raises."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        with failures(bucket):
            self._client = guarded_client(bucket)
        endpoint = urlsplit(self._client.meta.endpoint_url)
        # Said at once: botocore would take a refusal for a passing failure and try again.
        port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
        resolve(bucket.outbound, endpoint.hostname or "", port, attr="endpoint" if bucket.endpoint else None)

    def check(self) -> None:
        """Look into the bucket's part that is meant."""
        with failures(self.bucket):
            self._client.list_objects_v2(Bucket=self.bucket.name, Prefix=self.bucket.prefix, MaxKeys=1)

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """All whose keys begin like that, in the order of their keys."""
        listing = self._client.get_paginator("list_objects_v2")
        pages = listing.paginate(Bucket=self.bucket.name, Prefix=prefix, PaginationConfig={"PageSize": PAGE_OBJECTS})
        with failures(self.bucket):
            for page in pages:
                for item in page.get("Contents", ()):
                    yield StoredObject(item["Key"], item["Size"], item["LastModified"].astimezone(UTC), item[_ETAG])
                remaining()

    def found(self, key: str) -> StoredObject | None:
        """The object of this key as it is now."""
        with failures(self.bucket):
            # Its key comes before all others that begin like it.
            page = self._client.list_objects_v2(Bucket=self.bucket.name, Prefix=key, MaxKeys=1)
            for item in page.get("Contents", ()):
                if item["Key"] == key:
                    return StoredObject(key, item["Size"], item["LastModified"].astimezone(UTC), item[_ETAG])
        return None

    def body(self, wanted: StoredObject, position: int, most: int | None = None) -> Any:
        """The bytes of this version from a position on. ``BusyError`` where the object has another one, or is gone."""
        name = self.name_of(wanted)
        with failures(self.bucket, name):
            given = {}
            if position or most is not None:
                given = {"Range": f"bytes={position}-{'' if most is None else position + most - 1}"}
            answer = self._client.get_object(Bucket=self.bucket.name, Key=wanted.key, IfMatch=wanted.version, **given)
            if answer[_ETAG] != wanted.version:
                raise changed(name)
            if given and answer["ResponseMetadata"]["HTTPStatusCode"] != _PARTIAL:
                raise ConfigurationError(
                    f"The store of the bucket {self.bucket.name} gives no parts of objects.", attr="endpoint"
                )
            return answer["Body"]

    def name_of(self, stored: StoredObject) -> str:
        """What sentences call it."""
        return stored.key.removeprefix(self.bucket.prefix)

    def close(self) -> None:
        self._client.close()
