"""An ordinary session beside the stream: for what the catalogue knows, and for what only the server can convert."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import psycopg
import pyarrow as pa

from connectors.postgres.config import PostgresConfig
from connectors.postgres.session import connect, settled

_NOT_OF_THE_VALUE = ("08", "25", "40", "53", "57", "58")
"""States that say nothing of the values that were to be converted."""


class SessionBeside:
    """Opened when it is first needed, and again where the server has ended it since."""

    def __init__(self, config: PostgresConfig, name: str) -> None:
        self._config = config
        self._name = name
        self._opened = ExitStack()
        self._connection: psycopg.Connection | None = None

    @classmethod
    @contextmanager
    def open(cls, config: PostgresConfig, name: str) -> Iterator["SessionBeside"]:
        session = cls(config, name)
        try:
            yield session
        finally:
            session._opened.close()

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """With the settings of a read."""
        connection = self._alive()
        with settled(connection):
            yield connection

    def recast(self, expression: str, texts: pa.Array) -> pa.Array:
        """``expression`` of each text, which it calls ``v``. Null where the server can make nothing of one any more."""
        distinct = texts.dictionary_encode()
        found = self._recast(expression.replace("%", "%%"), distinct.dictionary.to_pylist())
        return pa.array(found, pa.string()).take(distinct.indices)

    def _recast(self, expression: str, values: Sequence[str]) -> list[str | None]:
        sql = f"SELECT {expression} FROM unnest(%s::text[]) WITH ORDINALITY AS given(v, number) ORDER BY number"
        if not values:
            return []
        try:
            with self.transaction() as connection:
                return [text for (text,) in connection.execute(sql.encode(), [values])]
        except psycopg.Error as error:
            if error.sqlstate is None or error.sqlstate.startswith(_NOT_OF_THE_VALUE):
                raise
        if len(values) == 1:
            return [None]
        half = len(values) // 2
        return self._recast(expression, values[:half]) + self._recast(expression, values[half:])

    def _alive(self) -> psycopg.Connection:
        if self._connection is not None:
            try:
                self._connection.execute("SELECT")
            except psycopg.OperationalError:
                self._opened.close()
            else:
                return self._connection
        self._connection = self._opened.enter_context(connect(self._config, self._name))
        return self._connection
