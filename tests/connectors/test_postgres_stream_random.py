"""Any statements: what their changes make of a table is what the table then holds."""

import random
from typing import Any

import pytest

from connectors.postgres.replication import stream as streaming
from tests.connectors.following import Followed, applied
from tests.connectors.source import Source
from tests.connectors.type_cases import exact

TABLE = """
CREATE TABLE things (a int, b text, n numeric(9,2), t text, l text, x int[], PRIMARY KEY (a, b));
ALTER TABLE things ALTER l SET STORAGE EXTERNAL"""
KEYS = 12
TEXTS = ["NULL", "''", "'ü 🐘'", "repeat('t', 50)"]
LARGE = ["NULL", "'short'", "repeat('l', 9000)", "repeat('m', 20000)"]
NUMBERS = ["NULL", "0", "'NaN'", "-1.25", "1234567.89"]
ARRAYS = ["NULL", "'{}'", "'{1,NULL}'", "'{{1,2},{3,4}}'"]


def statement(dice: random.Random) -> str:
    values = {"n": dice.choice(NUMBERS), "t": dice.choice(TEXTS), "l": dice.choice(LARGE), "x": dice.choice(ARRAYS)}
    some = ", ".join(f"{name} = {value}" for name, value in values.items() if dice.random() < 0.5) or "t = things.t"
    key, other = dice.randrange(KEYS), dice.randrange(KEYS)
    match dice.choices(["insert", "update", "move", "delete", "many", "truncate", "alter"], [8, 8, 4, 4, 2, 0.3, 0.3])[
        0
    ]:
        case "insert":
            row = f"({key}, 'k{other % 2}', {', '.join(values.values())})"
            return f"INSERT INTO things (a, b, n, t, l, x) VALUES {row} ON CONFLICT (a, b) DO UPDATE SET {some}"
        case "update":
            return f"UPDATE things SET {some} WHERE a = {key}"
        case "move":
            free = f"NOT EXISTS (SELECT FROM things WHERE a = {other})"
            return f"UPDATE things SET a = {other}, {some} WHERE a = {key} AND {free}"
        case "delete":
            return f"DELETE FROM things WHERE a = {key}"
        case "many":
            return f"UPDATE things SET {some} WHERE a % 3 = {key % 3}"
        case "truncate":
            return "TRUNCATE things"
        case _:
            return f"ALTER TABLE things REPLICA IDENTITY {dice.choice(['FULL', 'DEFAULT'])}"


def transaction(dice: random.Random) -> str:
    body = [statement(dice) for _ in range(dice.randrange(1, 6))]
    if dice.random() < 0.3:
        body = [*body, "SAVEPOINT s", statement(dice), dice.choice(["ROLLBACK TO s", "RELEASE s"]), statement(dice)]
    return "; ".join(["BEGIN", *body, dice.choices(["COMMIT", "ROLLBACK"], [5, 1])[0]])


def held(source: Source) -> dict[Any, dict[str, Any]]:
    rows = source.read("things").table.to_pylist()
    return {(row["a"], row["b"]): {name: exact(value) for name, value in row.items()} for row in rows}


@pytest.mark.parametrize("seed", range(6))
def test_any_statements_make_the_table_that_the_source_has(
    source: Source, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)  # noqa: S311
    monkeypatch.setattr(streaming, "CHUNK_MESSAGES", dice.choice([3, 10, 50, 100_000]))
    source.execute(TABLE)
    rows: dict[Any, dict[str, Any]] = {}
    with Followed.begin(source, ("things", "a,b")) as followed:
        after = followed.confirmed
        for _ in range(6):
            with source.server.connect(source.database) as connection:
                for _ in range(25):
                    connection.execute(transaction(dice).encode())
            found = followed.collect(after)
            rows, after = applied(found.changes(), ("a", "b"), rows), found.end
            assert rows == held(source)
