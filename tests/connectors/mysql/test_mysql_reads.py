"""Reads by cursor, with filters and of unusual shape, in large steps and in small ones."""

import random
from decimal import Decimal

import pyarrow as pa
import pytest

from connectors.base import CursorRange, ReadRequest, RowFilter
from connectors.cursor import encode
from connectors.errors import SchemaChangedError, SourceError
from connectors.mysql import reader, wire
from connectors.mysql.catalogue import tables
from connectors.mysql.query import ReadQuery, cursor_of
from connectors.mysql.session import connect
from tests.connectors.mysql.source import MYSQL, Source
from tests.connectors.reading import check_parts, read_in_parts

STEPS = pytest.mark.parametrize("narrow", [False, True], ids=["large", "narrow"])


@pytest.mark.parametrize("indexed", [True, False])
def test_ties_and_nulls_of_a_cursor(source: Source, indexed: bool) -> None:
    source.execute(
        "CREATE TABLE events (id int, at timestamp(6) NULL)",
        "INSERT INTO events SELECT seq, IF(seq % 10 > 0, '2024-01-01 00:00:00' + INTERVAL seq DIV 30 SECOND, NULL) "
        "FROM seq_0_to_999",
        "ANALYZE TABLE events",
    )
    if indexed:
        source.execute("CREATE INDEX at ON events (at)")

    parts = read_in_parts(lambda cursor: source.read("events", cursor=cursor), "at", 100)

    assert len(parts) > 5
    assert max(check_parts(parts, "at", range(1000))) <= 27
    left_out = {("at", "no cursor value: read by the first load only"): 100}
    assert parts[0].report.warnings == []
    assert parts[1].warnings() == (left_out if indexed else {})


@pytest.mark.parametrize(
    ("type_name", "values"),
    [
        ("tinyint", ["-5", "0", "7"]),
        ("int unsigned", ["0", "4294967295"]),
        ("bigint", ["-9223372036854775808", "1", "9223372036854775807"]),
        ("bigint unsigned", ["0", "9223372036854775808", "18446744073709551615"]),
        ("decimal(20,3)", ["-1.5", "1.499", "1.5", "1.501"]),
        ("decimal(30,20)", ["0.00000000000000000001", "1"]),
        ("decimal(50,18)", ["0.000000000000000001", "1", "99999999999999999999"]),
        ("date", ["0001-01-01", "2024-02-29", "9999-12-31"]),
        ("datetime", ["0001-01-01 00:00:00", "9999-12-31 23:59:59"]),
        ("datetime(6)", ["2024-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999"]),
        ("timestamp(6) NULL", ["1970-01-01 00:00:01", "2024-01-01 00:00:00.000001", "2038-01-19 03:14:07.999999"]),
    ],
)
def test_a_cursor_of_each_type_begins_where_it_stood(source: Source, type_name: str, values: list[str]) -> None:
    rows = ", ".join(f"('{value}')" for value in values)
    source.execute(f"CREATE TABLE events (v {type_name}, KEY (v))", f"INSERT INTO events VALUES {rows}")
    stored = source.read("events", cursor=CursorRange("v")).column("v")
    assert len(stored) == len(values)
    for place, value in enumerate(stored):
        rest = source.read("events", cursor=CursorRange("v", lower=encode(value), max_rows=1))
        assert rest.column("v") == stored[place : place + 2]
        assert rest.report.more is (place < len(stored) - 2)
        assert source.read("events", cursor=CursorRange("v", lower=encode(value))).column("v") == stored[place:]


def test_a_cursor_that_looks_back_before_all_times(source: Source) -> None:
    source.execute(
        "CREATE TABLE events (v timestamp NULL, d date, KEY (v))",
        "INSERT INTO events VALUES ('2024-01-01', '1000-01-01')",
    )
    for lower in ("0001-01-01T00:00:00.000000+00:00", "1969-12-31T23:00:00.000000+00:00"):
        assert len(source.read("events", cursor=CursorRange("v", lower=lower)).column("v")) == 1
    assert len(source.read("events", cursor=CursorRange("d", lower="0001-01-01")).column("d")) == 1


def test_days_that_are_none_count_as_nulls_of_a_cursor(source: Source) -> None:
    source.execute(
        "SET sql_mode = 'ALLOW_INVALID_DATES'",
        "CREATE TABLE events (id int, at datetime, day date NOT NULL)",
        "INSERT INTO events VALUES (1, '0000-00-00', '0000-00-00'), (2, '2020-00-10', '2020-00-10'), "
        "(3, '2021-02-31', '2021-02-31'), (4, NULL, '0000-01-01'), (5, '2024-01-01', '2024-01-01')",
    )
    for field in ("at", "day"):
        first = source.read("events", cursor=CursorRange(field, include_nulls=True, max_rows=1))
        assert sorted(first.column("id")[:-1]) == [1, 2, 3, 4]
        assert first.column("id")[-1] == 5
        assert not first.report.more
        assert source.read("events", cursor=CursorRange(field)).column("id") == [5]
        assert source.read("events", cursor=CursorRange(field, "2021-02-01")).column("id") == [5]


