"""A database that is an object in a bucket: the one version of it that is read, and whether that is all of it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from connectors.errors import ConfigurationError
from connectors.s3 import BucketClient, StoredObject, piece
from connectors.s3.errors import changed
from connectors.sqlite.config import DatabaseObject
from connectors.sqlite.errors import no_database

HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_PAGE_SIZES = {2**power for power in range(9, 17)}
_WITH_LOG = 2
_LOG = (
    "The newest rows of the database lie in its write-ahead log {key}: upload the database when no program has it "
    "open, or a copy made by VACUUM INTO, and delete the log."
)
_JOURNAL = (
    "The database may be in the middle of a write, which {key} would take back: upload the database when no program "
    "has it open, or a copy made by VACUUM INTO, and delete the journal."
)


@dataclass(frozen=True)
class StoredDatabase:
    """A version of the object that has a whole database in it. ``header`` is empty where the object is."""

    client: BucketClient
    stored: StoredObject
    header: bytes

    @property
    def page_bytes(self) -> int:
        """0 where there are no pages."""
        size = int.from_bytes(self.header[16:18], "big")
        return 2**16 if size == 1 else size

    @property
    def usable_bytes(self) -> int:
        """Of a page."""
        return self.page_bytes - self.header[20]

    def check(self) -> None:
        """``ConfigurationError`` where it is no database, or where a part of it lies beside it.

        A log or a journal and its database are objects of which nothing says that they belong together.
        """
        if self.header and not (self.header.startswith(_MAGIC) and self.page_bytes in _PAGE_SIZES):
            raise no_database()
        if self.header and len(self.header) < HEADER_BYTES:
            raise no_database()
        if _WITH_LOG in self.header[18:20]:
            _check_alone(self.client, f"{self.stored.key}-wal", _LOG)
        _check_alone(self.client, f"{self.stored.key}-journal", _JOURNAL)

    def check_current(self) -> None:
        """``BusyError`` where the object was replaced since; else as ``check``."""
        if self.client.found(self.stored.key) != self.stored:
            raise changed(self.stored.key)
        self.check()


@contextmanager
def found_database(where: DatabaseObject) -> Iterator[StoredDatabase]:
    """The object as it is now, of which only the header is fetched."""
    with closing(BucketClient(where.bucket)) as client:
        stored = client.found(where.key)
        if stored is None:
            raise ConfigurationError(f"There is no object {where.key} in the bucket {where.bucket.name}.", attr="path")
        database = StoredDatabase(client, stored, piece(client, stored, 0, HEADER_BYTES))
        database.check()
        yield database


def _check_alone(client: BucketClient, key: str, message: str) -> None:
    beside = client.found(key)
    if beside is not None and beside.size:
        raise ConfigurationError(message.format(key=key), attr="path")
