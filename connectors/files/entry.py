"""Where files lie: what a folder, a bucket and a web server have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import RawIOBase
from typing import Protocol


@dataclass(frozen=True)
class FileEntry:
    """A file as it is listed."""

    name: str
    """Unique and stable: what ``_file`` holds."""
    size: int
    modified_at: datetime | None
    """In UTC; None where the place does not tell."""
    version: str
    """Tells the contents from those of before and after, as well as the place can."""
    address: str
    """By which the place finds the file."""


class Place(Protocol):
    """Threads may share one. Raises ``SourceError`` only; of what it has opened reading does so too."""

    is_remote: bool
    """Each look at a file takes its time: several had better be taken at once."""

    def check(self, patterns: Sequence[str]) -> None:
        """Log in and look around, at most at what matches."""

    def listed(self, patterns: Sequence[str], most: int | None = None) -> list[FileEntry]:
        """The files that match, each once, in no order; no more than ``most`` of them."""

    def open(self, entry: FileEntry) -> RawIOBase:
        """The contents from the beginning. ``BusyError`` where the file is not the one that was listed, or is gone."""

    def ranged(self, entry: FileEntry) -> RawIOBase | None:
        """The contents for looking at small pieces of them; None where only all of them are to be had."""

    def check_unchanged(self, entry: FileEntry) -> None:
        """``BusyError`` where the file may have changed since it was opened."""

    def close(self) -> None: ...
