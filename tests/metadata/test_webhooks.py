"""What is known of a webhook's endpoint, on each kind of database."""

import uuid
from collections.abc import Iterator

import pytest

from metadata.database import Database
from metadata.keys import FIRST_PROJECT_ID, ensure_bootstrap
from metadata.models import Project, Schema, Source, SyncType, Webhook, utc_now
from metadata.vault import Vault, generate_key
from metadata.webhooks import WebhookEndpoint, Webhooks
from tests.kit.hooks import Hook, change, make_hook

VAULT = Vault([generate_key()])


@pytest.fixture
def database(metadata_url: str) -> Iterator[Database]:
    database = Database(metadata_url)
    with database.transaction() as session:
        ensure_bootstrap(session, None)
    yield database
    database.dispose()


def test_everything_that_receiving_takes(database: Database) -> None:
    hook, other = make_hook(database, VAULT), make_hook(database, VAULT, orders=False)
    webhooks = Webhooks(database, VAULT)
    inputs = {"signature": "stripe", "tables": "customers, orders", "table": "object", "key": "id"}
    for each, enabled in ((hook, hook.schemas), (other, {"customers": other.schemas["customers"]})):
        found = webhooks.endpoint(each.id)
        assert found == WebhookEndpoint(
            FIRST_PROJECT_ID, each.source_id, "Webhook", inputs, {"signing_secret": each.secret}, enabled
        )
        assert each.secret not in repr(found)


def test_what_is_not_followed_by_events_is_left_out(database: Database) -> None:
    webhooks, hook = Webhooks(database, VAULT), make_hook(database, VAULT)
    ids = set(hook.schemas.values())
    assert webhooks.receiving([*ids, str(uuid.uuid4()), "no id"]) == ids
    assert webhooks.receiving([]) == set()
    for values in ({"should_sync": False}, {"sync_type": SyncType.FULL_REFRESH}, {"deleted_at": utc_now()}):
        hook = make_hook(database, VAULT)
        change(database, Schema, hook.schemas["orders"], **values)
        found = webhooks.endpoint(hook.id)
        assert found is not None
        assert found.schemas == {"customers": hook.schemas["customers"]}
        assert webhooks.receiving(hook.schemas.values()) == {hook.schemas["customers"]}


def test_what_failures_have_disabled_is_kept_where_it_cannot_be_read_again(database: Database) -> None:
    """And no run is asked for until somebody has seen to it."""
    webhooks, hook = Webhooks(database, VAULT), make_hook(database, VAULT)
    customers, orders = hook.schemas["customers"], hook.schemas["orders"]
    change(database, Schema, customers, failures_in_a_row=1)
    assert webhooks.receiving(hook.schemas.values()) == {orders}
    change(database, Schema, customers, failures_in_a_row=3, should_sync=False, discovered={"webhook_only": True})
    change(database, Schema, orders, failures_in_a_row=3, should_sync=False, discovered={"webhook_only": False})
    found = webhooks.endpoint(hook.id)
    assert found is not None
    assert found.schemas == {"customers": customers}
    assert webhooks.receiving(hook.schemas.values()) == set()


def test_what_is_gone_is_gone(database: Database) -> None:
    webhooks = Webhooks(database, VAULT)
    assert webhooks.endpoint(str(uuid.uuid4())) is webhooks.endpoint("no id") is None

    def after(kind: type, hook: Hook, id: str) -> WebhookEndpoint | None:
        change(database, kind, id, deleted_at=utc_now())
        return webhooks.endpoint(hook.id)

    for kind in (Webhook, Source):
        hook = make_hook(database, VAULT)
        assert after(kind, hook, hook.id if kind is Webhook else hook.source_id) is None
    hook = make_hook(database, VAULT)
    with database.transaction() as session:
        project = session.get(Project, FIRST_PROJECT_ID)
        assert project is not None
        project.deleted_at = utc_now()
        session.add(project)
    assert webhooks.endpoint(hook.id) is None
    assert webhooks.receiving(hook.schemas.values()) == set()
