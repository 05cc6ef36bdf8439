"""Row filters, for each kind of column and each operator, held against what Python says of the same values."""

from decimal import Decimal

import pytest

from connectors.base import RowFilter
from connectors.errors import ConfigurationError
from connectors.mysql.catalogue import tables
from connectors.mysql.filters import filter_condition, kind_of
from connectors.mysql.session import connect
from tests.connectors.conformance.test_filters import COMPARISONS
from tests.connectors.mysql.source import Source

NUMBERS: dict[str, list[str]] = {
    "tinyint": ["-128", "0", "1", "127"],
    "int unsigned": ["0", "4294967295"],
    "bigint": ["-9223372036854775808", "9223372036854775806", "9223372036854775807"],
    "bigint unsigned": ["0", "9223372036854775808", "18446744073709551614", "18446744073709551615"],
    "bit(8)": ["0", "255"],
    "year": ["1901", "2155"],
    "decimal(5,2)": ["-999.99", "0.01", "999.99"],
    "decimal(65,0)": ["9" * 65, "-1"],
    "decimal(38,38)": ["0.1", f"0.{'0' * 37}1"],
}
ASKED = [
    *("0", "1", "-1", "2.5", "-0.5", "0.005", "0.015", "127.0", "1901", "255.00000000000000000001", "1e-40"),
    *("-9223372036854775808", "9223372036854775806", "9223372036854775807"),
]
ASKED_OF_DECIMALS = [
    *ASKED,
    "1e70",
    "-1e70",
    "1e-100",
    "9" * 65,
    "18446744073709551614",
    "18446744073709551615.5",
    "999.995",
]


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_are_compared_exactly(source: Source, kind: str) -> None:
    values = [Decimal(text) for text in NUMBERS[kind]]
    rows = ", ".join(f"({number}, {text})" for number, text in enumerate(NUMBERS[kind]))
    source.execute(f"CREATE TABLE things (id int, v {kind}, KEY (v))", f"INSERT INTO things VALUES {rows}, (99, NULL)")
    with connect(source.config(), "syncline") as session:
        (table,) = tables(session, source.database, ["things"])
        asked = ASKED_OF_DECIMALS if kind_of(table.columns[1]) == "numeric" else ASKED
        pairs = [(op, text) for text in asked for op in COMPARISONS]
        conditions = [filter_condition(table, RowFilter("v", op, text)) for op, text in pairs]
        found = {row[0]: row[1:] for row in session.rows(f"SELECT id, {', '.join(conditions)} FROM things AS t")}
    for place, (op, text) in enumerate(pairs):
        holding = [number for number, row in found.items() if row[place]]
        expected = [number for number, value in enumerate(values) if COMPARISONS[op](value, Decimal(text))]
        assert sorted(holding) == expected, (op, text, conditions[place])
    wanted = RowFilter("v", "in", [NUMBERS[kind][0], "0.123456789"])
    assert source.read("things", filters=(wanted,)).column("id") == [0]


