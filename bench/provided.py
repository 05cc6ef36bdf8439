"""A provider's API as a source: lists of objects as payment providers have them, made of their numbers alone."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import psutil
import pyarrow.dataset as ds

from bench.contents import Comparison
from local.demo.client import Json

PAGE = 100
CHILDREN = 25
"""Invoices of a customer."""
CHILDREN_PATH = "invoices/{resources.customers.number}"
"""As dlt names a value of the parent."""
REQUESTS_AT_ONCE = 4
_STEP_GROUPS = 1000


@dataclass(frozen=True)
class _Field:
    name: str
    value: str
    """SQL of the object's number ``n``."""
    read: str = "{}"
    """SQL of a copy's column, of which the text is the value's."""


_FIELDS = (
    _Field("id", "'ch_' || lpad(n::VARCHAR, 14, '0')"),
    _Field("object", "'charge'"),
    _Field("amount", "h(1, n) % 1000000"),
    _Field("currency", "['eur', 'usd', 'gbp', 'jpy'][1 + h(2, n) % 4]"),
    _Field("customer", "'cus_' || lpad((h(3, n) % 50000)::VARCHAR, 14, '0')"),
    _Field("description", "if(n % 10 = 0, NULL, 'Order \"' || h(4, n) % 100000 || '\" of Łódź, ' || h(5, n))"),
    _Field("paid", "h(6, n) % 5 > 0"),
    _Field("status", "['succeeded', 'pending', 'failed'][1 + h(7, n) % 3]"),
    _Field("exchange_rate", "if(n % 3 = 0, NULL, 1 + (h(8, n) % 1000000) / 1e6)::DECIMAL(9,6)", "{}::DECIMAL(9,6)"),
    _Field("created", "1700000000 + n"),
    _Field(
        "updated_at",
        "strftime(make_timestamp((1700000000 + n * 7) * 1000000), '%Y-%m-%dT%H:%M:%SZ')",
        "strftime({} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%SZ')",
    ),
    _Field("receipt_email", "if(n % 4 = 0, NULL, 'buyer' || h(9, n) % 100000 || '@example.com')"),
    _Field(
        "billing_details",
        "{'name': 'Buyer ' || h(10, n) % 100000, 'phone': NULL::VARCHAR, 'address': {"
        "'city': ['Köln', 'Łódź', '東京'][1 + h(11, n) % 3], 'country': 'DE', 'line1': 'Street ' || n % 1000, "
        "'postal_code': lpad((h(12, n) % 100000)::VARCHAR, 5, '0'), 'state': NULL::VARCHAR}}",
        "json({})",
    ),
)


