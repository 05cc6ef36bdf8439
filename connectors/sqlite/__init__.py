"""SQLite 3 database files that the server may read."""

from connectors.sqlite.connector import SqliteConnector

__all__ = ["SqliteConnector"]
