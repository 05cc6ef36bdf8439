"""What the lake needs of a store of objects; ``lake.s3`` and ``lake.folder`` are the two there are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow.fs as pa_fs


@dataclass(frozen=True)
class StoredObject:
    path: str
    size_bytes: int
    modified: datetime


class Objects(Protocol):
    """Paths are relative to the root. Raises its client's own errors; ``LakeStore`` translates them."""

    def filesystem(self) -> pa_fs.FileSystem: ...

    def storage_options(self) -> dict[str, str]: ...

    def read(self, path: str) -> bytes | None: ...

    def write(self, path: str, content: bytes) -> None: ...

    def create(self, path: str, content: bytes) -> bool:
        """Put an object, whole, only where none is, as the commits of Delta do; False where one was."""

    def list(self, prefix: str, after: str | None = None) -> Iterator[StoredObject]:
        """Those at paths that begin so; where ``after`` is given, only those behind it by name."""

    def delete(self, paths: Iterable[str]) -> None: ...

    def abort_uploads(self, prefix: str, before: float | None) -> None: ...

    def ping(self) -> None: ...

    def ensure(self) -> None: ...
