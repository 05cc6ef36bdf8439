"""Source against lake, value by value, the lake read by an engine that did not write it."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from tests.kit.servers import RunningStore


def storage_options(store: RunningStore | None) -> dict[str, str] | None:
    if store is None:
        return None
    return {
        "AWS_ENDPOINT_URL": store.endpoint,
        "AWS_ACCESS_KEY_ID": store.access_key_id,
        "AWS_SECRET_ACCESS_KEY": store.secret_access_key,
        "AWS_REGION": store.region,
        "AWS_ALLOW_HTTP": "true",
        "AWS_CONDITIONAL_PUT": "etag",
    }


def lake_frame(url: str, store: RunningStore | None) -> pl.DataFrame:
    """The table without Syncline's own columns."""
    frame = pl.read_delta(url, storage_options=storage_options(store))
    return frame.select([name for name in frame.columns if not name.startswith("_sync_")])


def lake_rows(url: str, store: RunningStore | None, columns: list[str] | None = None) -> Counter[tuple[Any, ...]]:
    """In the order of ``columns``, where they are given: one that no row in the lake ever had a value of is null."""
    frame = lake_frame(url, store)
    if columns is not None:
        frame = frame.select([name if name in frame.columns else pl.lit(None).alias(name) for name in columns])
    return counted(frame.rows())


def source_rows(dsn: str, table: sql.Composable | str) -> Counter[tuple[Any, ...]]:
    """``table`` is an SQL name, quoted where it must be."""
    return counted(source_table(dsn, table)[1])


def source_table(dsn: str, table: sql.Composable | str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names of the columns, and the rows."""
    name = sql.SQL(table) if isinstance(table, str) else table  # type: ignore[arg-type]
    with psycopg.connect(dsn) as connection:
        connection.execute("SET timezone = 'UTC'")
        cursor = connection.execute(sql.SQL("SELECT * FROM {}").format(name))
        return [column.name for column in cursor.description or ()], cursor.fetchall()


def counted(rows: Iterable[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(_plain(value) for value in row) for row in rows)


def assert_follows(dsn: str, table: str, url: str, store: RunningStore | None) -> None:
    """As ``assert_equal``, by the columns that the source has now: the lake keeps those that were dropped."""
    columns, rows = source_table(dsn, table)
    assert_same(counted(rows), lake_rows(url, store, columns))


def assert_equal(dsn: str, table: str, url: str, store: RunningStore | None) -> None:
    """Each row of the source is in the lake, as often as in the source, and nothing else is."""
    assert_same(source_rows(dsn, table), lake_rows(url, store))


def assert_same(expected: Counter[tuple[Any, ...]], found: Counter[tuple[Any, ...]]) -> None:
    missing, extra = expected - found, found - expected
    assert missing + extra == Counter(), (
        f"{missing.total()} rows missing, e.g. {list(missing)[:3]}; {extra.total()} extra, e.g. {list(extra)[:3]}"
    )


def _plain(value: Any) -> Any:
    """One form for what two drivers give in different ones."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, Decimal):
        return value.normalize() if value else Decimal(0)
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if isinstance(value, list):
        return json.dumps(value, separators=(",", ":"))
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    if hasattr(value, "hex") and hasattr(value, "urn"):
        return str(value)
    if hasattr(value, "tzinfo") and getattr(value, "tzinfo", None) is not None and hasattr(value, "timestamp"):
        return value.timestamp()
    return value
