"""Files of this machine that stand for a database in a bucket: all of it, or what tells its tables."""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from urllib.parse import quote

from connectors.deadline import remaining
from connectors.s3 import ObjectStream
from connectors.sqlite.config import DatabaseObject
from connectors.sqlite.errors import translated
from connectors.sqlite.outline import SCHEMA_ROOT, Outline
from connectors.sqlite.shelf import disk_failures, scratch, shelved
from connectors.sqlite.stored import StoredDatabase, found_database

_CHUNK_BYTES = 2**20
_STATISTICS = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = 'sqlite_stat1'"


@contextmanager
def copied(where: DatabaseObject) -> Iterator[str]:
    """The path of a copy of the object as it is now, which nobody changes for as long as the context lasts.

    It is fetched unless there is one of the very same version, which the same keys have fetched.
    """
    with found_database(where) as database:
        size = database.stored.size
        with shelved(_name(where, database), size, partial(_fetch, database)) as path:
            yield path


@contextmanager
def outlined(where: DatabaseObject) -> Iterator[str]:
    """The path of a file with the object's schema and statistics, however large the object is."""
    with found_database(where) as database, scratch(database.stored.size) as (path, descriptor):
        with disk_failures(database.stored.size):
            outline = Outline(database, descriptor)
            if database.page_bytes:
                outline.add_table(SCHEMA_ROOT)
            for root in _statistics(path):
                outline.add_table(root)
        yield path


def _fetch(database: StoredDatabase, descriptor: int) -> None:
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    with ObjectStream(database.client, database.stored) as stream:
        while count := stream.readinto(buffer):
            written = 0
            while written < count:
                written += os.write(descriptor, buffer[written:count])
            remaining()
    database.check_current()


def _statistics(path: str) -> list[int]:
    """Where the statistics begin, if there are any."""
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)) as connection:
            return [root for (root,) in connection.execute(_STATISTICS)]
    except sqlite3.Error as error:
        raise translated(error) from error


def _name(where: DatabaseObject, database: StoredDatabase) -> str:
    bucket, stored = where.bucket, database.stored
    place = (bucket.endpoint, bucket.region, bucket.access_key_id, bucket.name)
    version = (stored.key, stored.version, stored.size, stored.modified_at.isoformat())
    return hashlib.sha256(repr((place, version)).encode()).hexdigest()
