"""What comes out is what lies in the table, in each format; and it comes out of one version of it."""

import base64
import csv
import io
import json
import math
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from query.errors import InvalidQueryError, TableUnreadableError
from query.messages import Format
from tests.query.conftest import Project

NAN, INFINITY = float("nan"), float("inf")
MOMENT = datetime(2024, 2, 29, 23, 59, 59, 123456, UTC)
NARROW = [0.1, NAN, INFINITY, 3.4028235e38]
"""Of 32 bits, where Python's own floats would show 0.1 as 0.10000000149011612."""
ORDERS = pa.table(
    {
        "id": pa.array([1, 2**63 - 1, -(2**63), None], pa.int64()),
        "small": pa.array([1, -32768, 32767, None], pa.int16()),
        "total": pa.array([Decimal("0.10"), Decimal("-99999999999999999999999999999999999.99"), None, Decimal(5)],
                          pa.decimal128(38, 2)),
        "ratio": pa.array([0.1, NAN, -INFINITY, None], pa.float64()),
        "narrow": pa.array(NARROW, pa.float32()),
        "Größe ü": pa.array(["é\u0000😀", "", 'a"b,c\r\nd', None]),
        "paid": pa.array([True, False, None, True]),
        "raw": pa.array([b"", b"\x00\xff", None, b"abc"]),
        "day": pa.array([date(1, 1, 1), date(9999, 12, 31), None, date(2024, 2, 29)]),
        "at": pa.array([MOMENT, datetime(1, 1, 1, tzinfo=UTC), None, MOMENT], pa.timestamp("us", "UTC")),
        "local": pa.array([MOMENT.replace(tzinfo=None), None, None, MOMENT.replace(tzinfo=None)], pa.timestamp("us")),
        "nested": pa.array([[{"a": 1, "b": ["x"]}], [], None, [{"a": None, "b": None}]],
                           pa.list_(pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))]))),
    }
)  # fmt: skip


@pytest.fixture
def orders(project: Project) -> Project:
    project.write("postgres_orders", ORDERS)
    return project


