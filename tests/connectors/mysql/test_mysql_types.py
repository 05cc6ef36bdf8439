"""The type contract, value by value, in large steps, in small ones, and a few bytes at a time."""

import pyarrow as pa
import pytest

from connectors.mysql import reader
from tests.connectors.mysql.source import Source
from tests.connectors.mysql.type_cases import EVERY_CHOICE, EVERY_TYPE, MySqlTable
from tests.connectors.mysql.types_page import PAGE, page
from tests.connectors.type_cases import exact


@pytest.mark.parametrize("step", ["large", "narrow", "bytes"])
@pytest.mark.parametrize("table", [EVERY_TYPE, EVERY_CHOICE], ids=lambda table: table.name)
def test_every_type_arrives_as_the_contract_says(
    source: Source, table: MySqlTable, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if step == "bytes":
        monkeypatch.setattr(reader, "CHUNK_BYTES", 7)
    source.execute(*table.all_statements())

    result = source.read(table.name, type_overrides=table.overrides, narrow=step == "narrow")

    types = {f"v{number}": case.arrow for number, case in enumerate(table.cases)}
    assert {column.name: column.type for column in result.table.schema} == {"id": pa.int32(), **types}
    rows = {row.pop("id"): tuple(map(exact, row.values())) for row in result.table.to_pylist()}
    wrong = {
        (case.type, place): (rows[place][number], expected)
        for place, row in table.expected().items()
        for number, (case, expected) in enumerate(zip(table.cases, row, strict=True))
        if rows[place][number] != expected
    }
    assert not wrong
    assert len(rows) == table.height
    assert result.warnings() == table.warnings()


def test_the_page_says_what_the_tests_prove() -> None:
    assert PAGE.read_text() == page(), "the tables are stale: python -m tests.connectors.mysql.types_page"
