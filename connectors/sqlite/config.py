"""The connection's one field, its check, and where the file that it names really lies."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.base import FormField, SourceForm
from connectors.errors import ConfigurationError
from connectors.surroundings import Surroundings

FORM = SourceForm(
    name="SQLite",
    label="SQLite",
    caption="Give the path of a database file on the machine that Syncline runs on, in a folder that its operator "
    "opened to sources.",
    docs_url="https://www.sqlite.org/fileformat.html",
    fields=(FormField("path", "Path of the file", required=True, placeholder="/data/shop.db", decides_host=True),),
)
_LONGEST = 4096


@dataclass(frozen=True)
class SqliteConfig:
    """``path`` as the user gave it; ``folders``, by their real paths, are those that it may lead into."""

    path: str
    folders: tuple[Path, ...]


def parse_config(inputs: Mapping[str, Any], surroundings: Surroundings) -> SqliteConfig:
    """The configuration of these fields. Whether there is such a file is seen when it is opened, each time anew."""
    path = inputs.get("path")
    if path is not None and not isinstance(path, str):
        raise ConfigurationError("The field path must be text.", attr="path")
    path = (path or "").strip()
    if not path:
        raise ConfigurationError("The field path is missing.", attr="path")
    if "\0" in path or len(path) > _LONGEST or not _is_encodable(path):
        raise ConfigurationError("The path cannot be that of a file.", attr="path")
    if not surroundings.folders:
        raise ConfigurationError(
            "This installation opens no folder to sources: its operator names them in SYNCLINE_SOURCE_FOLDERS.",
            attr="path",
        )
    if not os.path.isabs(path):
        raise ConfigurationError("The path must be a whole one, from the root of the file system on.", attr="path")
    return SqliteConfig(path, surroundings.folders)


def real_path(config: SqliteConfig) -> str:
    """The file's path without symbolic links. ``ConfigurationError`` where it is no file in one of the folders.

    Of a path that leads elsewhere nothing is said but that it does.
    """
    real = os.path.realpath(config.path)
    if not any(Path(real).is_relative_to(folder) for folder in config.folders):
        raise ConfigurationError(
            "The path leads out of the folders that this installation opens to sources.", attr="path"
        )
    if not os.path.exists(real):
        raise ConfigurationError("There is no file at this path.", attr="path")
    if not os.path.isfile(real):
        raise ConfigurationError("What is at this path is no file.", attr="path")
    if not os.access(real, os.R_OK):
        raise ConfigurationError("Syncline's own account may not read this file: give it the right to.", attr="path")
    return real


def _is_encodable(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True
