"""The type contract, value by value, over both drivers."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from connectors.base import CursorRange
from connectors.errors import SchemaChangedError
from tests.connectors.source import Source
from tests.connectors.type_cases import CUSTOM_TYPES, EVERY_CHOICE, EVERY_TYPE, Table, exact

DRIVERS = pytest.mark.parametrize("narrow", [False, True], ids=["fast", "narrow"])
INTERNAL = {"gtsvector"}
"""Types of which no column holds a value that anybody wrote; so are all that begin with ``pg_`` but these two."""
WRITTEN_BY_USERS = {"pg_lsn", "pg_snapshot"}


@DRIVERS
@pytest.mark.parametrize("table", [EVERY_TYPE, EVERY_CHOICE], ids=lambda table: table.name)
def test_every_type_arrives_as_the_contract_says(source: Source, table: Table, narrow: bool) -> None:
    source.execute(CUSTOM_TYPES)
    source.execute(table.statements())

    result = source.read(table.name, type_overrides=table.overrides, narrow=narrow)

    types = {f"v{number}": case.arrow for number, case in enumerate(table.cases)}
    assert {column.name: column.type for column in result.table.schema} == {"id": pa.int32(), **types}
    rows = {row.pop("id"): tuple(map(exact, row.values())) for row in result.table.to_pylist()}
    assert rows == table.expected()
    assert result.warnings() == table.warnings()


def test_the_contract_has_every_type_of_the_server(source: Source) -> None:
    source.execute(CUSTOM_TYPES)
    source.execute(EVERY_TYPE.statements())
    known = source.rows("""
        SELECT oid::int8, typname FROM pg_type
        WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm') AND typcategory <> 'A'""")
    column_types = {
        oid
        for (oid,) in source.rows("""
            SELECT atttypid::int8 FROM pg_attribute WHERE attnum > 0 AND attrelid = 'every_type'::regclass""")
    }
    missing = {name for oid, name in known if oid not in column_types}
    assert {name for name in missing if not name.startswith("pg_") or name in WRITTEN_BY_USERS} == INTERNAL


@DRIVERS
def test_what_no_lake_type_holds_becomes_null_and_is_counted(source: Source, narrow: bool) -> None:
    source.execute("""
        CREATE TABLE edges (id int, n numeric(10,2), u numeric, d date, t timestamp, z timestamptz);
        INSERT INTO edges VALUES
            (1, 'NaN', 'Infinity', 'infinity', 'infinity', '-infinity'),
            (2, 0, '-Infinity', '-infinity', '-infinity', 'infinity'),
            (3, NULL, 'NaN', '0044-03-15 BC', '0044-03-15 BC', '294276-12-31 23:59:59.999999+00'),
            (4, 1, NULL, '5874897-12-31', '294276-12-31 23:59:59.999999', '4713-01-01 00:00:00+00 BC'),
            (5, 2.5, 7, '2024-02-29', '2024-02-29 01:02:03.000004', '2024-02-29 01:02:03.000004+00')""")

    result = source.read("edges", narrow=narrow)

    moment = datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC)
    rows = {row["id"]: tuple(row.values())[1:] for row in result.table.to_pylist()}
    assert rows == {
        1: (None, None, None, None, None),
        2: (Decimal(0), None, None, None, None),
        3: (None, None, None, None, None),
        4: (Decimal(1), None, None, None, None),
        5: (Decimal("2.5"), Decimal(7), date(2024, 2, 29), moment.replace(tzinfo=None), moment),
    }
    outside = "outside the years 1 to 9999"
    assert result.warnings() == {
        ("n", "NaN"): 1,
        ("u", "NaN"): 1,
        ("u", "infinite"): 2,
        **{(column, reason): 2 for column in "dtz" for reason in ("infinite", outside)},
    }


@pytest.mark.parametrize("misfit", ["1e20", "1e-19", "123456789012345678901234567890.123"])
@DRIVERS
def test_numbers_that_fit_no_decimal_turn_their_column_to_text(source18: Source, misfit: str, narrow: bool) -> None:
    source18.execute(f"CREATE TABLE numbers (n numeric); INSERT INTO numbers VALUES (1.50), ({misfit}), ('NaN')")

    result = source18.read("numbers", narrow=narrow)

    assert result.table.schema.field("n").type == pa.string()
    (expected,) = source18.rows(f"SELECT ({misfit}::numeric)::text")
    assert result.column("n") == ["1.5", expected[0], None]
    assert result.warnings() == {("n", "NaN"): 1}


def test_a_column_that_the_lake_holds_as_text_stays_text(source18: Source) -> None:
    source18.execute("CREATE TABLE numbers (n numeric); INSERT INTO numbers VALUES (1.50)")
    assert source18.read("numbers", text_columns=("n",)).column("n") == ["1.5"]


def test_a_cursor_is_never_text(source18: Source) -> None:
    source18.execute("CREATE TABLE numbers (n numeric); INSERT INTO numbers VALUES (1e30)")
    with pytest.raises(SchemaChangedError, match="field n of numbers holds numbers of more than 20 digits"):
        source18.read("numbers", cursor=CursorRange("n"))


def test_numeric_of_negative_or_great_scale(source: Source) -> None:
    source.execute("""
        CREATE TABLE scales (hundreds numeric(3,-2), tiny numeric(3,5));
        INSERT INTO scales VALUES (99900, 0.00999), (-100, 0)""")
    result = source.read("scales")
    assert result.column("hundreds") == [Decimal(99900), Decimal(-100)]
    assert result.column("tiny") == [Decimal("0.00999"), Decimal(0)]
    assert result.table.equals(source.read("scales", narrow=True).table)
