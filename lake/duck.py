"""DuckDB as the lake's engine for comparing keys and rows: fixed memory, spilling to a temporary folder, no network."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from lake.errors import LakeError
from lake.rows import FILE_COLUMN, ROW_COLUMN, RowSets

ROWS_AT_ONCE = 65_536


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


def alike(schema: pa.Schema, left: str, right: str) -> str:
    """The rows agree in all columns to the last bit: 0.0 and -0.0 are equal, but not alike."""
    pairs = zip(signs_of(schema, left), signs_of(schema, right), strict=True)
    agree = [f"{one} is not distinct from {other}" for one, other in pairs]
    return " and ".join(
        [*([same(schema.names, left, right, "is not distinct from")] if len(schema) else ["true"]), *agree]
    )


def signs_of(schema: pa.Schema, table: str | None = None) -> list[str]:
    """The signs of the floating-point columns."""
    floating = [column.name for column in schema if pa.types.is_floating(column.type)]
    return [f"signbit({column_list([name], table)})" for name in floating]


def row_sets(connection: duckdb.DuckDBPyConnection, query: str) -> RowSets:
    """The result of a query over file and row numbers, as one ascending array for each file: 4 bytes for each row."""
    ordered = f"select {FILE_COLUMN}::integer, {ROW_COLUMN}::integer from ({query}) order by all"
    found: dict[int, list[pa.Array]] = defaultdict(list)
    for batch in connection.sql(ordered).to_arrow_reader(ROWS_AT_ONCE):
        runs = pc.run_end_encode(batch.column(0))
        begin = 0
        for file, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            found[file].append(pa.concat_arrays([batch.column(1).slice(begin, end - begin)]))
            begin = end
    return {file: pa.concat_arrays(arrays) for file, arrays in found.items()}
