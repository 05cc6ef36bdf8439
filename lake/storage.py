"""The object store under the lake: an S3 bucket, or a folder of this machine.

A ``LakeStore`` is a value: it pickles to its settings, and every process makes its own clients, once. All paths are
relative to the lake's root and use ``/``. Errors are ``LakeError`` with a plain sentence; credentials never appear in
them.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import urlsplit

import pyarrow.fs as pa_fs
from botocore.exceptions import BotoCoreError, ClientError
from deltalake.exceptions import CommitFailedError, DeltaError

from lake.errors import LakeError, StalePositionError, UnsafeStoreError
from lake.folder import FolderObjects
from lake.objects import Objects, StoredObject
from lake.s3 import S3Objects


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Translate what the store's clients raise; ``doing`` completes "The lake could not …"."""
    try:
        yield
    except CommitFailedError as error:
        raise StalePositionError("Another writer committed to the table first.") from error
    except (BotoCoreError, ClientError, OSError, DeltaError) as error:
        raise LakeError(f"The lake could not {doing}.") from error


@dataclass(frozen=True)
class LakeStore:
    """``url``: ``s3://bucket/prefix`` or ``file:///folder``. Without keys the usual AWS chain finds a role."""

    url: str
    endpoint: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    region: str = "us-east-1"

    def __reduce__(self) -> tuple[Callable[..., "LakeStore"], tuple[str | None, ...]]:
        return _known, (self.url, self.endpoint, self.access_key, self.secret_key, self.region)

    @cached_property
    def objects(self) -> Objects:
        parts = urlsplit(self.url)
        if parts.scheme == "file" and not parts.netloc and parts.path.strip("/"):
            return FolderObjects(parts.path.rstrip("/"))
        if parts.scheme == "s3" and parts.netloc:
            return S3Objects(
                bucket=parts.netloc,
                prefix=parts.path.strip("/"),
                endpoint=self.endpoint,
                access_key=self.access_key,
                secret_key=self.secret_key,
                region=self.region,
            )
        raise LakeError("The lake's URL must look like s3://bucket/prefix or file:///folder.")

    @cached_property
    def filesystem(self) -> pa_fs.FileSystem:
        """For Parquet: rooted at the lake's root."""
        with storage_errors("reach its storage"):
            return self.objects.filesystem()

    def uri(self, path: str = "") -> str:
        return "/".join(part for part in (self.url.rstrip("/"), path.strip("/")) if part)

    def storage_options(self) -> dict[str, str]:
        """What ``deltalake`` and other Delta readers need besides the URI."""
        return self.objects.storage_options()

    def read(self, path: str) -> bytes | None:
        """None where there is no such object."""
        with storage_errors("read one of its files"):
            return self.objects.read(path)

    def write(self, path: str, content: bytes) -> None:
        """Atomic: readers see the old object or the new one, whole."""
        with storage_errors("write one of its files"):
            self.objects.write(path, content)

    def create(self, path: str, content: bytes) -> bool:
        """Atomic, and only where there is no such object: False where one was.

        A put whose answer was lost is sent again, and may then find the object that it made itself.
        """
        with storage_errors("write one of its files"):
            return self.objects.create(path, content)

    def read_json(self, path: str) -> Any:
        """None where there is no such object."""
        content = self.read(path)
        return None if content is None else json.loads(content)

    def write_json(self, path: str, value: Any) -> None:
        self.write(path, json.dumps(value, separators=(",", ":")).encode())

    def list(self, folder: str, after: str | None = None) -> Iterator[StoredObject]:
        """Everything below a folder, at any depth, page by page; only what comes after a path by name, if given."""
        with storage_errors("list its files"):
            yield from self.objects.list(folder.strip("/") + "/" if folder.strip("/") else "", after)

    def delete(self, paths: Iterable[str]) -> None:
        """Missing ones are no error."""
        with storage_errors("delete some of its files"):
            self.objects.delete(paths)

    def delete_prefix(self, folder: str) -> None:
        """Delete everything below a folder, and the uploads that never came to an end there."""
        self.delete(stored.path for stored in self.list(folder))
        self.abort_uploads(folder)

    def abort_uploads(self, folder: str, before: float | None = None) -> None:
        """Drop unfinished multipart uploads below a folder, begun before a time (seconds since the epoch)."""
        with storage_errors("drop unfinished uploads"):
            self.objects.abort_uploads(folder.strip("/") + "/", before)

    def ping(self) -> None:
        with storage_errors("reach its storage"):
            self.objects.ping()

    def ensure_bucket(self) -> None:
        """Create the bucket or folder where it is missing."""
        with storage_errors("create its bucket"):
            self.objects.ensure()

    def probe_conditional_put(self) -> None:
        """Refuse a store on which two writers would overwrite each other's commits without an error."""
        path = f"_probe/{uuid.uuid4().hex}"
        with storage_errors("try a conditional write"):
            try:
                first = self.objects.create(path, b"")
                second = self.objects.create(path, b"")
            finally:
                self.objects.delete([path])
        if not first or second:
            raise UnsafeStoreError(
                "The object store ignores conditional writes (If-None-Match), so two writers could lose commits; "
                "use a store that supports them."
            )


@lru_cache(maxsize=8)
def _known(*settings: str | None) -> LakeStore:
    """The one store of these settings in this process, with its clients."""
    return LakeStore(*settings)  # type: ignore[arg-type]
