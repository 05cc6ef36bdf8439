"""A database with one project, and schemas in it on demand."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from sqlalchemy import inspect

from metadata.database import Database
from metadata.models import Capture, Project, Schema, SchemaState, Source, SyncType
from metadata.runs import Runs
from metadata.vault import Vault, generate_key


@dataclass
class Workshop:
    """Makes rows as the API would, and reads them back."""

    database: Database
    vault: Vault
    project_id: int
    _numbers: Iterator[int] = field(default_factory=count)

    def project(self, name: str = "another") -> int:
        with self.database.transaction() as session:
            project = Project(name=name)
            session.add(project)
            session.flush()
            assert project.id is not None
            return project.id

    def source(self, **fields: Any) -> Source:
        inputs = fields.pop("inputs", {"host": "db.example", "password": "hunter2"})
        values: dict[str, Any] = {"project_id": self.project_id, "source_type": "postgres"} | fields
        with self.database.transaction() as session:
            source = Source(encrypted_inputs=self.vault.encrypt(inputs), **values)
            session.add(source)
        return source

    def schema(self, source: Source | None = None, **fields: Any) -> Schema:
        source = source or self.source(prefix=f"p{next(self._numbers)}_")
        values: dict[str, Any] = {
            "name": "public.orders",
            "should_sync": True,
            "sync_type": SyncType.FULL_REFRESH,
        } | fields
        with self.database.transaction() as session:
            schema = Schema(project_id=source.project_id, source_id=source.id, **values)
            session.add(schema)
            session.flush()
            session.add(SchemaState(schema_id=schema.id))
        return schema

    def capture(self, source: Source, **fields: Any) -> Capture:
        values: dict[str, Any] = {"slot_name": "a_slot", "publication_name": "a_publication"} | fields
        with self.database.transaction() as session:
            capture = Capture(source_id=source.id, project_id=source.project_id, **values)
            session.add(capture)
        return capture

    def change(self, row: Any, **fields: Any) -> None:
        """Set columns of a row, as somebody else's transaction would."""
        with self.database.transaction() as session:
            found = session.get_one(type(row), inspect(row).identity)
            for name, value in fields.items():
                setattr(found, name, value)

    def fresh(self, model: type[Any], key: Any) -> Any:
        with self.database.read() as session:
            return session.get_one(model, key)


@pytest.fixture
def database(metadata_url: str) -> Iterator[Database]:
    database = Database(metadata_url)
    yield database
    database.dispose()


@pytest.fixture
def workshop(database: Database) -> Workshop:
    workshop = Workshop(database, Vault([generate_key()]), 0)
    workshop.project_id = workshop.project("mine")
    return workshop


@pytest.fixture
def runs(workshop: Workshop) -> Runs:
    return Runs(workshop.database, workshop.vault)
