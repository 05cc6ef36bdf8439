"""The bytes of files as their formats take them: unpacked, and texts in UTF-8."""

import codecs
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader, BytesIO, RawIOBase
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from connectors.files.entry import FileEntry, Place
from connectors.files.errors import BadFileError

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_BUFFER = 2**18
_CHARACTERS = 2**16
_SPOOL_CHUNK = 2**20


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class Opener(Protocol):
    """Opens a file's contents, from the beginning each time."""

    entry: FileEntry

    def open(self) -> RawIOBase: ...


class FromPlace:
    """``Opener`` of a file where it lies."""

    def __init__(self, place: Place, entry: FileEntry) -> None:
        self.place = place
        self.entry = entry

    def open(self) -> RawIOBase:
        return self.place.open(self.entry)


class FromMemory:
    """``Opener`` of a file that was fetched ahead."""

    def __init__(self, entry: FileEntry, contents: bytes) -> None:
        self.entry = entry
        self.contents = contents

    def open(self) -> Any:
        return BytesIO(self.contents)


@contextmanager
def unpacked(opener: Opener) -> Iterator[Readable]:
    """The contents, of a file that is packed (gzip, zstd) unpacked. Its first bytes say so, whatever its name."""
    with ExitStack() as stack:
        raw = stack.enter_context(opener.open())
        buffered = stack.enter_context(BufferedReader(raw, _BUFFER))
        start = buffered.read(4)
        packing = next((packing for magic, packing in _MAGIC.items() if start.startswith(magic)), None)
        contents = Framed(start, buffered)
        if packing is None:
            yield contents
            return
        yield _Unpacked(pa.CompressedInputStream(pa.PythonFile(contents, "r"), packing), opener.entry.name, packing)


@contextmanager
def texts(opener: Opener, encoding: str) -> Iterator[Readable]:
    """As ``unpacked``, in UTF-8 without a byte-order mark; that the bytes are UTF-8 is not checked."""
    with unpacked(opener) as contents:
        if encoding == "utf-8":
            yield _WithoutMark(contents)
        else:
            yield _Recoded(contents, opener.entry.name, encoding)


@contextmanager
def spooled(opener: Opener) -> Iterator[BinaryIO]:
    """The contents as a file of this machine, for as long as the context lasts."""
    with tempfile.TemporaryFile(prefix="syncline-file-") as copy, unpacked(opener) as contents:
        while chunk := contents.read(_SPOOL_CHUNK):
            copy.write(chunk)
        copy.seek(0)
        yield copy


class Framed:
    """Contents with bytes before and behind them. Fit for ``pyarrow.PythonFile``."""

    closed = False

    def __init__(self, before: bytes, contents: Readable, behind: Callable[[bytes], bytes] = lambda last: b"") -> None:
        """``behind`` is asked at the end, with the last byte, for what is to follow."""
        self._before = before
        self._contents = contents
        self._behind = behind
        self._last = b""
        self._ended = False

    def close(self) -> None:
        """Whoever opened the contents closes them."""

    def read(self, size: int = -1, /) -> bytes:
        if self._before:
            found = self._before if size is None or size < 0 else self._before[:size]
            self._before = self._before[len(found) :]
        else:
            found = b"" if self._ended else self._contents.read(size)
            if not found and not self._ended:
                self._ended = True
                self._before = self._behind(self._last)
                return self.read(size) if self._before else b""
        self._last = found[-1:] or self._last
        return found


class _Unpacked:
    def __init__(self, stream: Any, name: str, packing: str) -> None:
        self._stream = stream
        self._name = name
        self._packing = packing

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._stream.read(size)  # type: ignore[no-any-return]
        except OSError as error:
            raise BadFileError(
                f"The file {self._name} is broken or cut short: it cannot be unpacked to its end ({self._packing})."
            ) from error


class _WithoutMark:
    def __init__(self, contents: Readable) -> None:
        self._contents = contents
        self._started = False

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._contents.read(size)
        if self._started:
            return chunk
        self._started = True
        if chunk.startswith(codecs.BOM_UTF8):
            return chunk[len(codecs.BOM_UTF8) :] or self._contents.read(size)
        return chunk


class _Recoded:
    def __init__(self, contents: Readable, name: str, encoding: str) -> None:
        self._name = name
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._contents = contents
        self._started = False
        self._ended = False

    def read(self, size: int = -1, /) -> bytes:
        """At least one byte where there are more; not exactly as many as were asked for."""
        found = ""
        while not found and not self._ended:
            chunk = self._contents.read(_CHARACTERS if size is None or size < 0 else max(1, size // 4))
            self._ended = not chunk
            try:
                found = self._decoder.decode(chunk, final=self._ended)
            except UnicodeError as error:
                raise BadFileError(
                    f"The file {self._name} is no valid {self._encoding}: set the option encoding of its table."
                ) from error
        if found and not self._started:
            self._started = True
            found = found.removeprefix("\ufeff")
        return found.encode() or (b"" if self._ended else self.read(size))
