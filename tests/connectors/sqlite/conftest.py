from pathlib import Path

import pytest

from tests.connectors.sqlite.files import SqliteFile


@pytest.fixture
def file(tmp_path: Path) -> SqliteFile:
    """An empty database in a folder of its own."""
    folder = tmp_path.resolve() / "data"
    folder.mkdir()
    found = SqliteFile(folder / "shop.db")
    found.execute("VACUUM")
    return found
