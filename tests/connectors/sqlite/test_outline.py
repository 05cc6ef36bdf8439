"""The tables of a database in a bucket are told by few of its pages, whatever its shape."""

import pytest

from connectors.errors import ConfigurationError
from tests.connectors.sqlite.files import SqliteFile
from tests.connectors.sqlite.objects import StoredFile, Watch


def together(*statements: str) -> str:
    return ";".join(("BEGIN", *statements, "COMMIT"))


@pytest.mark.parametrize("page_bytes", [512, 4096, 65536])
def test_tables_of_every_shape(stored: StoredFile, monkeypatch: pytest.MonkeyPatch, page_bytes: int) -> None:
    """Declarations that fill many pages, and some that no page holds, with rows between them."""
    stored.execute(f"PRAGMA page_size = {page_bytes}; PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
    for columns in (1, 10, 100, 1500):
        declared = ", ".join(f"{'a_long_name_' * 5}{number} TEXT" for number in range(columns))
        stored.execute(
            together(
                f"CREATE TABLE wide_{columns} (id INTEGER PRIMARY KEY, {declared})",
                f"CREATE TABLE rows_{columns} (v BLOB)",
                f"INSERT INTO rows_{columns} VALUES (zeroblob(1000000))",
            )
        )
    numbers = range(150)
    stored.execute(
        together(
            *(f"CREATE TABLE t{number} (a INT, b DATETIME NOT NULL, UNIQUE (a, b))" for number in numbers),
            *(f"INSERT INTO t{number} VALUES ({number}, '2026-01-31'), (0, '')" for number in numbers),
            "CREATE VIEW v AS SELECT a, b || '' AS c FROM t7",
        )
    )
    stored.execute("ANALYZE")
    stored.put()
    watch = Watch.over(monkeypatch)
    found = stored.discover()
    assert found == SqliteFile(stored.path).discover()
    assert found["t6"].row_estimate == 2
    assert watch.whole == 0
    assert sum(watch.pieces) < stored.path.stat().st_size / 2


def test_pages_that_lead_in_a_circle(stored: StoredFile) -> None:
    stored.execute(together(*(f"CREATE TABLE t{number} (a TEXT)" for number in range(300))))
    content = bytearray(stored.path.read_bytes())
    assert content[100] == 5, "the schema's first page leads to others"
    content[108:112] = (1).to_bytes(4, "big")
    stored.put(bytes(content))
    with pytest.raises(ConfigurationError, match="damaged"):
        stored.discover()
