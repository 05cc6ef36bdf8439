"""Reads that are stopped before their end: by a cancel from elsewhere, or because nobody goes on with them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from connectors.base import ReadRequest
from connectors.errors import ReadCancelledError, SourceError
from tests.connectors.databases import DatabaseSource


def check_cancel_of_a_statement(
    source: DatabaseSource[Any, Any],
    table: str,
    await_statement: Callable[[], None],
    *,
    config: Any = None,
    seconds: float = 5,
    **request: Any,
) -> None:
    """A read whose statement goes on for minutes ends in time, and no other read's cancel ends it."""
    config = config or source.config()
    with ThreadPoolExecutor() as pool:
        read = pool.submit(source.read, table, config=config, **request)
        await_statement()
        source.connector.cancel(config, "another-read")
        assert not read.done()
        begun = time.monotonic()
        source.connector.cancel(config, "test-read")
        with pytest.raises(ReadCancelledError):
            read.result(timeout=5)
        assert time.monotonic() - begun < seconds


def check_cancel_of_a_stream(source: DatabaseSource[Any, Any], table: str, **request: Any) -> None:
    """A read of many rows that has given its first ones gives no others."""
    config = source.config()
    with source.connector.read(config, ReadRequest(table, "r", batch_bytes=2**20, **request)) as read:
        batches = read.batches()
        next(batches)
        source.connector.cancel(config, "r")
        begun = time.monotonic()
        with pytest.raises(SourceError):
            list(batches)
        assert time.monotonic() - begun < 5


def give_up_after_a_batch(source: DatabaseSource[Any, Any], table: str, config: Any = None, **request: Any) -> None:
    wanted = ReadRequest(table, "r", batch_bytes=2**20, **request)
    with source.connector.read(config or source.config(), wanted) as read:
        next(read.batches())
