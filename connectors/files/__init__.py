"""Parquet, CSV, TSV and JSON lines: in a folder of the server, in a bucket, or on a web server."""

from connectors.files.connector import FilesConnector

__all__ = ["FilesConnector"]