def shown(value: Any) -> Any:
    """As JSON has it, written down anew."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def expected_rows() -> list[list[Any]]:
    rows = [row | {"narrow": narrow} for row, narrow in zip(ORDERS.to_pylist(), NARROW, strict=True)]
    return [[shown(value) for value in row.values()] for row in rows]


def test_json_has_every_value(orders: Project) -> None:
    body, summary = orders.ask("select * from postgres_orders")
    answer = json.loads(body)
    assert answer["results"] == expected_rows()
    assert [column["name"] for column in answer["columns"]] == ORDERS.schema.names
    assert [column["type"] for column in answer["columns"]][:4] == ["BIGINT", "SMALLINT", "DECIMAL(38,2)", "DOUBLE"]
    assert (answer["row_count"], answer["truncated"]) == (4, False) == (summary.row_count, summary.truncated)


def test_arrow_has_every_value(orders: Project) -> None:
    found = orders.arrow("select * from postgres_orders")
    assert found.schema.names == ORDERS.schema.names
    for name in ORDERS.schema.names:
        assert repr(found.column(name).to_pylist()) == repr(ORDERS.column(name).to_pylist()), name


def test_csv_has_every_value(orders: Project) -> None:
    body, _ = orders.ask("select * from postgres_orders", format=Format.CSV)
    header, *rows = csv.reader(io.StringIO(body.decode(), newline=""))
    assert header == ORDERS.schema.names
    for row, wanted in zip(rows, expected_rows(), strict=True):
        texts = ["" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                 for value in wanted]  # fmt: skip
        assert row == texts


def test_csv_tells_null_from_empty(project: Project) -> None:
    body, _ = project.ask("select null as a, '' as b, 'x,y' as \"c,d\"", format=Format.CSV)
    assert body == b'a,b,"c,d"\r\n,"","x,y"\r\n'


def test_an_answer_without_rows_is_whole(orders: Project) -> None:
    sql = "select id, nested from postgres_orders where false"
    assert json.loads(orders.ask(sql)[0])["results"] == []
    assert orders.ask(sql, format=Format.CSV)[0] == b"id,nested\r\n"
    assert orders.arrow(sql).schema.names == ["id", "nested"]


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("sum(x::bigint) from (values (9223372036854775807), (9223372036854775807)) t(x)", 18446744073709551614),
        ("170141183460469231731687303715884105727::hugeint", 170141183460469231731687303715884105727),
        ("interval '1 year 2 days 3.5 seconds'", "P12M2DT3.5S"),
        ("time '10:20:30.5'", "10:20:30.500000"),
        ("'0b5f3f4e-8f0e-4c0b-9d5c-3f1f2a1b0c9d'::uuid", "0b5f3f4e-8f0e-4c0b-9d5c-3f1f2a1b0c9d"),
        ("{'a': [date '2024-02-29'], 'b': 1.50::decimal(4, 2)}", {"a": ["2024-02-29"], "b": "1.50"}),
        ("map {'k': 'nan'::double}", [["k", "NaN"]]),
        ("timestamptz '2024-01-01 01:00:00+02'", "2023-12-31T23:00:00Z"),
        ("'x'::enum('x', 'y')", "x"),
        ("-0.0::double", -0.0),
        ("1e308::double", 1e308),
    ],
)  # fmt: skip
def test_values_of_expressions(project: Project, sql: str, value: Any) -> None:
    [[found]] = json.loads(project.ask(f"select {sql}")[0])["results"]
    assert repr(found) == repr(value)


def test_a_value_that_json_cannot_show_is_an_error(project: Project) -> None:
    for sql in ("'infinity'::timestamp", "date '290000-01-01'", "timestamp_ns '2024-01-01 00:00:00.123456789'"):
        with pytest.raises(InvalidQueryError, match="cast it to text"):
            project.ask(f"select {sql} as odd")


def test_columns_may_share_a_name(project: Project) -> None:
    for format in (Format.JSON, Format.CSV, Format.ARROW):
        body, _ = project.ask("select 1 as a, 2 as a, 3 as A", format=format)
        if format is Format.JSON:
            answer = json.loads(body)
            assert [column["name"] for column in answer["columns"]] == ["a", "a", "A"]
            assert answer["results"] == [[1, 2, 3]]
        elif format is Format.ARROW:
            assert pa.ipc.open_stream(body).read_all().schema.names == ["a", "a", "A"]
        else:
            assert body == b"a,a,A\r\n1,2,3\r\n"


@pytest.mark.parametrize(
    "condition",
    [
        "ratio > 3", "ratio >= 'nan'", "ratio between 0 and 'nan'", "not ratio > 3", "ratio = 'nan'", "ratio < 0",
        "narrow > 1", "narrow is null", "id > 1", "id in (1, 5)", "total < 0", "day >= '2000-01-01'", "paid",
        '"Größe ü" >= \'a\'', "\"at\" > '2000-01-01'", "local is null", "raw > 'a'", "ratio > 3 or id = 1",
    ],
)  # fmt: skip
def test_filters_mean_the_same_at_the_files(orders: Project, condition: str) -> None:
    """Pushed down to Parquet, and applied to rows that the engine holds itself."""
    columns = "id, small, total, ratio, narrow, paid"
    pushed = orders.arrow(f"select {columns} from postgres_orders where {condition} order by id")
    held = orders.arrow(
        f"with held as materialized (select *, random() as r from postgres_orders) "
        f"select {columns} from held where r < 2 and ({condition}) order by id"
    )
    assert repr(pushed.to_pylist()) == repr(held.to_pylist())
    assert 0 <= pushed.num_rows < 4


def test_the_limit_is_said(orders: Project) -> None:
    cases = ((3, 3, True, Format.CSV), (4, 4, False, Format.ARROW), (5, 4, False, Format.CSV))
    for rows, count, truncated, format in cases:
        _, summary = orders.ask("select id from postgres_orders", rows, format)
        assert (summary.row_count, summary.truncated) == (count, truncated)
    first = json.loads(orders.ask("select range from range(10000000000)", 2)[0])
    assert (first["results"], first["truncated"]) == ([[0], [1]], True)


def test_order_is_kept(project: Project) -> None:
    found = project.arrow("select range as n from range(100000) order by n desc")
    assert found.column("n").to_pylist() == list(range(99_999, -1, -1))


def test_three_hundred_columns(project: Project) -> None:
    wide = pa.table({f"column {n}": [n, -n] for n in range(300)}).rename_columns([f"c{n}" for n in range(300)])
    project.write("wide", wide)
    assert project.arrow("select * from wide").equals(wide)


def test_a_query_sees_one_version(project: Project) -> None:
    """Commits go on beside it: never part of one, and a self join sees the same on both sides."""
    block = 1000
    project.write("growing", pa.table({"n": list(range(block))}))
    stop = threading.Event()
    commits = 0

    def grow() -> None:
        nonlocal commits
        while not stop.is_set():
            project.write("growing", pa.table({"n": list(range(block))}), mode="append")
            commits += 1

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for _ in range(4):
            row = project.arrow(
                "select count(*) as rows, (select count(*) from growing b) as again, max(n) as most from growing a"
            ).to_pylist()[0]
            assert row["rows"] % block == 0
            assert (row["again"], row["most"]) == (row["rows"], block - 1)
    finally:
        stop.set()
        writer.join()
    assert commits > 3


def test_columns_that_came_later_are_null_before(project: Project) -> None:
    project.write("changing", pa.table({"a": [1]}))
    project.write("changing", pa.table({"a": [2], "b": ["x"]}), mode="append", schema_mode="merge")
    assert project.arrow("select a, b from changing order by a").to_pylist() == [
        {"a": 1, "b": None},
        {"a": 2, "b": "x"},
    ]
    assert project.arrow("select a from changing where b is null").to_pylist() == [{"a": 1}]


def test_partitions_of_names_with_odd_characters(project: Project) -> None:
    """Paths in the log are percent-encoded; the files are found all the same."""
    project.write("odd", pa.table({"k": ["a b%/ü"], "n": [1]}))
    assert project.arrow("select * from odd").to_pylist() == [{"k": "a b%/ü", "n": 1}]


def test_a_table_without_data_says_so(project: Project) -> None:
    project.write("gone", pa.table({"a": [1]}))
    store = project.runner.store
    store.delete_prefix(f"{project.folder}/gone")
    with pytest.raises(TableUnreadableError, match="holds no data"):
        project.ask("select * from gone")


def test_files_that_vanish_are_an_error_and_nothing_leaks(project: Project) -> None:
    project.write("broken", pa.table({"a": [1]}))
    for file in DeltaTable(project.runner.store.uri(f"{project.folder}/broken")).file_uris():
        project.runner.store.delete([file.split("/lake/")[1]])
    with pytest.raises(TableUnreadableError) as caught:
        project.ask("select sum(a) from broken")
    assert "/" not in caught.value.message
