"""Whose changes a relation's messages are, and what its columns hold.

A message names a table, and its columns, as they were when the changes were made. The catalogue says what they are
today: types by their oids, which stay; what the role may read; and of which tables a partition's rows are rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import LiteralString

import psycopg

from connectors.capture import FollowedTable
from connectors.postgres.catalogue import SourceColumn, SourceType, types
from connectors.postgres.columns import Server, plan
from connectors.postgres.config import PostgresConfig
from connectors.postgres.names import parse_name
from connectors.postgres.replication.beside import SessionBeside
from connectors.postgres.replication.decoding import LoggedColumn
from connectors.postgres.replication.pgoutput import RelationMessage

# Of a table by whose privilege all columns can be read, columns are null: those that are gone by now count, too.
# What inherits from a plain table may have columns that are not the table's.
_FAMILIES: LiteralString = """
WITH RECURSIVE up(relation, oid) AS (
    SELECT oid, oid FROM unnest(%(oids)s::oid[]) AS oid
    UNION
    SELECT up.relation, i.inhparent FROM up JOIN pg_inherits AS i ON i.inhrelid = up.oid)
SELECT up.relation::int8, up.oid = up.relation, n.nspname::text, c.relname::text,
       CASE WHEN has_table_privilege(c.oid, 'SELECT') AND (c.relkind = 'p' OR c.oid = up.relation) THEN NULL
       ELSE ARRAY(SELECT a.attname::text FROM pg_attribute AS a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                    AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')) END
FROM up JOIN pg_class AS c ON c.oid = up.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
"""


@dataclass(frozen=True)
class _Ancestor:
    """A table of which a relation's rows are rows; ``columns`` None: all can be read."""

    schema: str
    name: str
    columns: tuple[str, ...] | None


@dataclass(frozen=True)
class Target:
    """A followed table that gets a relation's changes, with the columns that it has of them."""

    table: FollowedTable
    columns: tuple[LoggedColumn, ...]
    whole: bool
    """The relation is the table: to truncate the one is to truncate the other. Of a mere part of it nothing is said;
    the table's shape shows that the part was emptied."""

    @property
    def layout(self) -> frozenset[object]:
        """What rows of several relations must share to be put together."""
        return frozenset((each.name, each.column) for each in self.columns)


@dataclass(frozen=True)
class Relation:
    message: RelationMessage
    targets: tuple[Target, ...]


@dataclass
class Relations:
    """What is known of the relations that came up so far."""

    session: SessionBeside
    config: PostgresConfig
    tables: Sequence[FollowedTable]
    _known: dict[int, Relation] = field(default_factory=dict)
    _layouts: dict[str, frozenset[object]] = field(default_factory=dict)
    _types: dict[tuple[int, int], SourceType | None] = field(default_factory=dict)
    _followed: Mapping[tuple[str, str], FollowedTable] = field(init=False)

    def __post_init__(self) -> None:
        named = [(parse_name(table.name, self.config.schema), table) for table in self.tables]
        self._followed = {name: table for name, table in named if name}

    def targets(self, oid: int) -> list[tuple[int, Target]]:
        """The tables that get the changes of a relation, with how many columns its tuples have."""
        known = self._known.get(oid)
        return [(len(known.message.columns), target) for target in known.targets] if known else []

    def differs(self, relation: Relation) -> bool:
        """Whether changes before this relation's message must be understood before it is learned."""
        known = self._known.get(relation.message.oid)
        if known is not None:
            return known != relation
        return any(self._layouts.get(each.table.table_id, each.layout) != each.layout for each in relation.targets)

    def learn(self, relation: Relation) -> None:
        self._known[relation.message.oid] = relation
        self._layouts.update({each.table.table_id: each.layout for each in relation.targets})

    def resolve(self, messages: Sequence[RelationMessage]) -> list[Relation]:
        if not messages:
            return []
        with self.session.transaction() as connection:
            families = _families(connection, {message.oid for message in messages})
            targets = [self._targets(message, families.get(message.oid)) for message in messages]
            pairs = zip(messages, targets, strict=True)
            wanted = {column[1:] for message, found in pairs if found for column in message.columns}
            missing = wanted - self._types.keys()
            if missing:
                self._types |= dict.fromkeys(missing) | types(connection, missing)
            server = Server(connection.info.server_version)
        return [
            Relation(
                message,
                tuple(Target(table, self._columns(message, columns, server), whole) for table, columns, whole in found),
            )
            for message, found in zip(messages, targets, strict=True)
        ]

    def _targets(
        self, message: RelationMessage, family: Sequence[tuple[bool, _Ancestor]] | None
    ) -> list[tuple[FollowedTable, tuple[str, ...] | None, bool]]:
        """By the name that the table had then; of a part, by the names that the tables above it have now."""
        # A table that is gone has no privileges any more. That its last changes are lost would be worse.
        family = family or [(True, _Ancestor(message.schema, message.table, None))]
        found = []
        for is_self, ancestor in family:
            name = (message.schema, message.table) if is_self else (ancestor.schema, ancestor.name)
            if name in self._followed:
                found.append((self._followed[name], ancestor.columns, is_self))
        return found

    def _columns(
        self, message: RelationMessage, readable: tuple[str, ...] | None, server: Server
    ) -> tuple[LoggedColumn, ...]:
        return tuple(
            self._column(place, name, self._types[oid, typmod], server)
            for place, (name, oid, typmod) in enumerate(message.columns)
            if readable is None or name in readable
        )

    def _column(self, place: int, name: str, found: SourceType | None, server: Server) -> LoggedColumn:
        if found is None:
            # Of a type that is gone nothing is left but the text.
            text = SourceColumn(name, "text", False, "text", -1, False, "text")
            return LoggedColumn(name, place, text, plan(text, server))
        column, recast = found.column, None
        if column.is_array:
            recast = partial(self.session.recast, f"CAST(to_json(CAST(v AS {column.cast})) AS text)")
        elif found.text_cast:
            recast = partial(self.session.recast, f"CAST(CAST(v AS {column.cast}) AS text)")
        return LoggedColumn(name, place, column, plan(column, server), recast)


def _families(connection: psycopg.Connection, oids: set[int]) -> dict[int, list[tuple[bool, _Ancestor]]]:
    found: dict[int, list[tuple[bool, _Ancestor]]] = {}
    for relation, is_self, schema, name, columns in connection.execute(_FAMILIES, {"oids": list(oids)}):
        ancestor = _Ancestor(schema, name, None if columns is None else tuple(columns))
        found.setdefault(relation, []).append((is_self, ancestor))
    return found
