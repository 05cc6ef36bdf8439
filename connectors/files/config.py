"""The connection's fields: the form, their check, and the frozen configuration that comes out."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from connectors.addresses import check_address
from connectors.base import FormField, SourceForm
from connectors.errors import ConfigurationError
from connectors.fields import text_of
from connectors.files.folder import Folder
from connectors.files.patterns import compiled
from connectors.files.tables import FileTable, parse_tables
from connectors.files.web import WebServer, file_name
from connectors.s3 import S3_FIELDS, Bucket, bucket_of
from connectors.surroundings import Surroundings

FORM = SourceForm(
    name="Files",
    label="Files (Parquet, CSV, JSON lines)",
    caption="Say where the files are, and which of them make up which table: a line each, as orders: orders/*.csv.gz, "
    "or JSON where a table needs options.",
    docs_url="https://arrow.apache.org/docs/python/csv.html",
    fields=(
        FormField(
            "location",
            "Location",
            required=True,
            placeholder="s3://bucket/folder, https://host/folder/ or /folder",
            decides_host=True,
        ),
        FormField("tables", "Tables", type="textarea", required=True, placeholder="orders: orders/*.csv.gz"),
        *S3_FIELDS,
        FormField(
            "authorization",
            "Authorization (https)",
            type="password",
            secret=True,
            placeholder="the header's value, such as Bearer …",
        ),
        FormField("ssl_ca", "Certificate of the authority (https, PEM)", type="textarea"),
    ),
)

_HEADER = re.compile(r"[\x20-\x7e]+")


@dataclass(frozen=True)
class FilesConfig:
    place: Folder | Bucket | WebServer
    tables: tuple[FileTable, ...]

    def table(self, name: str) -> FileTable | None:
        return next((each for each in self.tables if each.name == name), None)


def parse_config(inputs: Mapping[str, Any], surroundings: Surroundings) -> FilesConfig:
    """The configuration of these fields."""
    values = {each.name: text_of(inputs, each.name) for each in FORM.fields if each.name != "tables"}
    location = values["location"]
    if not location:
        raise ConfigurationError("The field location is missing.", attr="location")
    tables = parse_tables(inputs.get("tables"))
    scheme = urlsplit(location).scheme if "://" in location else ""
    if scheme == "s3":
        place: Folder | Bucket | WebServer = _bucket(location, values, surroundings)
    elif scheme in ("https", "http"):
        place = _web_server(location, values, surroundings)
        _check_addresses(location, tables, surroundings)
        return FilesConfig(place, tables)
    elif location.startswith("/"):
        place = _folder(location, surroundings)
    else:
        raise ConfigurationError(
            "The location must be a folder (/folder), a bucket (s3://bucket/folder) or a web address (https://…).",
            attr="location",
        )
    for table in tables:
        for pattern in table.patterns:
            try:
                compiled(pattern)
            except ValueError as error:
                raise ConfigurationError(
                    f"The option files of the table {table.name} is no pattern: {error}.", attr="tables"
                ) from error
    return FilesConfig(place, tables)


def _folder(location: str, surroundings: Surroundings) -> Folder:
    if not surroundings.folders:
        raise ConfigurationError(
            "This installation reads no files of its own server: its operator can allow folders with "
            "SYNCLINE_SOURCE_FOLDERS.",
            attr="location",
        )
    if ".." in location.split("/"):
        raise ConfigurationError("The folder must be named without .. in it.", attr="location")
    return Folder(location, surroundings.folders)


def _bucket(location: str, values: Mapping[str, str], surroundings: Surroundings) -> Bucket:
    name, _, prefix = location.removeprefix("s3://").partition("/")
    folder = prefix.rstrip("/")
    if folder and any(not each or each in (".", "..") for each in folder.split("/")):
        raise ConfigurationError("The location's folder has an empty part, . or .. in it.", attr="location")
    prefix = f"{folder}/" if folder else ""
    return bucket_of(name, prefix, values, surroundings, named_in="location", example="s3://bucket/folder")


def _web_server(location: str, values: Mapping[str, str], surroundings: Surroundings) -> WebServer:
    check_address(location, "location", surroundings)
    if values["authorization"] and not _HEADER.fullmatch(values["authorization"]):
        raise ConfigurationError("The authorization must be one line of plain characters.", attr="authorization")
    if values["ssl_ca"]:
        try:
            ssl.create_default_context(cadata=values["ssl_ca"])
        except (ssl.SSLError, ValueError) as error:
            raise ConfigurationError(
                "The authority's certificate is no PEM text (-----BEGIN CERTIFICATE-----).", attr="ssl_ca"
            ) from error
    return WebServer(location, values["authorization"] or None, values["ssl_ca"] or None, surroundings.outbound)


def _check_addresses(location: str, tables: tuple[FileTable, ...], surroundings: Surroundings) -> None:
    for table in tables:
        try:
            addresses = [urljoin(location, pattern) for pattern in table.patterns]
        except ValueError as error:
            raise ConfigurationError(
                f"The option files of the table {table.name} is no list of addresses: one is malformed.", attr="tables"
            ) from error
        for address in addresses:
            try:
                check_address(address, "tables", surroundings)
            except ConfigurationError as error:
                raise ConfigurationError(
                    f"The option files of the table {table.name} is no list of addresses: {error.message}",
                    attr="tables",
                ) from error
        if len(set(map(file_name, addresses))) < len(addresses):
            raise ConfigurationError(
                f"The option files of the table {table.name} names two files that differ only behind the question "
                "mark of their addresses: make them two tables.",
                attr="tables",
            )
