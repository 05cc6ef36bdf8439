"""Bringing the metadata database to this version. Apart from the database, for only who migrates needs Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, func, select, text
from sqlalchemy.pool import NullPool

from metadata.database import postgres_engine, sqlite_engine, supported_url
from metadata.errors import MetadataError

MIGRATION_LOCK = 0x53594E43_00000001
"""Key of the PostgreSQL advisory lock under which migrations run; any constant of our own will do."""


def migrate(url: str) -> None:
    """Bring the database to the newest schema. Processes that start together wait for one another."""
    parsed = supported_url(url)
    if parsed.get_backend_name() == "sqlite":
        # Rebuilding a table, SQLite's way to alter one, would delete what refers to it if keys were enforced.
        engine = sqlite_engine(parsed, foreign_keys=False, poolclass=NullPool)
    else:
        engine = postgres_engine(parsed, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            _upgrade(connection)
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config(str(Path(__file__).with_name("alembic.ini")))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite" and connection.execute(text("PRAGMA foreign_key_check")).first():
        raise MetadataError("The migration would leave rows that refer to nothing; nothing was changed.")
