"""Change data capture: what it costs to capture changes, and to bring captured ones to their tables."""

from collections.abc import Callable
from typing import Any

import psycopg

from bench import changes, data, pgbench, postgres
from bench.captured import Captured
from bench.following import Change
from bench.ground import Ground, with_log
from bench.report import Row, Section

_SETUP = "CREATE TABLE events (id bigint PRIMARY KEY, kind text, amount numeric(12,2), at timestamptz, note text)"
_EVENTS = """
    INSERT INTO events SELECT n, 'kind ' || n % 20, n % 1000000 / 100.0,
        timestamptz '2026-01-01Z' + make_interval(secs => n), md5(n::text) FROM generate_series({first}, {last}) n;
"""
_IN_TRANSACTIONS = """
    DO $$ BEGIN
        FOR beginning IN 1..{rows} BY {each} LOOP
            INSERT INTO events SELECT n, 'kind ' || n % 20, n % 1000000 / 100.0,
                timestamptz '2026-01-01Z' + make_interval(secs => n), md5(n::text)
                FROM generate_series(beginning, beginning + {each} - 1) n;
            COMMIT;
        END LOOP;
    END $$
"""
_EACH = 1_000


def cdc(ground: Ground, smoke: bool) -> list[Section]:
    part = 100 if smoke else 1
    with with_log(ground) as logging:
        return [
            _capturing(logging, 2_000_000 // part, 500_000 // part, 5_000_000 // part),
            _applying(logging, 6_000_000 // part),
        ]


def _capturing(ground: Ground, inserts: int, updates: int, bulk: int) -> Section:
    """Each kind of change is written while nothing is captured, and then captured in one round."""
    database, tables = "captured", ["events", "pgbench_accounts"]
    scale = max(1, updates // 50_000)
    pgbench.make(ground, database, scale)
    ours = Captured(ground, database)
    found: list[Row] = []
    with ground.server.connect(database) as connection:
        connection.execute(_SETUP.encode())
        ours.enable()
        ours.load(tables)
        with ours.captures_held():

            def captured(name: str, rows: int) -> None:
                ground.say(f"capture {name}: {rows:,} changes")
                cost = ours.capture()
                ground.say(f"  {cost.wall_seconds:.2f} s, {cost.cpu_seconds:.2f} CPU-s")
                found.append(Row(f"capture: {name}", rows, cost, ours=True))

            connection.execute(_IN_TRANSACTIONS.format(rows=inserts, each=_EACH).encode())
            captured(f"inserts in transactions of {_EACH:,}", inserts)
            captured("updates in transactions of one row", pgbench.update_single_rows(ground, database, scale, updates))
            connection.execute(_EVENTS.format(first=inserts + 1, last=inserts + bulk).encode())
            captured("inserts in one transaction", bulk)
            for table, rows in zip(tables, (inserts + bulk, updates), strict=True):
                found.append(_applied(ground, ours, connection, f"apply: those to {table}", table, rows))
    ours.remove()
    ground.server.drop_database(database)
    return Section("CDC: changes captured (rows are changes)", found)


def _applying(ground: Ground, rows: int) -> Section:
    """Each step's changes are captured first, and then applied to a large table."""
    database, table = "applied", "lineitem"
    data.lineitem_with_cursor(ground.server, database, rows)
    ours = Captured(ground, database)
    found: list[Row] = []
    with ground.server.connect(database) as connection:
        ours.enable()
        loaded = ours.load([table])
        source = postgres.table(connection, table)
        found.append(Row("first load", source.rows, loaded, source.compare(ours.dataset(table)), ours=True))
        with ours.captures_held():
            for name, change in _STEPS.items():
                count = change(connection)
                changes.settle(connection)
                ground.say(f"{name}: {count:,} rows")
                found.append(Row(f"capture: {name}", count, ours.capture(), ours=True))
                found.append(_applied(ground, ours, connection, f"apply: {name}", table, count))
    ours.remove()
    ground.server.drop_database(database)
    return Section(f"CDC: changes applied to lineitem ({source.rows:,} rows)", found)


def _applied(
    ground: Ground, ours: Captured, connection: psycopg.Connection[Any], name: str, table: str, rows: int
) -> Row:
    cost = ours.reload(table)
    ground.say(f"  {name}: {cost.wall_seconds:.2f} s, {cost.cpu_seconds:.2f} CPU-s")
    return Row(name, rows, cost, postgres.table(connection, table).compare(ours.dataset(table)), ours=True)


def _percent(change: Callable[[psycopg.Connection[Any], float], int], share: float) -> Change:
    return lambda connection: change(connection, share)


def _spread(connection: psycopg.Connection[Any], percent: float) -> int:
    return changes.update(connection, "uniform", percent)


_STEPS = {
    # Of 6 million rows 2 million, and of the 8 million then half a million each.
    "new rows": _percent(changes.insert_percent, 100 / 3),
    "updates, spread": _percent(_spread, 100 / 16),
    "deletes, spread": _percent(changes.delete_percent, 100 / 16),
}
