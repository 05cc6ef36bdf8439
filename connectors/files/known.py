"""Which files a table has already, in the versions that lie there: the state of a cursor read."""

import base64
import hashlib
from collections.abc import Sequence

from connectors.files.entry import FileEntry
from connectors.files.tables import FileTable

MOST_FILES = 512
"""The newest: older ones come again only in a look-back, or where as many are of one time."""
_BYTES = 12


class KnownFiles:
    """Files are known by digests of what tells them from others, of the place and of how the table reads them."""

    def __init__(self, location: str, table: FileTable, state: str | None) -> None:
        self._salt = hashlib.sha256(repr((location, table)).encode()).digest()
        found = base64.b64decode(state or "")
        self._digests = {found[at : at + _BYTES] for at in range(0, len(found), _BYTES)}

    def has(self, entry: FileEntry) -> bool:
        return self._digest(entry) in self._digests

    def with_read(self, listed: Sequence[FileEntry], read: Sequence[FileEntry]) -> str | None:
        """The state once these are read as well. ``listed``: all that there are, the oldest first."""
        new = set(read)
        known = [digest for each in listed if (digest := self._digest(each)) in self._digests or each in new]
        return base64.b64encode(b"".join(known[-MOST_FILES:])).decode() or None

    def _digest(self, entry: FileEntry) -> bytes:
        told = repr((entry.name, entry.version, entry.modified_at)).encode()
        return hashlib.blake2b(told, key=self._salt, digest_size=_BYTES).digest()
