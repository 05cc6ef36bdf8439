"""Each scenario on both kinds of store."""

from pathlib import Path

import pytest

from lake.storage import LakeStore
from tests.kit.servers import RunningStore
from tests.lake.copier import Copier


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> LakeStore:
    if request.param == "file":
        return LakeStore(f"file://{tmp_path}/lake")
    server: RunningStore = request.getfixturevalue("object_store")
    return s3_store(server)


@pytest.fixture
def folder_store(tmp_path: Path) -> LakeStore:
    """For what does not depend on the kind of store."""
    return LakeStore(f"file://{tmp_path}/lake")


@pytest.fixture
def copier(store: LakeStore) -> Copier:
    return Copier(store)


@pytest.fixture
def folder_copier(folder_store: LakeStore) -> Copier:
    return Copier(folder_store)


def s3_store(server: RunningStore) -> LakeStore:
    store = LakeStore(server.new_url(), server.endpoint, server.access_key_id, server.secret_access_key, server.region)
    store.ensure_bucket()
    return store
