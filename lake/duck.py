"""DuckDB as the lake's engine for comparing keys and rows: fixed memory, spilling to a temporary folder, no network."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from lake.errors import LakeError
from lake.rows import FILE_COLUMN, ROW_COLUMN, RowSets


@dataclass(frozen=True)
class Budget:
    """What comparing rows may take, whatever the size of the table."""

    memory_mb: int = 160
    threads: int = 2
    scratch: str | None = None
    """Folder for what does not fit; the system's temporary folder where it is None."""


@contextmanager
def engine(budget: Budget) -> Iterator[duckdb.DuckDBPyConnection]:
    with tempfile.TemporaryDirectory(prefix="syncline-", dir=budget.scratch) as folder:
        connection = duckdb.connect(
            config={
                "memory_limit": f"{budget.memory_mb}MB",
                "threads": budget.threads,
                "temp_directory": folder,
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        try:
            # Joins hold their right side in memory: always the new rows, whose number is known to be bounded.
            connection.execute("set disabled_optimizers = 'join_order,build_side_probe_side,join_filter_pushdown'")
            connection.execute("set TimeZone = 'UTC'")
            yield connection
        except duckdb.Error as error:
            raise LakeError("The lake could not compare the new rows with the stored ones.") from error
        finally:
            connection.close()


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def column_list(names: Sequence[str], table: str | None = None) -> str:
    prefix = f"{table}." if table else ""
    return ", ".join(prefix + quoted(name) for name in names)


def same(names: Sequence[str], left: str, right: str, operator: str = "=") -> str:
    """``left`` and ``right`` agree in all the columns; nulls agree with nulls under ``is not distinct from``."""
    return " and ".join(f"{left}.{quoted(name)} {operator} {right}.{quoted(name)}" for name in names)


def row_sets(connection: duckdb.DuckDBPyConnection, query: str) -> RowSets:
    """The result of a query over file and row numbers, as one ascending array for each file."""
    found: pa.Table = connection.sql(f"select {FILE_COLUMN}, {ROW_COLUMN} from ({query}) order by all").to_arrow_table()
    files = found.column(FILE_COLUMN).combine_chunks()
    rows = found.column(ROW_COLUMN).combine_chunks()
    return {number: rows.filter(pa.compute.equal(files, number)) for number in files.unique().to_pylist()}