def test_an_index_finds_what_a_later_run_asks_for(source: Source) -> None:
    source.execute(
        "CREATE TABLE events (id int PRIMARY KEY, at timestamp(6) NULL, day date, KEY (at), KEY (day))",
        "INSERT INTO events SELECT seq, '2024-01-01' + INTERVAL seq SECOND, '2000-01-01' + INTERVAL seq DAY "
        "FROM seq_1_to_20000",
        "ANALYZE TABLE events",
    )
    with connect(source.config(), "syncline") as session:
        (table,) = tables(session, source.database, ["events"])
        for field, lower in ("id", "19990"), ("at", "2024-01-01T05:33:10.000000+00:00"), ("day", "2054-09-25"):
            cursor = cursor_of(table, CursorRange(field, lower, max_rows=5))
            query = ReadQuery(table, cursor=cursor)
            for sql in (
                query.aggregate(["t.*"], cursor.counted),
                query.edge(),
                f"SELECT * FROM {query.source}{query.where(cursor.ordered)}",
            ):
                (plan,) = session.rows(f"EXPLAIN {sql.replace(' AS c0', '')}")
                assert plan[8] is None or int(plan[8]) < 100, (sql, plan)


def test_filters_are_within_what_a_part_holds(source: Source) -> None:
    source.execute("CREATE TABLE events (id int PRIMARY KEY)", "INSERT INTO events SELECT seq FROM seq_1_to_100")
    odd = source.read("events", cursor=CursorRange("id", "20", max_rows=3), filters=(RowFilter("id", ">", 50),))
    assert (odd.column("id"), odd.report.more) == ([51, 52, 53], True)


def test_unbounded_numbers_are_judged_by_the_rows_of_the_part(source: Source) -> None:
    source.execute(
        "CREATE TABLE events (id int PRIMARY KEY, n decimal(65,20))",
        "INSERT INTO events VALUES (1, 1), (2, 2), (3, 1e30), (4, 0.00000000000000000001)",
    )
    kinds = []
    for lower, rows in (None, 1), ("1", 1), ("2", 1), ("4", 1):
        part = source.read("events", cursor=CursorRange("id", lower=lower, max_rows=rows))
        kinds.append(str(part.table.schema.field("n").type))
    assert kinds == ["string", "decimal128(38, 18)", "string", "string"]
    assert source.read("events").report.text_columns == ("n",)
    assert source.read("events").column("n") == ["1", "2", f"1{'0' * 30}", f"0.{'0' * 19}1"]


def test_a_column_that_the_lake_holds_as_text_stays_text(source: Source) -> None:
    source.execute("CREATE TABLE numbers (n decimal(50,2))", "INSERT INTO numbers VALUES (1.50), (100)")
    assert source.read("numbers", text_columns=("n",)).column("n") == ["1.5", "100"]
    assert source.read("numbers").column("n") == [Decimal("1.5"), Decimal(100)]


def test_a_cursor_is_never_text(source: Source) -> None:
    source.execute("CREATE TABLE numbers (n decimal(65,0))", "INSERT INTO numbers VALUES (1e30)")
    with pytest.raises(SchemaChangedError, match="field n of numbers holds numbers of more than 20 digits"):
        source.read("numbers", cursor=CursorRange("n"))


def test_views_and_partitioned_tables_by_cursor(source: Source) -> None:
    source.execute(
        "CREATE TABLE parts (id int, n decimal(5,1)) PARTITION BY RANGE (id) "
        "(PARTITION a VALUES LESS THAN (50), PARTITION b VALUES LESS THAN MAXVALUE)",
        "INSERT INTO parts SELECT seq, seq FROM seq_0_to_99",
        "CREATE VIEW seen AS SELECT id * 2 AS id, n FROM parts",
    )
    assert source.read("parts", cursor=CursorRange("id", "45")).column("id") == list(range(45, 100))
    assert source.read("seen", cursor=CursorRange("id", "180", max_rows=4)).column("id") == [180, 182, 184, 186, 188]


def test_an_empty_table_has_its_schema(source: Source) -> None:
    source.execute("CREATE TABLE things (id int, n decimal(65,30), at date)")
    for cursor in (None, CursorRange("at", include_nulls=True, max_rows=5)):
        result = source.read("things", cursor=cursor)
        assert result.batches == []
        assert result.table.schema.names == ["id", "n", "at"]
        assert result.report.more is False


