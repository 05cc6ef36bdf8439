"""PostgreSQL 13 and later, and what speaks its protocol and has its catalogue."""

from connectors.postgres.connector import PostgresConnector

__all__ = ["PostgresConnector"]
