"""Without Temporal: what is stored stands and is made up for later; what only Temporal could do says so."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import col, select

from metadata.captures import Captures
from metadata.models import SchemaState, Wish
from metadata.runs import Runs
from metadata.vault import Vault, generate_key
from tests.api.conftest import CUSTOMER, Api, Shop, running_api
from tests.api.test_schemas import path_of
from tests.api.test_sources import create, hold_data, named


@pytest.fixture
def alone(metadata_url: str, tmp_path: Path) -> Iterator[Api]:
    with running_api(metadata_url, "127.0.0.1:1", tmp_path / "lake") as api:
        yield api


def waiting(api: Api) -> list[str]:
    """What the outbox holds, oldest first."""
    with api.database.read() as session:
        return [str(wish.kind) for wish in session.exec(select(Wish).order_by(col(Wish.created_at)))]


def test_changes_are_stored_with_what_they_want_of_temporal(alone: Api, shop: Shop) -> None:
    source = create(alone, shop, CUSTOMER)
    assert named(source, "customer")["should_sync"]
    alone("POST", f"{path_of(source)}reload/")
    alone("POST", f"external_data_sources/{source['id']}/reload/")
    assert alone("PATCH", path_of(source), json={"sync_frequency": "1hour"})["sync_frequency"] == "1hour"
    alone("POST", f"{path_of(source)}resync/")
    assert not alone("PATCH", path_of(source), json={"should_sync": False})["should_sync"]
    assert waiting(alone) == ["schedule", "start", "start", "start", "schedule", "resync", "schedule", "cancel"]


def test_a_refused_change_wants_nothing(alone: Api, shop: Shop) -> None:
    source = create(alone, shop)
    alone.refused("PATCH", path_of(source), "sync_type", json={"should_sync": True})
    alone.refused("POST", f"{path_of(source)}reload/", None)
    assert waiting(alone) == []


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
    assert waiting(alone) == ["schedule", "start", "resync", "erase"]
    alone("DELETE", path_of(source), 204)
    assert state() == (4, True)
    alone("DELETE", f"external_data_sources/{source['id']}/", 204)
    pending = Runs(alone.database, Vault([generate_key()])).pending_erasures(None, 10)
    assert [erasure.schema_id for erasure in pending] == [schema_id]
    # What was wanted of a schema that is gone may have been dropped by now, as it asks nothing of Temporal any more.
    assert waiting(alone)[-3:] == ["erase", "unschedule", "erase"]


def test_a_capture_begins_and_ends_all_the_same(alone: Api, own_shop: Shop) -> None:
    source = create(alone, own_shop)
    path = f"external_data_sources/{source['id']}"
    assert alone("POST", f"{path}/enable_cdc/") == {"success": True, "schedules_ready": False}
    alone("PATCH", path_of(source), json={"sync_type": "cdc", "should_sync": True})
    captures = Captures(alone.database, Vault([generate_key()]))
    [intent] = captures.page(None, 10)
    assert ([table.name for table in intent.tables], intent.removing) == (["customer"], False)
    assert alone("POST", f"{path}/disable_cdc/")["success"]
    [intent] = captures.page(None, 10)
    assert (intent.tables, intent.removing) == ((), True)
    assert waiting(alone) == ["schedule", "start", "cancel", "unschedule"]


def test_nobody_waits_long_for_what_is_away(alone: Api, shop: Shop) -> None:
    path = path_of(create(alone, shop, CUSTOMER))
    asked = time.monotonic()
    for frequency in ("15min", "30min", "1hour", "6hour"):
        alone("PATCH", path, json={"sync_frequency": frequency})
    assert time.monotonic() - asked < 10


def test_a_cancel_cannot_be_promised(alone: Api, shop: Shop) -> None:
    source = create(alone, shop, CUSTOMER)
    error = alone.refused("POST", path_of(source) + "cancel/", None, 503)
    assert error["type"] == "upstream_error"
    assert "127.0.0.1" not in error["detail"]