def test_names_of_any_kind_and_columns_that_are_computed_or_hidden(source: Source) -> None:
    source.execute(
        "CREATE TABLE `täb ``le` (`a b,c;d` int, `naïve ☃` varchar(9) INVISIBLE DEFAULT 'x', `select` int "
        "GENERATED ALWAYS AS (`a b,c;d` * 2) VIRTUAL, `stored` int GENERATED ALWAYS AS (`a b,c;d` * 3) STORED)",
        "INSERT INTO `täb ``le` (`a b,c;d`) VALUES (1)",
    )
    read = source.read("täb `le", filters=(RowFilter("a b,c;d", "=", 1),))
    assert read.table.to_pylist() == [{"a b,c;d": 1, "naïve ☃": "x", "select": 2, "stored": 3}]


@STEPS
def test_three_hundred_columns(source: Source, narrow: bool) -> None:
    kinds = ["int", "varchar(9)", "decimal(9,2)", "datetime", "boolean", "double"]
    values = ["7", "'x'", "1.25", "'2024-01-01'", "true", "NULL"]
    columns = ", ".join(f"column_{number} {kinds[number % 6]}" for number in range(300))
    row = ", ".join(values[number % 6] for number in range(300))
    source.execute(f"CREATE TABLE wide ({columns})", f"INSERT INTO wide SELECT {row} FROM seq_1_to_1000")
    result = source.read("wide", narrow=narrow)
    assert result.table.num_rows == 1000
    expected = source.rows("SELECT * FROM wide LIMIT 1")[0]
    assert {tuple(row.values()) for row in result.table.to_pylist()} == {expected}


@pytest.mark.parametrize("narrow", [False, pytest.param(True, marks=pytest.mark.long)], ids=["large", "narrow"])
def test_values_of_many_megabytes(source: Source, narrow: bool) -> None:
    """Of more than one packet, too, and of exactly as much as one holds."""
    sizes = [10_000_000, 16_777_215, 16_777_200, 16_777_210, 5, 33_554_430]
    before = source.rows("SELECT @@max_allowed_packet")[0][0]
    source.server.execute("SET GLOBAL max_allowed_packet = 134217728")
    try:
        source.execute(
            "CREATE TABLE big (id int PRIMARY KEY, t longtext, b longblob)",
            *(
                f"INSERT INTO big VALUES ({number}, REPEAT(CHAR({97 + number}), {size}), REPEAT('{number}', 1000))"
                for number, size in enumerate(sizes)
            ),
        )
        result = source.read("big", narrow=narrow)
    finally:
        source.server.execute(f"SET GLOBAL max_allowed_packet = {before}")
    assert result.column("id") == list(range(len(sizes)))
    texts = result.column("t")
    assert [len(text) for text in texts] == sizes
    assert all(text == chr(97 + number) * len(text) for number, text in enumerate(texts))
    assert result.column("b") == [str(number).encode() * 1000 for number in range(len(sizes))]


