"""A folder of this machine as the lake's store."""

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.fs as pa_fs

from lake.objects import StoredObject


class FolderObjects:
    def __init__(self, root: str) -> None:
        self._root = Path(root)

    def filesystem(self) -> pa_fs.FileSystem:
        self.ensure()
        return pa_fs.SubTreeFileSystem(str(self._root), pa_fs.LocalFileSystem())

    def storage_options(self) -> dict[str, str]:
        return {}

    def read(self, path: str) -> bytes | None:
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, path: str, content: bytes) -> None:
        target = self._root / path
        self._unfinished(target, content).rename(target)
        self._settle(target.parent)

    def create(self, path: str, content: bytes) -> bool:
        target = self._root / path
        unfinished = self._unfinished(target, content)
        try:
            target.hardlink_to(unfinished)
        except FileExistsError:
            return False
        finally:
            unfinished.unlink()
        self._settle(target.parent)
        return True

    def _settle(self, folder: Path) -> None:
        """What is in it is there after a power cut as well."""
        while True:
            # A folder without a file may be taken away in between.
            with suppress(FileNotFoundError):
                handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
            if folder == self._root:
                return
            folder = folder.parent

    def _unfinished(self, target: Path, content: bytes) -> Path:
        """The whole content beside its place, under a name of its own."""
        unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        while True:
            target.parent.mkdir(parents=True, exist_ok=True)
            # The folder may be taken away as an empty one in between.
            with suppress(FileNotFoundError), unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                return unfinished

    def list(self, prefix: str, after: str | None = None) -> Iterator[StoredObject]:
        for folder, folders, names in os.walk(self._root / prefix):
            folders.sort()
            for name in sorted(names):
                file = Path(folder, name)
                path = file.relative_to(self._root).as_posix()
                if after is not None and path <= after:
                    continue
                with suppress(FileNotFoundError):
                    status = file.stat()
                    modified = datetime.fromtimestamp(status.st_mtime, UTC)
                    yield StoredObject(path, status.st_size, modified)

    def delete(self, paths: Iterable[str]) -> None:
        folders = set()
        for path in paths:
            file = self._root / path
            file.unlink(missing_ok=True)
            folders.add(file.parent)
        for folder in folders:
            self._remove_empty(folder)

    def _remove_empty(self, folder: Path) -> None:
        """Object stores have no empty folders; nor has this one."""
        with suppress(OSError):
            while folder != self._root:
                folder.rmdir()
                folder = folder.parent

    def abort_uploads(self, prefix: str, before: float | None) -> None:
        """Files appear here as they are written, and are listed and deleted as such."""

    def ping(self) -> None:
        self.ensure()
        if not os.access(self._root, os.W_OK):
            raise PermissionError("the lake's folder is not writable")

    def ensure(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
