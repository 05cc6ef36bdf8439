"""A folder of CSV files as a source, and one large file: what it holds is made of its rows' numbers alone."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.dataset as ds

from bench.contents import Comparison
from local.demo.client import DemoError, Json

_STEP_ROWS = 1_000_000
_CHUNK_ROWS = 20_000
_COPY_SHARE = 0.6
"""Of the file's size that its copy may need: it takes a third, and is written once."""
_SUMMED = ("BIGINT", "DECIMAL(38,18)")


@dataclass(frozen=True)
class _CsvColumn:
    name: str
    type: str
    """As DuckDB calls the type that the lake is to have."""
    value: str
    """SQL of the row's number ``n``."""
    declared: str | None = None
    """The type that the source is told, where its texts alone would not make it."""


_COLUMNS = (
    _CsvColumn("id", "BIGINT", "n"),
    _CsvColumn("account", "BIGINT", "if(n % 7 = 0, NULL, (hash(n, 1) % 1000000)::BIGINT - 1000)"),
    _CsvColumn("price", "DECIMAL(38,18)", "((hash(n, 2) % 10000000) / 100)::DECIMAL(12,2)"),
    _CsvColumn("rate", "DECIMAL(38,18)", "if(n % 10 = 0, NULL, 5 - (hash(n, 3) % 10000000) / 1e6)::DECIMAL(18,6)"),
    _CsvColumn("ratio", "DOUBLE", "if(n % 12 = 0, NULL, pow(hash(n, 4) / pow(2, 64), 9))", declared="double"),
    _CsvColumn("day", "DATE", "DATE '1970-01-01' + (hash(n, 5) % 20000)::INT"),
    _CsvColumn("at", "TIMESTAMP", "TIMESTAMP '2020-01-01' + to_microseconds(n * 1000003)"),
    _CsvColumn(
        "changed",
        "TIMESTAMPTZ",
        "if(n % 20 = 0, NULL, TIMESTAMPTZ '2024-01-01 00:00:00Z' + to_microseconds(n * 1000007))",
    ),
    _CsvColumn("flag", "BOOLEAN", "if(n % 9 = 0, NULL, hash(n, 6) % 3 = 0)"),
    _CsvColumn("code", "VARCHAR", "'code ' || hash(n, 7) % 5000"),
    _CsvColumn(
        "name", "VARCHAR", "'name \"' || hash(n, 8) % 100000 || '\", of ' || ['Köln', 'Łódź', '東京'][1 + n % 3]"
    ),
    _CsvColumn(
        "note",
        "VARCHAR",
        "CASE n % 10 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'first' || chr(10) || 'second ' || n "
        "WHEN 3 THEN chr(13) || chr(10) || '\"quoted\",' || n || chr(10) || chr(10) "
        "ELSE 'some longer text, the note of ' || n END",
    ),
)


@dataclass(frozen=True)
class Folder:
    """``bench.ground.Source``: a folder for each database, and in it a file for each table."""

    path: Path
    source_type = "Files"

    def inputs(self, database: str) -> Json:
        columns = {column.name: column.declared for column in _COLUMNS if column.declared}
        tables = {file.stem: {"files": file.name, "columns": columns} for file in self._files(database)}
        return {"location": str(self.path / database), "tables": json.dumps(tables)}

    def url(self, database: str) -> str:
        return (self.path / database).as_uri()

    @contextmanager
    def originals(self, database: str, tables: Sequence[str]) -> Iterator[dict[str, "CsvFile"]]:
        yield {table: CsvFile(self.path / database / f"{table}.csv") for table in tables}

    def drop(self, database: str) -> None:
        shutil.rmtree(self.path / database)

    def cpu_seconds(self) -> float:
        """Nobody serves it."""
        return 0.0

    def rows_read(self, database: str) -> int:
        return 0

    def make(self, database: str, size_bytes: int) -> list[str]:
        """One table, whose file has about so many bytes."""
        needed, folder = round(size_bytes * (1 + _COPY_SHARE)), self.path / database
        folder.mkdir(parents=True)
        if shutil.disk_usage(folder).free < needed:
            raise DemoError(f"The file and its copy need {needed / 1e9:.0f} GB on the disk of {folder}.")
        _write(folder / "rows.csv", size_bytes)
        return ["rows"]

    def _files(self, database: str) -> list[Path]:
        return sorted((self.path / database).glob("*.csv"))


class CsvFile:
    """``bench.ground.Original`` by aggregates, which DuckDB computes of either side: of the file by its own reader."""

    def __init__(self, path: Path) -> None:
        types = {column.name: column.type for column in _COLUMNS}
        with _duckdb() as connection:
            # A text that is quoted is no null, and the line breaks in it are its own.
            connection.execute(
                f"CREATE VIEW rows AS FROM read_csv('{path}', columns = {types}, header = true, delim = ',', "
                "quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false, auto_detect = false)"
            )
            self._aggregates = _aggregates(connection)
        self.rows = int(self._aggregates["rows"])

    def compare(self, dataset: ds.Dataset) -> Comparison:
        missing = [column.name for column in _COLUMNS if column.name not in dataset.schema.names]
        if missing:
            return Comparison(equal=False, rows=dataset.count_rows(), altered=[f"no {name}" for name in missing])
        with _duckdb() as connection:
            connection.register("rows", dataset)
            found = _aggregates(connection)
        differing = [what for what, value in found.items() if value != self._aggregates[what]]
        return Comparison(not differing, int(found["rows"]), differing)


def _aggregates(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Of all rows by what they are; the sums of hashes tell any other value, and of whole rows any other order of them
    within the columns."""
    names = ", ".join(f'"{column.name}"' for column in _COLUMNS)
    wanted = {"rows": "count(*)", "hash of rows": f"sum(hash({names})::HUGEINT)"}
    for column in _COLUMNS:
        for what in ("count", "min", "max", *(["sum"] if column.type in _SUMMED else [])):
            wanted[f"{what} of {column.name}"] = f'{what}("{column.name}")'
        wanted[f"hash of {column.name}"] = f'sum(hash("{column.name}")::HUGEINT)'
    expressions = ", ".join(f"({expression})::VARCHAR" for expression in wanted.values())
    found = connection.execute(f"SELECT {expressions} FROM rows").fetchone()
    assert found
    return dict(zip(wanted, found, strict=True))


def _write(path: Path, size_bytes: int) -> None:
    """With a header line; every text is quoted."""
    with _duckdb() as connection, path.open("wb") as file:
        schema = _rows(connection, 0, 1).schema
        with pa_csv.CSVWriter(file, schema) as writer:
            first = 0
            while True:
                for batch in _rows(connection, first, first + _STEP_ROWS):
                    writer.write_batch(batch)
                    if file.tell() >= size_bytes:
                        return
                first += _STEP_ROWS


def _rows(connection: duckdb.DuckDBPyConnection, first: int, end: int) -> pa.RecordBatchReader:
    values = ", ".join(f'{column.value} AS "{column.name}"' for column in _COLUMNS)
    return connection.execute(f"SELECT {values} FROM range({first}, {end}) AS numbers(n)").to_arrow_reader(_CHUNK_ROWS)


def _duckdb() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"memory_limit": "2GB"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection
