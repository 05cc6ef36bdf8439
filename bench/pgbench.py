"""pgbench's own tables and writes, on the source's server."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from bench.ground import ContestantError, Ground

TABLES = ("pgbench_accounts", "pgbench_branches", "pgbench_history", "pgbench_tellers")
ACCOUNTS_OF_A_SCALE = 100_000
CHANGES_OF_A_TRANSACTION = 4
"""Three updates and an insert."""
CLIENTS = 4


def make(ground: Ground, database: str, scale: int) -> None:
    """The four tables; the history has a key, too."""
    ground.server.create_database(database)
    _check(subprocess.run(_argv(ground, database, "-i", "-q", "-s", str(scale)), capture_output=True, text=True))
    ground.server.execute(
        "ALTER TABLE pgbench_history ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", database
    )
    ground.server.execute("VACUUM (FREEZE, ANALYZE)", database)


def update_single_rows(ground: Ground, database: str, scale: int, transactions: int) -> int:
    """As many transactions, each of which updates one account; how many."""
    script = ground.home / "single-row.sql"
    script.write_text(
        f"\\set aid random(1, {ACCOUNTS_OF_A_SCALE * scale})\n\\set delta random(-5000, 5000)\n"
        "UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;\n"
    )
    each = transactions // CLIENTS
    wish = ["-n", "-M", "prepared", "-f", str(script), "-c", str(CLIENTS), "-t", str(each)]
    _check(subprocess.run(_argv(ground, database, *wish), capture_output=True, text=True))
    return each * CLIENTS


@contextmanager
def writing(ground: Ground, database: str, rate: int, seconds: float) -> Iterator[None]:
    """So many of its usual transactions in a second, for so long; ends with them. They commit as one expects."""
    wish = ["-n", "-M", "prepared", "-c", str(CLIENTS), "-R", str(rate), "-T", str(int(seconds))]
    process = subprocess.Popen(
        _argv(ground, database, *wish), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield
        output, _ = process.communicate()
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise ContestantError(output[-2000:])


def _argv(ground: Ground, database: str, *wish: str) -> list[str]:
    return [str(ground.server.program("pgbench")), *wish, ground.server.dsn(database)]


def _check(done: "subprocess.CompletedProcess[str]") -> None:
    if done.returncode:
        raise ContestantError(done.stderr[-2000:])
