import tempfile
from pathlib import Path

import pytest

from tests.connectors.sqlite.files import SqliteFile
from tests.connectors.sqlite.objects import StoredFile
from tests.kit.servers import RunningStore


@pytest.fixture
def file(tmp_path: Path) -> SqliteFile:
    """An empty database in a folder of its own."""
    folder = tmp_path.resolve() / "data"
    folder.mkdir()
    found = SqliteFile(folder / "shop.db")
    found.execute("VACUUM")
    return found


@pytest.fixture
def stored(
    file: SqliteFile, object_store: RunningStore, lake_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> StoredFile:
    """A file that is not in its bucket yet, with a temporary folder of this test alone."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return StoredFile(file.path, object_store, lake_url, temporary)
