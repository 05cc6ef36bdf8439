"""What the conformance suite has to know of a source type: how to make a source of it, and what breaks one.

A table of the suite has columns of three neutral kinds: ``integer`` (64 bits), ``text`` (short and plain) and ``time``
(of a second, without a zone); its first column is ``id``, an integer that is unique.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import pyarrow as pa

from connectors.base import Connector
from connectors.errors import SourceError
from connectors.outbound import OPEN
from connectors.registry import connector
from connectors.surroundings import Surroundings

Columns = Mapping[str, str]
Rows = Sequence[tuple[Any, ...]]


class Subject(ABC):
    """A source of this test alone, empty at first."""

    source_type: ClassVar[str]
    own_columns: ClassVar[tuple[str, ...]] = ()
    """Columns that the connector adds to those of a table."""
    in_cursor_order: ClassVar[bool] = True
    """Rows come in the order of the cursor; not where reads that end early go on by their state."""
    goes_by_cursor: ClassVar[bool] = True
    """A cursor's bound says where a read begins; not where a state of the source's own does."""
    time_kind: ClassVar[str] = "timestamp"
    """As discovery calls its times."""
    secret: ClassVar[str] = "s3cr3t-of-the-suite"
    """What stands in each secret field of ``spoilt`` inputs."""
    surroundings: Surroundings = Surroundings(OPEN)
    """Those in which the source may be reached."""
    closed: Surroundings = Surroundings()
    """Those in which it may not."""

    @property
    def connector(self) -> Connector:
        return connector(self.source_type)

    def config(self, **changes: Any) -> Any:
        return self.connector.parse_config({**self.inputs(), **changes}, self.surroundings)

    def cursor(self, kind: str) -> str | None:
        """The column that a cursor read of a table with the columns ``id``, ``n`` and ``at`` goes by; None: by none."""
        return {"integer": "n", "time": "at"}[kind]

    def neutral(self, table: pa.Table) -> pa.Table:
        """What was read, with its times as those of the suite."""
        return table

    @abstractmethod
    def inputs(self) -> dict[str, Any]:
        """What a user types into the form."""

    def confided(self) -> dict[str, Any]:
        """Changes of the inputs with the secret in each field that is one."""
        secrets = {field.name for field in self.connector.form.fields if field.secret and field.name in self.inputs()}
        return dict.fromkeys(secrets, self.secret)

    @abstractmethod
    def malformed(self) -> list[tuple[dict[str, Any], str]]:
        """Changes of the inputs that cannot be right whatever is there, and the field that each is refused by."""

    @abstractmethod
    def unwelcome(self) -> list[tuple[dict[str, Any], type[SourceError]]]:
        """Changes of the inputs with which the source turns one down, or is not there, and how that ends."""

    @abstractmethod
    def create(self, table: str, columns: Columns, rows: Rows) -> None: ...

    @abstractmethod
    def insert(self, table: str, rows: Rows) -> None: ...

    @abstractmethod
    def drop_column(self, table: str, column: str) -> None: ...

    @abstractmethod
    def drop(self, table: str) -> None: ...


class SqlSubject(Subject):
    """A source that speaks SQL. ``types``: its own for the neutral kinds."""

    types: ClassVar[Mapping[str, str]]

    @abstractmethod
    def execute(self, statement: str) -> None: ...

    def create(self, table: str, columns: Columns, rows: Rows) -> None:
        declared = [f"{name} {self.types[kind]}" for name, kind in columns.items()]
        declared[0] += " NOT NULL PRIMARY KEY"
        self.execute(f"CREATE TABLE {table} ({', '.join(declared)})")
        self.insert(table, rows)

    def insert(self, table: str, rows: Rows) -> None:
        for first in range(0, len(rows), 500):
            values = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows[first : first + 500])
            self.execute(f"INSERT INTO {table} VALUES {values}")

    def drop_column(self, table: str, column: str) -> None:
        self.execute(f"ALTER TABLE {table} DROP COLUMN {column}")

    def drop(self, table: str) -> None:
        self.execute(f"DROP TABLE {table}")


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    text = value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)
    return "'" + text.replace("'", "''") + "'"
