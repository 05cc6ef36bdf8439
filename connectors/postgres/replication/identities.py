"""By what Postgres tells rows apart in its log: the replica identity of tables and of their partitions.

An UPDATE or DELETE of a published table that has none fails, for whoever runs it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from connectors.postgres.sql import relation

# A deferrable primary key is no replica identity. Columns that an index only includes are not logged.
_RELATIONS: LiteralString = """
WITH RECURSIVE part(root, oid) AS (
    SELECT root, root FROM unnest(%(oids)s::oid[]) AS root
    UNION
    SELECT part.root, i.inhrelid FROM part JOIN pg_inherits AS i ON i.inhparent = part.oid
    WHERE NOT coalesce((to_jsonb(i) ->> 'inhdetachpending')::bool, false)),
key(oid, is_primary, is_identity, columns) AS (
    SELECT i.indrelid, i.indisprimary, i.indisreplident,
           (SELECT array_agg(a.attname::text ORDER BY k.ordinal)
            FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, ordinal)
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
            WHERE k.ordinal <= i.indnkeyatts)
    FROM pg_index AS i
    WHERE i.indrelid IN (SELECT oid FROM part) AND i.indisvalid AND i.indimmediate AND i.indisunique
      AND (i.indisprimary OR i.indisreplident))
SELECT part.root::int8, c.oid = part.root, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text,
       c.relreplident::text,
       (SELECT key.columns FROM key WHERE key.oid = c.oid AND key.is_primary),
       (SELECT key.columns FROM key WHERE key.oid = c.oid AND key.is_identity)
FROM part JOIN pg_class AS c ON c.oid = part.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY part.root, c.oid <> part.root, n.nspname, c.relname
"""


@dataclass(frozen=True)
class Relation:
    """A table, a partition, or what inherits from it; ``kind`` and ``persistence`` as the catalogue has them."""

    schema: str
    name: str
    kind: str
    persistence: str
    replica_identity: str
    primary_key: tuple[str, ...]
    identity_index: tuple[str, ...]

    @property
    def sql(self) -> str:
        return relation(self.schema, self.name)

    @property
    def is_partitioned(self) -> bool:
        return self.kind == "p"

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns that an index gives; none where it is ``FULL``."""
        if self.replica_identity == "d":
            return self.primary_key
        return self.identity_index if self.replica_identity == "i" else ()

    @property
    def takes_updates(self) -> bool:
        """Whether an UPDATE succeeds once the table is published. Of a partitioned one its leaves decide."""
        return self.is_partitioned or self.replica_identity == "f" or bool(self.identity)

    def logs(self, key: Sequence[str]) -> bool:
        """Whether the log has these columns of every row that is updated or deleted."""
        return self.replica_identity == "f" or (bool(self.identity) and set(key) <= set(self.identity))


@dataclass(frozen=True)
class Family:
    """A table with all partitions of all levels, or with all that inherit from it."""

    table: Relation
    members: tuple[Relation, ...]

    @property
    def stored(self) -> tuple[Relation, ...]:
        """Those of the partitions that have rows, or the table itself."""
        if not self.table.is_partitioned:
            return (self.table,)
        return tuple(each for each in self.members if not each.is_partitioned)

    @property
    def not_logged(self) -> tuple[Relation, ...]:
        """Whose rows are among the table's, but not their changes."""
        if not self.table.is_partitioned and self.members:
            return self.members
        return tuple(each for each in self.stored if each.kind != "r" or each.persistence != "p")

    @property
    def without_identity(self) -> tuple[Relation, ...]:
        """Where an UPDATE would fail. Partitions that come later have no other identity than the primary key."""
        if self.table.is_partitioned and not self.table.primary_key:
            return (self.table,)
        return tuple(each for each in self.stored if not each.takes_updates)


def families(connection: psycopg.Connection, oids: Sequence[int]) -> dict[int, Family]:
    """Of tables that exist, by their oids."""
    found: dict[int, list[Relation]] = defaultdict(list)
    for root, _, *values, primary, index in connection.execute(_RELATIONS, {"oids": list(oids)}):
        found[root].append(Relation(*(*values, tuple(primary or ()), tuple(index or ()))))
    return {root: Family(table, tuple(members)) for root, (table, *members) in found.items()}
