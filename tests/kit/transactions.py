"""Random transactions from a seed: what a busy database with careless owners does to its tables."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

WIDE = 3000
"""Characters of a text that the server stores out of line: an update that leaves it alone does not log it."""

SETUP = [
    'CREATE TABLE "Items" (id bigint PRIMARY KEY, v int, label text, long text, price numeric(14,3), at timestamptz)',
    """ALTER TABLE "Items" ALTER COLUMN long SET STORAGE EXTERNAL""",
    "CREATE TABLE pairs (a text, b int, payload jsonb, tags int[], PRIMARY KEY (a, b))",
    "CREATE TABLE whole (id int PRIMARY KEY, v text, long text)",
    "ALTER TABLE whole ALTER COLUMN long SET STORAGE EXTERNAL",
    "ALTER TABLE whole REPLICA IDENTITY FULL",
    "CREATE TABLE parted (id int, region text, v int, PRIMARY KEY (id, region)) PARTITION BY LIST (region)",
    "CREATE TABLE parted_n PARTITION OF parted FOR VALUES IN ('n')",
    "CREATE TABLE parted_rest PARTITION OF parted DEFAULT",
]
TABLES = ['"Items"', "pairs", "whole", "parted"]
NAMES = ["Items", "pairs", "whole", "parted"]


@dataclass
class Transactions:
    """Each is a list of statements, the last of which is ``COMMIT`` or ``ROLLBACK``. The same seed, the same ones.

    What a statement does depends on what is in the tables, which depends on the order of commits: statements choose
    their rows by arithmetic on keys, so that they mean something whatever is there.
    """

    seed: int
    ddl: bool = True
    _columns: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311

    def __iter__(self) -> Iterator[list[str]]:
        while True:
            yield self._transaction()

    def _transaction(self) -> list[str]:
        chance = self._random.random()
        if chance < 0.02:
            return ["BEGIN", f"TRUNCATE {self._random.choice(TABLES)}", *self._some(3), "COMMIT"]
        if chance < 0.05 and self.ddl:
            return ["BEGIN", *self._some(1), *self._definition(), *self._some(2), "COMMIT"]
        if chance < 0.10:
            return ["BEGIN", *self._some(4), "ROLLBACK"]
        if chance < 0.20:
            inner = ["SAVEPOINT s", *self._some(3), "ROLLBACK TO SAVEPOINT s"]
            return ["BEGIN", *self._some(2), *inner, *self._some(2), "COMMIT"]
        if chance < 0.23:
            return ["BEGIN", *self._bulk(), "COMMIT"]
        return ["BEGIN", *self._some(6), "COMMIT"]

    def _some(self, most: int) -> list[str]:
        return [self._change() for _ in range(self._random.randint(1, most))]

    def _change(self) -> str:
        return self._random.choice([self._items, self._items, self._pairs, self._whole, self._parted])()

    def _items(self) -> str:
        r = self._random
        id, v = r.randint(1, 60), r.randint(0, 1_000_000)
        return r.choice(
            [
                f"""INSERT INTO "Items" (id, v, label, long, price, at) VALUES ({id}, {v}, {self._label()},
                    repeat(md5('{v}'), {WIDE // 32}), {v} / 7.0, timestamptz '2026-01-01' + {v} * interval '1 second')
                    ON CONFLICT (id) DO UPDATE SET v = excluded.v, price = null""",
                f"""INSERT INTO "Items" (id, v) SELECT n, {v} FROM generate_series({id}, {id + 5}) n
                    ON CONFLICT DO NOTHING""",
                f"""UPDATE "Items" SET v = {v}, label = {self._label()} WHERE id % 7 = {id % 7}""",
                f"""UPDATE "Items" SET long = repeat(md5('{v}'), {WIDE // 32}) WHERE id = {id}""",
                f"""UPDATE "Items" SET long = null, price = {v} / 3.0 WHERE id = {id}""",
                # Keys change places, and rows that keep their long text come under other keys.
                f"""UPDATE "Items" SET id = id + 100 WHERE id % 9 = {id % 9} AND id < 60
                    AND NOT EXISTS (SELECT FROM "Items" o WHERE o.id = "Items".id + 100)""",
                f"""UPDATE "Items" SET id = id - 100 WHERE id % 9 = {id % 9} AND id > 100
                    AND NOT EXISTS (SELECT FROM "Items" o WHERE o.id = "Items".id - 100)""",
                f"""DELETE FROM "Items" WHERE id = {id}""",
                f"""DELETE FROM "Items" WHERE id % 11 = {id % 11}""",
            ]
        )

    def _pairs(self) -> str:
        r = self._random
        a, b, v = r.choice("xyzé☃"), r.randint(1, 12), r.randint(0, 999)
        return r.choice(
            [
                f"""INSERT INTO pairs VALUES ('{a}', {b}, '{{"n": {v}}}', ARRAY[{v}, null, {b}])
                    ON CONFLICT (a, b) DO UPDATE SET tags = excluded.tags || pairs.tags[1:2]""",
                f"""UPDATE pairs SET payload = jsonb_build_object('v', {v}) WHERE b = {b}""",
                f"UPDATE pairs SET payload = null, tags = '{{}}' WHERE a = '{a}'",
                f"DELETE FROM pairs WHERE a = '{a}' AND b > {b}",
            ]
        )

    def _whole(self) -> str:
        r = self._random
        id, v = r.randint(1, 30), r.randint(0, 999)
        return r.choice(
            [
                f"INSERT INTO whole VALUES ({id}, {self._label()}, repeat(md5('{v}'), {WIDE // 32})) "
                f"ON CONFLICT (id) DO UPDATE SET v = '{v}'",
                f"UPDATE whole SET v = {self._label()} WHERE id % 3 = {id % 3}",
                f"UPDATE whole SET id = -id WHERE id = {id} AND NOT EXISTS (SELECT FROM whole WHERE id = -{id})",
                f"UPDATE whole SET id = -id WHERE id = -{id} AND NOT EXISTS (SELECT FROM whole WHERE id = {id})",
                f"DELETE FROM whole WHERE abs(id) = {id}",
            ]
        )

    def _parted(self) -> str:
        r = self._random
        id, v, region = r.randint(1, 30), r.randint(0, 999), r.choice("nsew")
        return r.choice(
            [
                f"INSERT INTO parted VALUES ({id}, '{region}', {v}) ON CONFLICT DO NOTHING",
                f"UPDATE parted SET v = {v} WHERE region = '{region}'",
                # From one partition to another.
                f"UPDATE parted SET region = '{region}' WHERE id = {id} AND region <> '{region}' "
                f"AND NOT EXISTS (SELECT FROM parted WHERE id = {id} AND region = '{region}')",
                f"DELETE FROM parted WHERE id % 5 = {id % 5}",
            ]
        )

    def _bulk(self) -> list[str]:
        first = self._random.randint(1000, 1200)
        return [
            f"""INSERT INTO "Items" (id, v, label) SELECT n, n, 'bulk' FROM generate_series({first}, {first + 2000}) n
                ON CONFLICT (id) DO UPDATE SET v = "Items".v + 1""",
            f"""UPDATE "Items" SET label = 'later' WHERE id BETWEEN {first} AND {first + 1000}""",
            f"""DELETE FROM "Items" WHERE id BETWEEN {first + 500} AND {first + 700}""",
        ]

    def _definition(self) -> list[str]:
        """A change of a table. Columns that come also go, so that tables do not grow without an end."""
        r = self._random
        self._columns += 1
        name = f"extra{self._columns % 3}"
        return r.choice(
            [
                [f'ALTER TABLE "Items" DROP COLUMN IF EXISTS {name}', f'ALTER TABLE "Items" ADD COLUMN {name} int'],
                [
                    f"ALTER TABLE pairs DROP COLUMN IF EXISTS {name}",
                    f"ALTER TABLE pairs ADD COLUMN {name} text DEFAULT 'd{self._columns}'",
                ],
                [f"ALTER TABLE whole DROP COLUMN IF EXISTS {name}"],
                [f"ALTER TABLE whole ADD COLUMN IF NOT EXISTS {name} text", f"UPDATE whole SET {name} = id::text"],
                ['ALTER TABLE "Items" ALTER COLUMN v TYPE bigint', 'ALTER TABLE "Items" ALTER COLUMN v TYPE int'],
                [
                    "ALTER TABLE parted ALTER COLUMN v TYPE text",
                    "ALTER TABLE parted ALTER COLUMN v TYPE int USING v::int",
                ],
                ["TRUNCATE parted_n"],
            ]
        )

    def _label(self) -> str:
        return self._random.choice(["null", "''", "'Ünïcode ☃'", "'it''s'", f"'{self._random.randint(0, 99)}'"])
