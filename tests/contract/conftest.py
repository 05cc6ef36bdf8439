"""An installation whose every call is tried with the wrong key, the wrong id and the wrong body."""

from collections.abc import Iterator
from typing import Any

import pytest

from api.app import create_app
from local.postgres import PostgresServer
from metadata.keys import READ_SCOPE, WRITE_SCOPE, create_key
from metadata.vault import generate_key
from settings import Settings
from tests.api.conftest import Api, Shop, running_api, running_shop
from tests.contract.server import Server, run_server
from tests.contract.world import World, loaded
from tests.kit.servers import MetadataTemplates, RunningTemporal


def make_document() -> dict[str, Any]:
    """The document as the API serves it; nothing needs to run for it."""
    settings = Settings(
        database_url="sqlite:////nowhere/metadata.db",
        encryption_keys=generate_key(),
        temporal_address="127.0.0.1:1",
        lake_url="file:///nowhere",
    )
    return create_app(settings).openapi()


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    return make_document()


@pytest.fixture(scope="session")
def shop(postgres18: PostgresServer) -> Iterator[Shop]:
    """A source that all tests read and none changes."""
    with running_shop(postgres18) as shop:
        yield shop


@pytest.fixture(scope="session")
def instance(
    metadata_templates: MetadataTemplates, temporal: RunningTemporal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("contract")
    url = metadata_templates.sqlite_copy(folder / "metadata.db")
    with running_api(url, temporal.address, folder / "lake") as instance:
        yield instance


@pytest.fixture(scope="session")
def api(instance: Api) -> Api:
    """A project that has nothing but what its tests make."""
    return instance.other_project()


@pytest.fixture(scope="session")
def world(instance: Api, shop: Shop) -> World:
    """No test changes it: that is what they are about."""
    return make_world(instance, shop)


def make_world(instance: Api, shop: Shop) -> World:
    owner = instance.other_project()
    source = owner("POST", "external_data_sources/", 201, json=shop.body(prefix="w_"))
    loaded(owner, source)
    with owner.database.transaction() as session:
        key, _ = create_key(session, owner.project_id, "another key", [READ_SCOPE, WRITE_SCOPE])
    return World(owner, instance.other_project(), owner.with_key(READ_SCOPE), instance, shop, source, str(key.id))


@pytest.fixture(scope="session")
def server(
    postgres18: PostgresServer,
    temporal: RunningTemporal,
    metadata_templates: MetadataTemplates,
    shop: Shop,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A process of its own, with its metadata in PostgreSQL; each test makes a project there."""
    with run_server(postgres18, temporal, metadata_templates, shop, tmp_path_factory.mktemp("server")) as running:
        yield running