def test_all_steps_agree_on_many_rows(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.execute(
        "CREATE TABLE many (id bigint PRIMARY KEY, f double, n decimal(12,4), t varchar(300), at datetime(6), b blob, "
        "d date)",
        "INSERT INTO many SELECT seq, RAND(seq), RAND(seq) * 1e6, REPEAT(MD5(seq), seq % 10), "
        "TIMESTAMP'2024-01-01 00:00:00' + INTERVAL seq * 1000001 MICROSECOND, IF(seq % 3, UNHEX(MD5(seq)), NULL), NULL "
        "FROM seq_1_to_40000",
    )
    by_id = CursorRange("id", include_nulls=True)
    large = source.read("many", cursor=by_id)
    narrow = source.read("many", cursor=by_id, narrow=True, batch_bytes=2**20)
    monkeypatch.setattr(reader, "CHUNK_BYTES", 30_000)
    tiny = source.read("many", cursor=by_id)
    assert large.table.equals(narrow.table)
    assert large.table.equals(tiny.table)
    assert large.report == narrow.report == tiny.report
    assert max(batch.nbytes for batch in narrow.batches) <= 2**20
    rows = {row["id"]: tuple(row.values()) for row in large.table.to_pylist()}
    sample = random.Random(7).sample(range(1, 40001), 500)  # noqa: S311
    found = source.rows(f"SELECT * FROM many WHERE id IN {tuple(sample)}")
    assert [rows[row[0]] for row in found] == found
    assert len(rows) == 40000


def test_a_read_sees_one_state(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written while it goes on, and whichever of its statements comes after that."""
    source.execute(
        "CREATE TABLE events (id int PRIMARY KEY, at int, KEY (at))",
        "INSERT INTO events SELECT seq, IF(seq % 2, seq, NULL) FROM seq_1_to_50000",
    )
    monkeypatch.setattr(reader, "CHUNK_BYTES", 1000)
    wanted = ReadRequest("events", "r", cursor=CursorRange("at", include_nulls=True, max_rows=25_000))
    with MYSQL.read(source.config(), wanted) as read:
        batches = read.batches()
        found = next(batches).column(0).to_pylist()
        source.execute("UPDATE events SET at = id", "DELETE FROM events WHERE id % 3 = 0")
        for batch in batches:
            found += batch.column(0).to_pylist()
    assert sorted(found) == list(range(1, 50001))


def test_nobody_changes_a_table_while_it_is_read(source: Source) -> None:
    source.execute("CREATE TABLE things (a int)", "INSERT INTO things VALUES (1)")
    with MYSQL.read(source.config(), ReadRequest("things", "r")) as read:
        with pytest.raises(Exception, match="1205"):
            source.execute("SET lock_wait_timeout = 1", "ALTER TABLE things ADD COLUMN b int")
        assert [batch.to_pylist() for batch in read.batches()] == [[{"a": 1}]]


def test_the_estimate_of_rows(source: Source) -> None:
    source.execute("CREATE TABLE things (id int PRIMARY KEY)", "INSERT INTO things SELECT seq FROM seq_1_to_500")
    source.execute("ANALYZE TABLE things")
    with MYSQL.read(source.config(), ReadRequest("things", "r")) as read:
        assert read.row_estimate == 500
    with MYSQL.read(source.config(), ReadRequest("things", "r", cursor=CursorRange("id", "400"))) as read:
        assert read.row_estimate is None


def test_a_table_that_is_gone(source: Source) -> None:
    with pytest.raises(SchemaChangedError, match="no longer has gone"):
        source.read("gone")


def test_a_view_that_fails_at_its_rows(source: Source) -> None:
    source.execute(
        "CREATE TABLE things (a int)",
        "INSERT INTO things VALUES (1), (2)",
        "CREATE VIEW broken AS SELECT (SELECT a FROM things) AS q FROM things AS t",
    )
    with pytest.raises(SourceError, match=r"could not compute the rows of broken \(error 1242\)") as caught:
        source.read("broken")
    assert not caught.value.retryable


def test_settings_of_the_server_change_nothing(source: Source) -> None:
    source.execute(
        "CREATE TABLE things (a char(5), b int, c timestamp NULL)",
        "INSERT INTO things VALUES ('x', 1, '2024-01-01'), ('y', 2, '2024-01-01'), ('\\\\', 3, NULL)",
    )
    changes = {
        "sql_mode": "'ANSI,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES'",
        "sql_select_limit": "2",
        "time_zone": "'+05:00'",
    }
    source.server.execute(*(f"SET GLOBAL {name} = {value}" for name, value in changes.items()))
    try:
        read = source.read("things")
        backslash = source.read("things", filters=(RowFilter("a", "=", "\\"),))
    finally:
        source.server.execute(*(f"SET GLOBAL {name} = DEFAULT" for name in changes))
    assert read.column("a") == ["x", "y", "\\"]
    assert str(read.column("c")[0]) == "2024-01-01 00:00:00+00:00"
    assert backslash.column("b") == [3]


class Trickle:
    """Bytes that come in pieces of any size."""

    def __init__(self, content: bytes, seed: int) -> None:
        self._content = memoryview(content)
        self._random = random.Random(seed)  # noqa: S311

    def recv_into(self, view: memoryview) -> int:
        count = min(len(view), self._random.randint(1, 70_000), len(self._content))
        view[:count] = self._content[:count]
        self._content = self._content[count:]
        return count


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_found_wherever_the_bytes_are_cut(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    sizes = [0, 1, 250, 251, 252, 300, 65535, 65536, 70000]
    rows = [
        [None if chance.random() < 0.2 else chance.randbytes(chance.choice(sizes)) for _ in range(3)]
        for _ in range(chance.randint(0, 100))
    ]
    contents = [b"".join(map(_with_length, row)) for row in rows] + [b"\xfe\0\0\2\0"]
    packets = b"".join(
        len(content).to_bytes(3, "little") + bytes([(number + 1) & 0xFF]) + content
        for number, content in enumerate(contents)
    )
    source = wire._Packets(Trickle(packets, seed), chance.choice([1, 1000, 2**20]))
    found: list[list[bytes | None]] = []
    for chunk in source.rows():
        columns = [column.to_pylist() for column in chunk.columns([pa.binary()] * 3)]
        found += map(list, zip(*columns, strict=True))
    assert found == rows


def _with_length(value: bytes | None) -> bytes:
    if value is None:
        return b"\xfb"
    size = len(value)
    if size < 251:
        return bytes([size]) + value
    mark, width = (0xFC, 2) if size < 2**16 else (0xFD, 3)
    return bytes([mark]) + size.to_bytes(width, "little") + value
