"""How the tables in the lake are called, and where they lie."""

import re
import uuid

FOLDER_NAME_LENGTH = 200
"""A folder's name with the schema's id behind it must fit a file system's 255 bytes."""


def table_name(prefix: str, source_type: str, schema_name: str) -> str:
    """The name by which queries and the API know a table: nothing but ``a-z``, ``0-9`` and ``_``."""
    return re.sub(r"[^a-z0-9_]", "_", f"{prefix}{source_type}_{schema_name}".lower())


def table_path(project_id: int, name: str, schema_id: uuid.UUID | str) -> str:
    """A Delta table's folder below the lake's root. The id keeps apart tables whose names became the same."""
    identity = uuid.UUID(str(schema_id)).hex[:12]
    return f"project_{project_id}/{name[:FOLDER_NAME_LENGTH]}_{identity}"


def history_name(name: str) -> str:
    """Of the table that has one row for each change, beside the main table of this name."""
    return f"{name}_cdc"


def history_path(path: str) -> str:
    """Where it lies, beside the main table's path."""
    return f"{path}_cdc"
