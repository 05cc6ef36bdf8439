"""SQLite 3 databases: files that the server may read, and objects in buckets of S3."""

from connectors.sqlite.connector import SqliteConnector

__all__ = ["SqliteConnector"]