@dataclass(frozen=True)
class Api:
    """``bench.ground.Source``: each database is an API of its own, below one address."""

    folder: Path
    address: str
    process: psutil.Process
    source_type = "RestApi"

    def inputs(self, database: str) -> Json:
        paging = {"type": "cursor", "param": "after", "token": "next", "more": "has_more"}
        children = {"resource": "customers", "include": {"customer_number": "number"}}
        resources = [
            {"name": "charges", "path": "charges"},
            {"name": "customers", "path": "customers"},
            {"name": "invoices", "path": "invoices/{customer_number}", "parent": children},
        ]
        declaration = {
            "limits": {"concurrency": REQUESTS_AT_ONCE},
            "defaults": {"records": "data", "paging": paging, "primary_key": ["id"]},
            "resources": [each for each in resources if (self.folder / database / f"{each['name']}.bin").exists()],
        }
        return {"base_url": self.url(database), "declaration": declaration}

    def url(self, database: str) -> str:
        return f"{self.address}/{database}"

    @contextmanager
    def originals(self, database: str, tables: Sequence[str]) -> Iterator[dict[str, "Objects"]]:
        yield {table: Objects(_count(self.folder / database / table)) for table in tables}

    def drop(self, database: str) -> None:
        shutil.rmtree(self.folder / database)

    def cpu_seconds(self) -> float:
        used = self.process.cpu_times()
        return used.user + used.system

    def rows_read(self, database: str) -> int:
        return 0

    def charges(self, database: str, objects: int) -> list[str]:
        """One list of so many."""
        self._write(database, "charges", objects, PAGE, _object_sql())
        return ["charges"]

    def invoices(self, database: str, objects: int) -> list[str]:
        """So many, of customers who each have some."""
        customer = "{'id': 'cus_' || lpad(n::VARCHAR, 14, '0'), 'number': n, 'name': 'Buyer ' || n}"
        self._write(database, "customers", objects // CHILDREN, PAGE, customer)
        self._write(database, "invoices", objects, CHILDREN, _object_sql())
        return ["invoices"]

    def _write(self, database: str, name: str, objects: int, group: int, sql: str) -> None:
        path = self.folder / database / f"{name}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        offsets, step = [0], _STEP_GROUPS * group
        with _duckdb() as connection, path.open("wb") as file:
            for first in range(0, objects, step):
                texts = connection.execute(
                    f"SELECT string_agg(to_json({sql})::VARCHAR, ',' ORDER BY n) "
                    f"FROM range({first}, {min(first + step, objects)}) AS numbers(n) "
                    f"GROUP BY n // {group} ORDER BY min(n)"
                ).fetchall()
                for (text,) in texts:
                    file.write(text.encode())
                    offsets.append(file.tell())
        np.save(path.with_suffix(".npy"), np.array(offsets, np.int64))
        path.with_suffix(".count").write_text(str(objects))


class Objects:
    """``bench.ground.Original`` of the objects 0 to ``rows``: DuckDB sums hashes of either side's texts."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        values = ", ".join(f"({field.value}) AS {field.name}" for field in _FIELDS)
        with _duckdb() as connection:
            connection.execute(f"CREATE VIEW objects AS SELECT {values} FROM range({rows}) AS numbers(n)")
            self._sums = _sums(connection, {"billing_details": "to_json({})"} | dict.fromkeys(_plain(), "{}"))

    def compare(self, dataset: ds.Dataset) -> Comparison:
        missing = [field.name for field in _FIELDS if field.name not in dataset.schema.names]
        if missing:
            return Comparison(equal=False, rows=dataset.count_rows(), altered=[f"no {name}" for name in missing])
        with _duckdb() as connection:
            connection.register("objects", dataset)
            found = _sums(connection, {field.name: field.read for field in _FIELDS})
        differing = [what for what, value in found.items() if value != self._sums[what]]
        return Comparison(not differing, int(found["rows"]), differing)


@contextmanager
def running_api(folder: Path, seconds: float = 0.0) -> Iterator[Api]:
    """``seconds``: how long each answer takes."""
    folder.mkdir(exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-m", "bench.rest_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps({"root": str(folder), "seconds": seconds}) + "\n")
        process.stdin.flush()
        try:
            port = process.stdout.readline().strip()
            yield Api(folder, f"http://127.0.0.1:{port}", psutil.Process(process.pid))
        finally:
            process.terminate()


def _object_sql() -> str:
    return "{" + ", ".join(f"'{field.name}': {field.value}" for field in _FIELDS) + "}"


def _plain() -> list[str]:
    return [field.name for field in _FIELDS if field.name != "billing_details"]


def _sums(connection: duckdb.DuckDBPyConnection, reading: dict[str, str]) -> dict[str, str]:
    """Of whole rows, and of each column."""
    texts = {name: f"({sql.format(name)})::VARCHAR" for name, sql in reading.items()}
    ordered = ", ".join(texts[field.name] for field in _FIELDS)
    wanted = {"rows": "count(*)", "hash of rows": f"sum(hash({ordered})::HUGEINT)"}
    wanted |= {f"values of {name}": f"sum(hash({sql})::HUGEINT)" for name, sql in texts.items()}
    found = connection.execute(f"SELECT {', '.join(f'({sql})::VARCHAR' for sql in wanted.values())} FROM objects")
    row = found.fetchone()
    assert row
    return dict(zip(wanted, row, strict=True))


def _duckdb() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE MACRO h(salt, n) AS (hash(n, salt) % 1000000007)::BIGINT")
    return connection


def _count(path: Path) -> int:
    return int(path.with_suffix(".count").read_text())
