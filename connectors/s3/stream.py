"""An object as a file, and pieces of one."""

import os
from contextlib import closing
from io import RawIOBase
from typing import Any

from botocore.exceptions import BotoCoreError

from connectors.errors import UnreachableError
from connectors.s3.client import BucketClient, StoredObject
from connectors.s3.errors import changed

ATTEMPTS = 4
"""How often in a row a broken connection is taken up again."""


class ObjectStream(RawIOBase):
    """The bytes of one version of an object; a connection that breaks is made anew where it broke.

    Reading raises ``SourceError`` only: ``BusyError`` where the object has another version by now.
    """

    def __init__(self, client: BucketClient, stored: StoredObject) -> None:
        self._client = client
        self._stored = stored
        self._position = 0
        self._body: Any = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._stored.size}[whence]
        if start + offset != self._position:
            self._drop()
            self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        if self._position >= self._stored.size or not len(view):
            return 0
        name = self._client.name_of(self._stored)
        for attempt in range(ATTEMPTS):
            try:
                if self._body is None:
                    self._body = self._client.body(self._stored, self._position)
                chunk = self._body.read(len(view))
            except (BotoCoreError, OSError) as error:
                self._drop()
                if attempt + 1 == ATTEMPTS:
                    raise _broken(name) from error
                continue
            if not chunk:
                raise changed(name)
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


def piece(client: BucketClient, stored: StoredObject, position: int, size: int) -> bytes:
    """So many bytes of this version of the object, from a position on; fewer at its end.

    Errors as of ``ObjectStream``.
    """
    wanted = min(size, stored.size - position)
    if wanted <= 0:
        return b""
    name = client.name_of(stored)
    for attempt in range(ATTEMPTS):
        try:
            with closing(client.body(stored, position, wanted)) as body:
                found: bytes = body.read(wanted)
        except (BotoCoreError, OSError) as error:
            if attempt + 1 == ATTEMPTS:
                raise _broken(name) from error
            continue
        if len(found) != wanted:
            raise changed(name)
        return found
    return b""


def _broken(name: str) -> UnreachableError:
    return UnreachableError(f"The connection broke again and again while {name} was read.")
