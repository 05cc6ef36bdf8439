"""The connection's fields, their check, and where a file that they name really lies."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.base import FormField, SourceForm
from connectors.errors import ConfigurationError
from connectors.fields import text_of
from connectors.s3 import S3_FIELDS, Bucket, bucket_of
from connectors.surroundings import Surroundings

FORM = SourceForm(
    name="SQLite",
    label="SQLite",
    caption="Give the path of a database file: on the machine that Syncline runs on, in a folder that its operator "
    "opened to sources, or in a bucket of S3.",
    docs_url="https://www.sqlite.org/fileformat.html",
    fields=(
        FormField(
            "path",
            "Path of the file",
            required=True,
            placeholder="/data/shop.db or s3://bucket/shop.db",
            decides_host=True,
        ),
        *S3_FIELDS,
    ),
)
_LONGEST = 4096
_LONGEST_KEY_BYTES = 1024
_S3 = "s3://"


@dataclass(frozen=True)
class DatabaseFile:
    """``path`` as the user gave it; ``folders``, by their real paths, are those that it may lead into."""

    path: str
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class DatabaseObject:
    bucket: Bucket
    key: str


SqliteConfig = DatabaseFile | DatabaseObject


def parse_config(inputs: Mapping[str, Any], surroundings: Surroundings) -> SqliteConfig:
    """The configuration of these fields. Whether there is such a file is seen when it is opened, each time anew."""
    values = {each.name: text_of(inputs, each.name) for each in FORM.fields}
    path = values["path"]
    if not path:
        raise ConfigurationError("The field path is missing.", attr="path")
    return _object(path, values, surroundings) if path.startswith(_S3) else _file(path, surroundings)


def _object(path: str, values: Mapping[str, str], surroundings: Surroundings) -> DatabaseObject:
    name, _, key = path.removeprefix(_S3).partition("/")
    example = "s3://bucket/shop.db"
    bucket = bucket_of(name, "", values, surroundings, named_in="path", example=example)
    if not key or key.endswith("/"):
        raise ConfigurationError(f"The path must name an object of the bucket: {example}.", attr="path")
    try:
        fits = len(key.encode()) <= _LONGEST_KEY_BYTES
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise ConfigurationError("The path cannot be that of an object.", attr="path")
    return DatabaseObject(bucket, key)


def _file(path: str, surroundings: Surroundings) -> DatabaseFile:
    if len(path) > _LONGEST or not _is_encodable(path):
        raise ConfigurationError("The path cannot be that of a file.", attr="path")
    if not surroundings.folders:
        raise ConfigurationError(
            "This installation opens no folder to sources: its operator names them in SYNCLINE_SOURCE_FOLDERS.",
            attr="path",
        )
    if not os.path.isabs(path):
        raise ConfigurationError("The path must be a whole one, from the root of the file system on.", attr="path")
    return DatabaseFile(path, surroundings.folders)


def real_path(file: DatabaseFile) -> str:
    """The file's path without symbolic links. ``ConfigurationError`` where it is no file in one of the folders.

    Of a path that leads elsewhere nothing is said but that it does.
    """
    real = os.path.realpath(file.path)
    if not any(Path(real).is_relative_to(folder) for folder in file.folders):
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
