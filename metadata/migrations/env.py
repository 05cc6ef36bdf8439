"""Alembic's entry: on the connection that ``metadata.migrate`` hands over, else on ``-x url=…``."""

from alembic import context
from sqlalchemy import Connection, create_engine
from sqlmodel import SQLModel

import metadata.models  # noqa: F401  the models register themselves


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with create_engine(context.get_x_argument(as_dictionary=True)["url"]).connect() as opened:
        run(opened)
