"""MySQL and MariaDB."""

from connectors.mysql.connector import MySqlConnector

__all__ = ["MySqlConnector"]
