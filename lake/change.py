"""What publishing a staged batch changes in a table's files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from lake.evolution import Evolution
from lake.log import Snapshot, TableFile
from lake.manifest import Manifest
from lake.parquet import WrittenFile
from lake.rows import DataFile, RowSets, rewrite_files
from lake.storage import LakeStore


@dataclass(frozen=True)
class Change:
    """Added files lie at their paths from the lake's root; removed ones are the table's own."""

    added: Sequence[WrittenFile] = ()
    removed: Sequence[TableFile] = ()
    rows_added: int = 0
    rows_changed: int = 0
    rows_deleted: int = 0
    overwrite: bool = False

    @property
    def bytes_written(self) -> int:
        return sum(file.size_bytes for file in self.added)


@dataclass(frozen=True)
class Publishing:
    """A staged batch, the version of the table that it is to change, and where rewritten files go."""

    store: LakeStore
    manifest: Manifest
    snapshot: Snapshot
    evolution: Evolution
    stem: str
    primary_key: tuple[str, ...] = ()
    cursor: str | None = None
    """Key and cursor by their stored names."""

    @cached_property
    def target(self) -> Sequence[TableFile]:
        return list(self.snapshot.files.values())

    @property
    def also(self) -> tuple[str, ...]:
        """Columns that pruning lives by: their statistics are always kept."""
        return self.primary_key + ((self.cursor,) if self.cursor else ())

    @property
    def incoming_schema(self) -> pa.Schema:
        """The staged columns in the types that the table has from now on."""
        incoming = self.manifest.columns.schema
        return pa.schema([self.evolution.schema.field(name) for name in incoming.names])

    def target_files(self, numbers: Sequence[int]) -> dict[int, DataFile]:
        root = self.snapshot.root
        return {number: DataFile(f"{root}/{self.target[number].path}", self.target[number].rows) for number in numbers}

    def settle(self, kind: str, staged: Sequence[WrittenFile], known: RowSets) -> list[WrittenFile]:
        """Staged files without the known rows and in the table's types; those that are so already as they lie.

        ``kind`` tells one list of files from another: what is rewritten is named by its place in the list.
        """
        must_cast = self.incoming_schema.types != self.manifest.columns.schema.types
        rewritten = {
            number: DataFile(file.path, file.rows) for number, file in enumerate(staged) if must_cast or number in known
        }
        kept = [file for number, file in enumerate(staged) if number not in rewritten]
        if not rewritten:
            return kept
        stem = f"{self.stem}-{kind}"
        return kept + rewrite_files(self.store, rewritten, known, stem, self.incoming_schema, self.also)

    def rewrite_target(self, dropped: RowSets) -> tuple[list[TableFile], list[WrittenFile]]:
        """The table's files that lose rows or must be cast, and what takes their place."""
        widened = bool(self.evolution.widened)
        numbers = list(range(len(self.target))) if widened else sorted(dropped)
        if not numbers:
            return [], []
        written = rewrite_files(
            self.store,
            self.target_files(numbers),
            dropped,
            f"{self.stem}-rest",
            self.evolution.schema if widened else None,
            self.also,
        )
        return [self.target[number] for number in numbers], written


def as_data_files(files: Sequence[WrittenFile]) -> Mapping[int, DataFile]:
    return {number: DataFile(file.path, file.rows) for number, file in enumerate(files)}
