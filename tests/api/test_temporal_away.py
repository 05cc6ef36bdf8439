"""Without Temporal: what is stored stands and is made up for later; what only Temporal could do says so."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from metadata.models import SchemaState
from metadata.runs import Runs
from metadata.vault import Vault, generate_key
from tests.api.conftest import CUSTOMER, Api, Shop, running_api
from tests.api.test_schemas import path_of
from tests.api.test_sources import create, hold_data, named


@pytest.fixture
def alone(metadata_url: str, tmp_path: Path) -> Iterator[Api]:
    with running_api(metadata_url, "127.0.0.1:1", tmp_path / "lake") as api:
        yield api


def test_settings_are_stored_and_wait_for_the_reconciler(alone: Api, shop: Shop) -> None:
    source = create(alone, shop, CUSTOMER)
    assert named(source, "customer")["should_sync"]
    assert alone("PATCH", path_of(source), json={"sync_frequency": "1hour"})["sync_frequency"] == "1hour"
    assert not alone("PATCH", path_of(source), json={"should_sync": False})["should_sync"]
    waiting = Runs(alone.database, Vault([generate_key()])).schedulable(None, 10)
    assert [(intent.schema_name, intent.sync_frequency, intent.should_sync) for intent in waiting] == [
        ("customer", "1hour", False)
    ]


def test_rebuilding_and_deleting_are_stored(alone: Api, shop: Shop) -> None:
    source = create(alone, shop, CUSTOMER)
    schema_id = named(source, "customer")["id"]
    hold_data(alone, schema_id)

    def state() -> tuple[int, bool]:
        with alone.database.read() as session:
            found = session.get_one(SchemaState, uuid.UUID(schema_id))
            return found.generation, found.erase_pending

    alone("POST", f"{path_of(source)}resync/")
    assert state() == (2, False)
    alone("DELETE", f"{path_of(source)}delete_data/", 204)
    assert state() == (3, True)
    alone("DELETE", path_of(source), 204)
    assert state() == (4, True)
    alone("DELETE", f"external_data_sources/{source['id']}/", 204)
    waiting = Runs(alone.database, Vault([generate_key()])).pending_erasures(None, 10)
    assert [erasure.schema_id for erasure in waiting] == [schema_id]


def test_starting_and_stopping_cannot_be_promised(alone: Api, shop: Shop) -> None:
    source = create(alone, shop, CUSTOMER)
    for path in (
        path_of(source) + "reload/",
        path_of(source) + "cancel/",
        f"external_data_sources/{source['id']}/reload/",
    ):
        error = alone.refused("POST", path, None, 503)
        assert error["type"] == "upstream_error"
        assert "127.0.0.1" not in error["detail"]
