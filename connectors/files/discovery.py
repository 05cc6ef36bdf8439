"""The tables that the user named, as a look at some of their files shows them."""

from collections.abc import Sequence

import pyarrow as pa

from connectors.base import Column, DiscoveredTable, IncrementalField
from connectors.errors import ConfigurationError, SchemaChangedError
from connectors.files.config import FilesConfig
from connectors.files.entry import FileEntry, Place
from connectors.files.errors import BadFileError
from connectors.files.inspection import Contents, reconciled, shapes
from connectors.files.pieces import OWN, Wanted
from connectors.files.place import opened_place
from connectors.files.tables import FileTable
from connectors.inference.chosen import lake_type
from connectors.inference.columns import type_name
from connectors.inference.filters import kind_of
from connectors.inference.kinds import EMPTY, TEXT

FILE, ROW, MODIFIED_AT = OWN
OWN_FIELDS = (
    pa.field(FILE, pa.string()),
    pa.field(ROW, pa.int64()),
    pa.field(MODIFIED_AT, pa.timestamp("us", "UTC")),
)
PRIMARY_KEY = (FILE, ROW)

MOST_LISTED = 1000
SAMPLED_FILES = 5
SAMPLE_BYTES = 2**18


def discover(config: FilesConfig, names: Sequence[str] | None) -> list[DiscoveredTable]:
    """All tables, or the named ones that there are. A few files of each are looked at, and of these the beginning."""
    wanted = config.tables if names is None else [each for each in config.tables if each.name in names]
    with opened_place(config.place) as place:
        return [_discovered(place, table) for table in sorted(wanted, key=lambda each: each.name)]


def described(table: FileTable, schema: pa.Schema, description: str | None) -> DiscoveredTable:
    return DiscoveredTable(
        name=table.name,
        kind="table",
        columns=tuple(
            Column(each.name, type_name(each.type), each.name not in PRIMARY_KEY, kind_of(each.type)) for each in schema
        ),
        primary_key=PRIMARY_KEY,
        incremental_fields=(
            IncrementalField(MODIFIED_AT, "timestamp", MODIFIED_AT, "timestamp", nullable=True, is_indexed=True),
        ),
        description=description,
    )


def no_files(table: FileTable) -> str:
    return f"No file matches {', '.join(table.patterns[:3])} of the table {table.name}."


def _discovered(place: Place, table: FileTable) -> DiscoveredTable:
    """A table whose files are missing or broken is there all the same, and says so."""
    own = list(OWN_FIELDS)
    listed = place.listed(table.patterns, MOST_LISTED)
    if not listed:
        return described(table, pa.schema(own), no_files(table))
    wanted = Wanted(table, verbatim=frozenset(name for name, _ in table.columns), sample_bytes=SAMPLE_BYTES)
    try:
        types = reconciled(table.name, list(shapes(Contents(place), _sampled(listed), wanted)), wanted.verbatim)
    except (BadFileError, ConfigurationError, SchemaChangedError) as error:
        return described(table, pa.schema(own), error.message)
    declared = {name: lake_type(kind) for name, kind in table.columns}
    fields = [pa.field(name, declared.get(name) or (TEXT if kind == EMPTY else kind)) for name, kind in types.items()]
    description = "Lines of the same files that are no rows of their table." if table.of_bad_lines else None
    return described(table, pa.schema([*fields, *own]), description)


def _sampled(listed: list[FileEntry]) -> list[FileEntry]:
    """Old ones and new ones."""
    ordered = sorted(listed, key=lambda each: (each.modified_at is not None, each.modified_at or 0, each.name))
    if len(ordered) <= SAMPLED_FILES:
        return ordered
    step = (len(ordered) - 1) / (SAMPLED_FILES - 1)
    return [ordered[round(number * step)] for number in range(SAMPLED_FILES)]
