"""Files in a bucket of S3, or of what speaks its protocol."""

from collections.abc import Sequence
from io import RawIOBase

from connectors.files.entry import FileEntry
from connectors.files.patterns import compiled, literal_prefix
from connectors.s3 import Bucket, BucketClient, ObjectStream, StoredObject


class BucketPlace:
    """``connectors.files.entry.Place``. A read of an object is of one version of it from beginning to end."""

    is_remote = True

    def __init__(self, bucket: Bucket) -> None:
        self._prefix = bucket.prefix
        self._client = BucketClient(bucket)

    def check(self, patterns: Sequence[str]) -> None:
        self._client.check()

    def listed(self, patterns: Sequence[str], most: int | None = None) -> list[FileEntry]:
        found: dict[str, FileEntry] = {}
        for pattern in patterns:
            matches = compiled(pattern).fullmatch
            for each in self._client.objects(self._prefix + literal_prefix(pattern)):
                name = self._client.name_of(each)
                if matches(name) and not name.endswith("/"):
                    found[name] = FileEntry(name, each.size, each.modified_at, each.version, each.key)
                    if most is not None and len(found) >= most:
                        return list(found.values())
        return list(found.values())

    def open(self, entry: FileEntry) -> RawIOBase:
        assert entry.modified_at is not None
        return ObjectStream(self._client, StoredObject(entry.address, entry.size, entry.modified_at, entry.version))

    def ranged(self, entry: FileEntry) -> RawIOBase | None:
        return self.open(entry)

    def check_unchanged(self, entry: FileEntry) -> None:
        """Each request asks for the version that was listed."""

    def close(self) -> None:
        self._client.close()
