"""Files of the server itself, in the folders that its operator allows."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import FileIO, RawIOBase
from pathlib import Path

from connectors.deadline import remaining
from connectors.errors import AccessError, ConfigurationError
from connectors.files.entry import FileEntry
from connectors.files.errors import BadFileError, changed
from connectors.files.patterns import compiled, literal_prefix

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Folder:
    """``allowed``: the folders, by their real paths, that nothing may lead out of."""

    path: str
    allowed: tuple[Path, ...]


class FolderPlace:
    """``connectors.files.entry.Place``. Links are followed where they stay in an allowed folder."""

    is_remote = False

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def check(self, patterns: Sequence[str]) -> None:
        self._root()

    def listed(self, patterns: Sequence[str], most: int | None = None) -> list[FileEntry]:
        root = self._root()
        found: dict[str, FileEntry] = {}
        for pattern in patterns:
            matches = compiled(pattern).fullmatch
            start = literal_prefix(pattern).rpartition("/")[0]
            depth = None if "**" in pattern else pattern.count("/") - (start.count("/") + 1 if start else 0)
            for name in _names(root / start, f"{start}/" if start else "", depth, ()):
                if matches(name) and name not in found and (entry := self._entry(root, name)):
                    found[name] = entry
                if most is not None and len(found) >= most:
                    return list(found.values())
        return list(found.values())

    def open(self, entry: FileEntry) -> RawIOBase:
        real = self._real(Path(entry.address), entry.name)
        try:
            # Neither a link nor a pipe that took the place of the file is waited for.
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError as error:
            raise AccessError(f"The file {entry.name} may not be read by Syncline's user.") from error
        except OSError as error:
            raise changed(entry.name) from error
        if _version(os.fstat(descriptor)) != entry.version:
            os.close(descriptor)
            raise changed(entry.name)
        return FileIO(descriptor)

    def ranged(self, entry: FileEntry) -> RawIOBase | None:
        return self.open(entry)

    def check_unchanged(self, entry: FileEntry) -> None:
        try:
            now = os.stat(entry.address)
        except OSError as error:
            raise changed(entry.name) from error
        if _version(now) != entry.version:
            raise changed(entry.name)

    def close(self) -> None:
        """Nothing is held."""

    def _root(self) -> Path:
        """The folder's real path."""
        root = Path(os.path.realpath(self._folder.path))
        if not self._is_allowed(root):
            raise ConfigurationError(
                "The folder lies in none that this installation allows: its operator can allow it with "
                "SYNCLINE_SOURCE_FOLDERS.",
                attr="location",
            )
        if not root.is_dir():
            raise ConfigurationError(f"There is no folder {self._folder.path} on this server.", attr="location")
        return root

    def _entry(self, root: Path, name: str) -> FileEntry | None:
        path = root / name
        if not _is_text(name):
            raise BadFileError(f"The name of the file {name!a} is no valid UTF-8: rename it.")
        real = self._real(path, name)
        try:
            found = real.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AccessError(f"The file {name} may not be read by Syncline's user.") from error
        if not stat.S_ISREG(found.st_mode):
            return None
        return FileEntry(name, found.st_size, _time(found.st_mtime_ns), _version(found), str(path))

    def _real(self, path: Path, name: str) -> Path:
        real = Path(os.path.realpath(path))
        if not self._is_allowed(real):
            raise AccessError(f"The file {name} is a link that leads out of the folders that are allowed.")
        return real

    def _is_allowed(self, real: Path) -> bool:
        return any(real.is_relative_to(folder) for folder in self._folder.allowed)


def _names(folder: Path, prefix: str, depth: int | None, above: tuple[str, ...]) -> Iterator[str]:
    """All files below, by their names, down to so many folders; ``above``: the real paths that lead here."""
    remaining()
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda each: each.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise AccessError(f"The folder {prefix or '/'} may not be read by Syncline's user.") from error
    for each in entries:
        is_folder = False
        with suppress(OSError):
            is_folder = each.is_dir()
        if not is_folder:
            yield prefix + each.name
        elif depth is None or depth > 0:
            below = None if depth is None else depth - 1
            yield from _names(folder / each.name, f"{prefix}{each.name}/", below, (*above, real))


def _version(found: os.stat_result) -> str:
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def _time(nanoseconds: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
