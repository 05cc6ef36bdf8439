"""The first way through the files: what each of them holds, before a row of any is given."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa

from connectors.errors import ConfigurationError, SchemaChangedError
from connectors.files.bad_lines import BadLines
from connectors.files.columnar import Parquet
from connectors.files.contents import FromMemory, FromPlace, Opener
from connectors.files.delimited import Delimited
from connectors.files.entry import FileEntry, Place
from connectors.files.lines import JsonLines
from connectors.files.pieces import Format, Shape, Wanted
from connectors.files.tables import FileTable
from connectors.inference.kinds import TEXT, common

_FORMATS: dict[str, Format] = {
    "csv": Delimited(","),
    "tsv": Delimited("\t"),
    "jsonl": JsonLines(),
    "parquet": Parquet(),
}
_ENDINGS = {
    "csv": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "jsonl",
    "parquet": "parquet",
    "pq": "parquet",
}
_PACKED = ("gz", "gzip", "zst", "zstd")

AHEAD_BYTES = 2**20
"""Files up to this size are fetched ahead, several at once, where they are not on this machine."""
AHEAD_FILES = 32
KEPT_BYTES = 2**25
FETCHES_AT_ONCE = 8


def format_of(table: FileTable, entry: FileEntry) -> Format:
    """``ConfigurationError`` where neither the table nor the file's name tells."""
    found = _format_of(table, entry)
    return BadLines(found) if table.of_bad_lines else found


def _format_of(table: FileTable, entry: FileEntry) -> Format:
    if table.format is not None:
        return _FORMATS[table.format]
    parts = entry.name.rpartition("/")[2].lower().split(".")
    if len(parts) > 2 and parts[-1] in _PACKED:
        parts.pop()
    ending = parts[-1] if len(parts) > 1 else ""
    if ending not in _ENDINGS:
        raise ConfigurationError(
            f"The name of the file {entry.name} tells no format: set the option format of the table {table.name}.",
            attr="tables",
        )
    return _FORMATS[_ENDINGS[ending]]


class Contents:
    """The contents of files, for both ways through them. Of another machine's, small ones are fetched several at once
    while those before them are worked on, and kept for the second way as long as there is room.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._kept: dict[FileEntry, bytes] = {}
        self._room = KEPT_BYTES

    def openers(self, entries: Iterable[FileEntry]) -> Iterator[Opener]:
        """The files in this order."""
        if not self._place.is_remote:
            yield from (FromPlace(self._place, entry) for entry in entries)
            return
        coming: deque[Future[Opener]] = deque()
        with ThreadPoolExecutor(FETCHES_AT_ONCE, "syncline-fetch") as threads:
            try:
                for entry in entries:
                    coming.append(threads.submit(self._fetched, entry))
                    if len(coming) >= AHEAD_FILES:
                        yield self._kept_too(coming.popleft().result())
                while coming:
                    yield self._kept_too(coming.popleft().result())
            finally:
                threads.shutdown(cancel_futures=True)

    def _fetched(self, entry: FileEntry) -> Opener:
        if entry in self._kept:
            return FromMemory(entry, self._kept[entry])
        if not 0 <= entry.size <= AHEAD_BYTES:
            return FromPlace(self._place, entry)
        with self._place.open(entry) as stream:
            parts = []
            while part := stream.read(AHEAD_BYTES):
                parts.append(part)
        return FromMemory(entry, b"".join(parts))

    def _kept_too(self, opener: Opener) -> Opener:
        if isinstance(opener, FromMemory) and opener.entry not in self._kept and len(opener.contents) <= self._room:
            self._kept[opener.entry] = opener.contents
            self._room -= len(opener.contents)
        return opener


def shapes(contents: Contents, entries: Sequence[FileEntry], wanted: Wanted) -> Iterator[tuple[FileEntry, Shape]]:
    """What each file holds, in the order given."""
    alike: dict[tuple[tuple[str, pa.DataType], ...], dict[str, pa.DataType]] = {}
    for opener in contents.openers(entries):
        shape = format_of(wanted.table, opener.entry).shape(opener, wanted)
        # Thousands of files are of few kinds.
        types = alike.setdefault(tuple(shape.types.items()), shape.types)
        yield opener.entry, replace(shape, types=types)


def reconciled(table: str, found: Sequence[tuple[FileEntry, Shape]], chosen: Collection[str]) -> dict[str, pa.DataType]:
    """The columns of all files with the types that hold their values, in the order in which they first appear.

    Those that are chosen have their values as text.
    """
    kinds: dict[str, dict[pa.DataType, str]] = {}
    seen: set[int] = set()
    for entry, shape in found:
        if id(shape.types) in seen:
            continue
        seen.add(id(shape.types))
        for name, kind in shape.types.items():
            kinds.setdefault(name, {}).setdefault(kind, entry.name)
    types = {}
    for name, by_kind in kinds.items():
        try:
            types[name] = TEXT if name in chosen else common(by_kind)
        except ValueError as error:
            raise SchemaChangedError(
                f"The column {name} of {table} holds bytes in some files and other values in others, such as "
                f"{' and '.join(list(by_kind.values())[:2])}: declare its type with the option columns.",
                attr="tables",
            ) from error
    return types
