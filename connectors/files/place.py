"""From a place's configuration to the place."""

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.files.bucket import BucketPlace
from connectors.files.entry import Place
from connectors.files.folder import Folder, FolderPlace
from connectors.files.web import WebPlace, WebServer
from connectors.s3 import Bucket


@contextmanager
def opened_place(where: Folder | Bucket | WebServer) -> Iterator[Place]:
    place = _place(where)
    try:
        yield place
    finally:
        place.close()


def location_of(where: Folder | Bucket | WebServer) -> str:
    """What tells the place from others."""
    match where:
        case Folder():
            return where.path
        case Bucket():
            return f"{where.endpoint or ''} s3://{where.name}/{where.prefix}"
        case _:
            return where.url


def _place(where: Folder | Bucket | WebServer) -> Place:
    match where:
        case Folder():
            return FolderPlace(where)
        case Bucket():
            return BucketPlace(where)
        case _:
            return WebPlace(where)
