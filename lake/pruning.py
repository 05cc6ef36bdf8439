"""Which of a table's files may hold certain keys or cursor values, by their statistics alone."""

from collections.abc import Sequence

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from lake.change import Publishing
from lake.duck import quoted
from lake.log import TableFile
from lake.statistics import null_count, read_bounds

COMPARISONS_LIMIT = 50_000_000
"""Rows times files up to which each row is held against each file's bounds."""


def files_with(
    connection: duckdb.DuckDBPyConnection, publishing: Publishing, table: str, columns: Sequence[str]
) -> list[int]:
    """Numbers of the target's files whose bounds admit one of the rows of ``table``, in these columns of both."""
    numbers = list(range(len(publishing.target)))
    comparable = _comparable(publishing, columns)
    for name in comparable:
        span = connection.sql(f"select min({quoted(name)}), max({quoted(name)}) from {table}").to_arrow_table()
        lower, upper = (span.column(index)[0] for index in (0, 1))
        kind = publishing.evolution.schema.field(name).type
        numbers = [n for n in numbers if may_hold(publishing.target[n], name, kind, lower, upper)]
    return _near_a_row(connection, publishing, table, comparable, numbers)


def _comparable(publishing: Publishing, columns: Sequence[str]) -> list[str]:
    """Columns by whose bounds files are told apart: what becomes text now was in another order before."""
    schema, widened = publishing.evolution.schema, publishing.evolution.widened
    return [n for n in columns if not (n in widened and pa.types.is_string(schema.field(n).type))]


def may_hold(file: TableFile, column: str, kind: pa.DataType, lower: pa.Scalar, upper: pa.Scalar) -> bool:
    """May the file hold a value of the column between the two, inclusive?"""
    if not lower.is_valid:
        return True
    span = bounds(file, column, kind)
    if span is None:
        # Where all are null there is nothing to say of the values, and no value.
        return null_count(file.statistics, column) != file.rows
    least, greatest = span
    return bool(pc.less_equal(least, upper.cast(kind)).as_py() and pc.greater_equal(greatest, lower.cast(kind)).as_py())


def may_hold_nulls(file: TableFile, column: str) -> bool:
    return null_count(file.statistics, column) != 0


def bounds(file: TableFile, column: str, kind: pa.DataType) -> tuple[pa.Scalar, pa.Scalar] | None:
    """Least and greatest value of a column, or values beyond them; None where the file does not say."""
    try:
        return read_bounds(file.statistics, column, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # Statistics of a type that the column had before it was widened.
        return None


def _near_a_row(
    connection: duckdb.DuckDBPyConnection,
    publishing: Publishing,
    table: str,
    comparable: Sequence[str],
    numbers: Sequence[int],
) -> list[int]:
    counted = connection.sql(f"select count(*) from {table}").fetchone()
    if not counted or counted[0] * len(numbers) > COMPARISONS_LIMIT or len(numbers) < 2:
        return list(numbers)
    columns = {"number": pa.array(numbers, pa.int64())}
    conditions = []
    for position, name in enumerate(comparable):
        kind = publishing.evolution.schema.field(name).type
        spans = [bounds(publishing.target[number], name, kind) for number in numbers]
        columns[f"lower{position}"] = pa.array([span and span[0].as_py() for span in spans], kind)
        columns[f"upper{position}"] = pa.array([span and span[1].as_py() for span in spans], kind)
        key = f"{table}.{quoted(name)}"
        least, greatest = f"bounds.lower{position}", f"bounds.upper{position}"
        conditions.append(f"({least} is null or {key} between {least} and {greatest})")
    connection.register("bounds", pa.table(columns))
    found = connection.sql(
        f"""select bounds.number from bounds
        where exists (select 1 from {table} where {" and ".join(conditions) or "true"}) order by number"""
    ).fetchall()
    connection.unregister("bounds")
    return [number for (number,) in found]