@pytest.fixture
def things(source: Source) -> Source:
    source.execute(
        "CREATE TABLE things (id int, n int, p decimal(5,2), v varchar(9), e enum('a','b'), s set('x','y'), d date, "
        "at datetime(6), z timestamp(6) NULL, t time, u uuid, f float, g double, b blob, j json, i inet6)",
        "INSERT INTO things VALUES "
        "(1, 1, 1.00, 'abc', 'a', 'x', '2024-01-01', '2024-01-01 00:00:00', '2024-01-01 00:00:00', '-10:00:00', "
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 0.1, 0.1, 'x', '{}', '::1'), "
        "(2, 2, 1.01, 'abd', 'b', 'x,y', '2024-01-02', '2024-01-02 00:00:00.000001', '2024-01-02', '100:00:00', NULL, "
        "2.5, 2.5, NULL, '[1]', NULL), "
        "(3, 3, 9.99, NULL, NULL, '', NULL, NULL, '2024-01-03', '12:30:00', NULL, NULL, NULL, NULL, NULL, NULL), "
        "(4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    return source


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ([RowFilter("n", "in", [1, "3", 9, 2.5])], [1, 3]),
        ([RowFilter("n", "in", [])], []),
        ([RowFilter("n", "is_null")], [4]),
        ([RowFilter("n", "is_not_null")], [1, 2, 3]),
        ([RowFilter("v", "like", "ab%")], [1, 2]),
        ([RowFilter("v", "like", "a\\_%")], []),
        ([RowFilter("v", "in", ["abc", "abd"]), RowFilter("n", "!=", 1)], [2]),
        ([RowFilter("e", "=", "b")], [2]),
        ([RowFilter("s", "=", "x,y")], [2]),
        ([RowFilter("d", ">=", "2024-01-02")], [2]),
        ([RowFilter("at", ">", "2024-01-02T00:00:00")], [2]),
        ([RowFilter("at", "=", "2024-01-01")], [1]),
        ([RowFilter("z", ">=", "2024-01-02T00:00:00+00:00"), RowFilter("n", "<", 3)], [2]),
        ([RowFilter("z", "=", "2024-01-01T05:30:00+05:30")], [1]),
        ([RowFilter("z", ">", "0001-01-01T00:00:00+10:00")], [1, 2, 3]),
        ([RowFilter("z", "<", "9999-12-31T23:59:59.999999-10:00")], [1, 2, 3]),
        ([RowFilter("t", ">", "12:29:59")], [2, 3]),
        ([RowFilter("t", "<", "-9:59:59.5")], [1]),
        ([RowFilter("u", "=", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11")], [1]),
        ([RowFilter("f", "=", 0.1)], [1]),
        ([RowFilter("f", ">", 0.1)], [2]),
        ([RowFilter("g", "=", "0.1")], [1]),
        ([RowFilter("g", ">=", "1e300")], []),
        ([RowFilter("j", "like", "[%")], [2]),
        ([RowFilter("i", "=", "0:0::1")], [1]),
    ],
)
def test_filters(things: Source, filters: list[RowFilter], ids: list[int]) -> None:
    assert sorted(things.read("things", filters=tuple(filters)).column("id")) == ids


@pytest.mark.parametrize(
    "row_filter",
    [
        RowFilter("n", "=", "many"),
        RowFilter("n", "=", [1]),
        RowFilter("n", "in", 1),
        RowFilter("n", "matches", 1),
        RowFilter("e", "=", "c"),
        RowFilter("d", "=", "2024-02-30"),
        RowFilter("at", "=", "2024-01-01T00:00:00Z"),
        RowFilter("t", "=", "noon"),
        RowFilter("u", "=", "x"),
        RowFilter("b", "=", "x"),
    ],
)
def test_filters_that_make_no_sense(things: Source, row_filter: RowFilter) -> None:
    with pytest.raises(ConfigurationError):
        things.read("things", filters=(row_filter,))


HOSTILE = ["it's", "'; DROP TABLE things; --", "\\", "\\'", "%s", 'q"q', "ünï🐘", "a\nb", "", "100%", "?", "\0", "*/ x"]


def test_filters_take_any_string(source: Source) -> None:
    source.execute("CREATE TABLE things (id int, v varchar(99) COLLATE utf8mb4_bin)")
    with source.server.connect(source.database) as connection:
        connection.cursor().executemany("INSERT INTO things VALUES (%s, %s)", list(enumerate(HOSTILE)))
    for number, value in enumerate(HOSTILE):
        assert source.read("things", filters=(RowFilter("v", "=", value),)).column("id") == [number]
    assert len(source.read("things", filters=(RowFilter("v", "in", HOSTILE),)).column("id")) == len(HOSTILE)


def test_texts_are_compared_as_the_column_compares_them(source: Source) -> None:
    source.execute(
        "CREATE TABLE things (id int, loose varchar(9) CHARACTER SET latin1 COLLATE latin1_swedish_ci, "
        "exact varchar(9) COLLATE utf8mb4_bin)",
        "INSERT INTO things VALUES (1, 'abc', 'abc'), (2, 'ABC', 'ABC'), (3, 'ü', 'ü')",
    )
    for column, ids in (("loose", [1, 2]), ("exact", [1])):
        assert sorted(source.read("things", filters=(RowFilter(column, "=", "abc"),)).column("id")) == ids
    assert source.read("things", filters=(RowFilter("loose", "=", "ü"),)).column("id") == [3]
    assert source.read("things", filters=(RowFilter("loose", "=", "☃"),)).column("id") == []


def test_an_index_serves_the_filter(source: Source) -> None:
    source.execute(
        "CREATE TABLE things (n int, p decimal(9,2), at timestamp(6) NULL, v varchar(99), "
        "KEY (n), KEY (p), KEY (at), KEY (v))",
        "INSERT INTO things SELECT seq, seq, '2024-01-01' + INTERVAL seq SECOND, seq FROM seq_1_to_2000",
        "ANALYZE TABLE things",
    )
    with connect(source.config(), "syncline") as session:
        (table,) = tables(session, source.database, ["things"])
        for column, value in (("n", 7.5), ("p", "7.5"), ("at", "2024-01-01T00:00:07Z"), ("v", "7")):
            condition = filter_condition(table, RowFilter(column, "=" if column == "v" else "<", value))
            (plan,) = session.rows(f"EXPLAIN SELECT * FROM {source.database}.things AS t WHERE {condition}")
            assert plan[5] == column, (condition, plan)
