"""Webhooks of real sources: made and taken back at a provider that plays Stripe, whole or not at all."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import select
from temporalio.testing import ActivityEnvironment

from activities.schedules import Failures
from activities.webhooks.upkeep import WebhookUpkeep
from api.actions import schema_settings, webhook_setup
from connectors.outbound import OPEN
from connectors.rest import client
from connectors.rest.pace import Pace
from connectors.surroundings import Surroundings
from metadata.keys import READ_SCOPE
from metadata.models import Schema, SchemaState, Source, Webhook, utc_now
from metadata.registrations import RegisteredWebhooks
from metadata.webhooks import Webhooks
from tests.api.conftest import PUBLIC_URL, Api
from tests.api.test_sources import named
from tests.providers.github import GitHubPlayer
from tests.providers.server import Asked, Reply, running
from tests.providers.stripe import StripePlayer

CUSTOMERS = {"name": "customers", "should_sync": True, "sync_type": "webhook"}
WEBHOOK = {"should_sync": True, "sync_type": "webhook"}
OF_CUSTOMERS = ["customer.created", "customer.deleted", "customer.updated"]
OF_PRODUCTS = ["product.created", "product.deleted", "product.updated"]
DATABASE_AWAY = OperationalError("COMMIT", {}, Exception("the disk is full"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(client, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(Pace, "wait", lambda *_, **__: None)


@pytest.fixture
def stripe() -> Iterator[StripePlayer]:
    with running() as provider:
        yield StripePlayer(provider)


def made(api: Api, stripe: StripePlayer, *schemas: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    payload = {**stripe.inputs(), "schemas": list(schemas)}
    body = {"source_type": "Stripe", "prefix": prefix, "payload": payload}
    source: dict[str, Any] = api("POST", "external_data_sources/", 201, json=body)
    return source


def at(source: dict[str, Any]) -> str:
    return f"external_data_sources/{source['id']}"


def schema_at(source: dict[str, Any], name: str) -> str:
    return f"external_data_schemas/{named(source, name)['id']}/"


def webhook_of(api: Api, source: dict[str, Any]) -> Webhook | None:
    with api.database.read() as session:
        return session.exec(
            select(Webhook).where(Webhook.source_id == uuid.UUID(source["id"]), Webhook.deleted_at == None)  # noqa: E711
        ).first()


def inputs_of(api: Api, source: dict[str, Any]) -> dict[str, str]:
    """As those have them who receive its events."""
    webhook = webhook_of(api, source)
    assert webhook is not None
    vault = api.client.app.state.backend.vault  # type: ignore[attr-defined]
    endpoint = Webhooks(api.database, vault).endpoint(str(webhook.id))
    assert endpoint is not None
    return dict(endpoint.inputs)


@contextmanager
def without_public_url(api: Api) -> Iterator[None]:
    state = api.client.app.state  # type: ignore[attr-defined]
    state.backend = replace(known := state.backend, public_url=None)
    yield
    state.backend = known


def generation(api: Api, schema_id: str) -> int:
    with api.database.read() as session:
        return session.get_one(SchemaState, uuid.UUID(schema_id)).generation


def events(stripe: StripePlayer) -> list[str]:
    [endpoint] = stripe.endpoints.known
    found: list[str] = endpoint["enabled_events"]
    return found


def test_a_source_is_born_with_its_webhook(api: Api, stripe: StripePlayer) -> None:
    source = made(api, stripe, CUSTOMERS)
    assert source["supports_webhooks"] is True
    assert events(stripe) == OF_CUSTOMERS
    info = api.with_key(READ_SCOPE)("GET", f"{at(source)}/webhook_info/")
    webhook = webhook_of(api, source)
    assert webhook is not None
    url = f"{PUBLIC_URL}/public/webhooks/dwh/{webhook.id}"
    assert stripe.endpoints.known[0]["url"] == url
    status = info.pop("external_status")
    assert (status["exists"], status["url"], status["status"]) == (True, url, "enabled")
    assert status["enabled_events"] == OF_CUSTOMERS
    assert info == {
        "supports_webhooks": True,
        "exists": True,
        "webhook_url": url,
        "schema_mapping": {"customers": named(source, "customers")["id"]},
        "inputs": {},
        "pending_inputs": [],
        "missing_events": [],
    }
    assert inputs_of(api, source) == {"signing_secret": stripe.endpoints.secrets["we_1"]}
    assert stripe.endpoints.secrets["we_1"] not in webhook.encrypted_inputs


def test_tables_that_come_later_add_their_events(api: Api, stripe: StripePlayer) -> None:
    source = made(api, stripe)
    assert api("GET", f"{at(source)}/webhook_info/")["exists"] is False
    customers = api("PATCH", schema_at(source, "customers"), json=WEBHOOK)
    assert (customers["sync_type"], customers["incremental"], customers["incremental_field"]) == (
        "webhook",
        False,
        None,
    )
    stripe.endpoints.known[0]["enabled_events"].append("balance.available")
    ids = [named(source, name)["id"] for name in ("products", "customers")]
    api("PATCH", f"{at(source)}/bulk_update_schemas/", json={"schemas": [{"id": each, **WEBHOOK} for each in ids]})
    assert events(stripe) == [*OF_CUSTOMERS, "balance.available", *OF_PRODUCTS]
    assert set(api("GET", f"{at(source)}/webhook_info/")["schema_mapping"]) == {"customers", "products"}
    secret = inputs_of(api, source)
    api("PATCH", schema_at(source, "events"), json=WEBHOOK)
    assert events(stripe) == ["*"]
    api("PATCH", schema_at(source, "refunds"), json=WEBHOOK)
    assert events(stripe) == ["*"]
    assert inputs_of(api, source) == secret, "one endpoint, and its secret, for all"


def test_the_webhook_is_made_right_again(quick_api: Api, stripe: StripePlayer) -> None:
    source = made(quick_api, stripe, CUSTOMERS)
    stripe.endpoints.known[0].update(enabled_events=["customer.created"], status="disabled")
    info = quick_api("GET", f"{at(source)}/webhook_info/")
    assert info["missing_events"] == ["customer.deleted", "customer.updated"]
    assert info["external_status"]["status"] == "disabled"
    answer = quick_api("POST", f"{at(source)}/create_webhook/")
    assert answer == {"success": True, "webhook_url": info["webhook_url"], "error": None, "pending_inputs": []}
    assert sorted(events(stripe)) == OF_CUSTOMERS
    assert stripe.endpoints.known[0]["status"] == "enabled"
    stripe.endpoints.known.clear()
    gone = quick_api("GET", f"{at(source)}/webhook_info/")
    assert (gone["external_status"]["exists"], gone["missing_events"]) == (False, OF_CUSTOMERS)
    assert quick_api("POST", f"{at(source)}/create_webhook/")["success"] is True
    assert inputs_of(quick_api, source) == {"signing_secret": stripe.endpoints.secrets["we_2"]}


def test_another_public_address_gets_an_endpoint_of_its_own(quick_api: Api, stripe: StripePlayer) -> None:
    source = made(quick_api, stripe, CUSTOMERS)
    state = quick_api.client.app.state  # type: ignore[attr-defined]
    known = state.backend
    state.backend = replace(known, public_url="https://other.example.com")
    try:
        url = quick_api("POST", f"{at(source)}/create_webhook/")["webhook_url"]
    finally:
        state.backend = known
    assert url.startswith("https://other.example.com/public/webhooks/dwh/")
    assert [each["url"] for each in stripe.endpoints.known] == [url]
    assert inputs_of(quick_api, source) == {"signing_secret": stripe.endpoints.secrets["we_2"]}


def test_without_a_public_address_there_is_none(quick_api: Api, stripe: StripePlayer) -> None:
    source = made(quick_api, stripe)
    with without_public_url(quick_api):
        error = quick_api.refused("POST", f"{at(source)}/create_webhook/", None)
        assert "SYNCLINE_PUBLIC_URL" in error["detail"]
        quick_api.refused("PATCH", schema_at(source, "customers"), "sync_type", json=WEBHOOK)
        body = {"source_type": "Stripe", "prefix": "b_", "payload": {**stripe.inputs(), "schemas": [CUSTOMERS]}}
        quick_api.refused("POST", "external_data_sources/", "payload.schemas", json=body)
    assert stripe.endpoints.known == []
    assert quick_api("GET", "external_data_sources/")["count"] == 1


def test_a_key_that_may_not_manage_webhooks_and_one_that_is_made_by_hand(quick_api: Api, stripe: StripePlayer) -> None:
    stripe.endpoints.may_manage = False
    source = made(quick_api, stripe)
    error = quick_api.refused("PATCH", schema_at(source, "customers"), "sync_type", json=WEBHOOK)
    assert "Webhook Endpoints: write" in error["detail"]
    assert webhook_of(quick_api, source) is None
    answer = quick_api("POST", f"{at(source)}/create_webhook/")
    assert (answer["success"], answer["pending_inputs"]) == (False, ["signing_secret"])
    assert "Webhook Endpoints: write" in answer["error"]
    assert quick_api("GET", f"{at(source)}/webhook_info/")["webhook_url"] == answer["webhook_url"]
    quick_api.refused("PATCH", schema_at(source, "customers"), "sync_type", json=WEBHOOK)
    kept = quick_api("POST", f"{at(source)}/update_webhook_inputs/", json={"inputs": {"signing_secret": " whsec_1\n"}})
    assert kept == {"success": True, "error": None}
    assert inputs_of(quick_api, source) == {"signing_secret": "whsec_1"}
    quick_api("PATCH", schema_at(source, "customers"), json=WEBHOOK)
    info = quick_api("GET", f"{at(source)}/webhook_info/")
    assert (info["pending_inputs"], info["missing_events"]) == ([], OF_CUSTOMERS)
    assert info["external_status"]["exists"] is None
    assert "whsec_1" not in str(info)
    stripe.endpoints.may_manage = True
    assert quick_api("POST", f"{at(source)}/create_webhook/")["success"] is True
    stripe.endpoints.may_manage = False
    quick_api.refused("PATCH", schema_at(source, "products"), "sync_type", json=WEBHOOK)


@pytest.mark.parametrize(
    ("inputs", "attr"),
    [({"nonsense": "a"}, "inputs.nonsense"), ({"signing_secret": " "}, "inputs.signing_secret")],
)
def test_inputs_that_it_cannot_have(quick_api: Api, stripe: StripePlayer, inputs: dict[str, str], attr: str) -> None:
    source = made(quick_api, stripe, CUSTOMERS)
    quick_api.refused("POST", f"{at(source)}/update_webhook_inputs/", attr, json={"inputs": inputs})


def test_inputs_without_a_webhook(quick_api: Api, stripe: StripePlayer) -> None:
    source = made(quick_api, stripe)
    body = {"inputs": {"signing_secret": "whsec_1"}}
    assert quick_api.refused("POST", f"{at(source)}/update_webhook_inputs/", None, json=body)["code"] == "no_webhook"


def test_it_cannot_go_while_a_table_needs_it(quick_api: Api, stripe: StripePlayer) -> None:
    source = made(quick_api, stripe, CUSTOMERS)
    error = quick_api.refused("POST", f"{at(source)}/delete_webhook/", None)
    assert (error["code"], "customers" in error["detail"]) == ("in_use", True)
    quick_api("PATCH", schema_at(source, "customers"), json={"should_sync": False})
    assert events(stripe) == OF_CUSTOMERS, "it stays when the last table is disabled"
    answer = quick_api("POST", f"{at(source)}/delete_webhook/")
    assert answer == {"success": True, "external_deleted": True, "error": None}
    assert stripe.endpoints.known == []
    assert quick_api("GET", f"{at(source)}/webhook_info/")["exists"] is False
    assert quick_api("POST", f"{at(source)}/delete_webhook/")["external_deleted"] is False


def test_what_a_provider_that_is_away_still_has_is_taken_back_later(api: Api, stripe: StripePlayer) -> None:
    first, second = made(api, stripe, CUSTOMERS, prefix="a_"), made(api, stripe, CUSTOMERS, prefix="b_")
    api("PATCH", schema_at(first, "customers"), json={"should_sync": False})
    stripe.provider.plan = lambda number, asked: Reply({}, 503)
    answer = api("POST", f"{at(first)}/delete_webhook/")
    assert (answer["success"], answer["external_deleted"]) == (True, False)
    assert answer["error"].endswith(".")
    api("DELETE", f"{at(second)}/", 204)
    assert len(stripe.endpoints.known) == 2
    backend = api.client.app.state.backend  # type: ignore[attr-defined]
    upkeep = WebhookUpkeep(RegisteredWebhooks(api.database, backend.vault), Surroundings(OPEN))
    run = partial(ActivityEnvironment().run, upkeep.take_back)
    assert run(Failures()) == 0
    stripe.provider.plan = lambda number, asked: None
    assert run(Failures()) == 2
    assert stripe.endpoints.known == []
    assert run(Failures()) == 0


def test_with_a_source_goes_its_webhook(quick_api: Api, stripe: StripePlayer) -> None:
    source = made(quick_api, stripe, CUSTOMERS)
    quick_api("DELETE", f"{at(source)}/", 204)
    assert stripe.endpoints.known == []
    assert webhook_of(quick_api, source) is None


def refuse_new_endpoints(stripe: StripePlayer) -> None:
    def plan(number: int, asked: Asked) -> Reply | None:
        is_new = asked.method == "POST" and asked.path == "/v1/webhook_endpoints"
        return Reply({"error": {"message": "no such event"}}, 400) if is_new else None

    stripe.provider.plan = plan


def nothing_is_left(api: Api, stripe: StripePlayer, *, sources: int) -> None:
    assert stripe.endpoints.known == []
    with api.database.read() as session:
        found = session.exec(select(Source).where(Source.project_id == api.project_id)).all()
        webhooks = session.exec(select(Webhook).where(Webhook.project_id == api.project_id)).all()
        followed = session.exec(select(Schema).where(Schema.project_id == api.project_id, Schema.should_sync)).all()
    assert (len(found), list(webhooks), list(followed)) == (sources, [], [])


def test_what_the_provider_refuses_leaves_nothing(quick_api: Api, stripe: StripePlayer) -> None:
    source = made(quick_api, stripe)
    refuse_new_endpoints(stripe)
    error = quick_api.refused("PATCH", schema_at(source, "customers"), "sync_type", json=WEBHOOK)
    assert "no such event" in error["detail"]
    ids = [named(source, name)["id"] for name in ("products", "customers")]
    changes = [{"id": ids[0], "should_sync": False}, {"id": ids[1], **WEBHOOK}]
    quick_api.refused("PATCH", f"{at(source)}/bulk_update_schemas/", "schemas.1.sync_type", json={"schemas": changes})
    body = {"source_type": "Stripe", "prefix": "b_", "payload": {**stripe.inputs(), "schemas": [CUSTOMERS]}}
    quick_api.refused("POST", "external_data_sources/", "payload", json=body)
    nothing_is_left(quick_api, stripe, sources=1)


def test_what_cannot_be_stored_is_taken_back(api: Api, stripe: StripePlayer, monkeypatch: pytest.MonkeyPatch) -> None:
    source = made(api, stripe)

    def away(*_: Any, **__: Any) -> None:
        raise DATABASE_AWAY

    monkeypatch.setattr(schema_settings, "newly_followed", away)
    api("PATCH", schema_at(source, "customers"), 503, json=WEBHOOK)
    monkeypatch.setattr(webhook_setup, "come_to_life", away)
    body = {"source_type": "Stripe", "prefix": "b_", "payload": {**stripe.inputs(), "schemas": [CUSTOMERS]}}
    api("POST", "external_data_sources/", 503, json=body)
    nothing_is_left(api, stripe, sources=1)


def test_an_endpoint_whose_answer_was_lost_is_taken_back(quick_api: Api, stripe: StripePlayer) -> None:
    source = made(quick_api, stripe)

    def lost(reply: Reply) -> Reply:
        return replace(reply, ends="answer")

    stripe.provider.plan = lambda number, asked: lost if asked.method == "POST" else None
    quick_api.refused("PATCH", schema_at(source, "customers"), "sync_type", json=WEBHOOK)
    nothing_is_left(quick_api, stripe, sources=1)


def left_by_a_crash(api: Api, stripe: StripePlayer, source: dict[str, Any], **values: Any) -> None:
    """An endpoint whose secret nobody has kept, and the claim of who did not live to do so."""
    webhook = webhook_of(api, source)
    assert webhook is not None
    backend = api.client.app.state.backend  # type: ignore[attr-defined]
    with api.database.transaction() as session:
        row = session.get_one(Webhook, webhook.id)
        row.encrypted_inputs, row.claimed_until = backend.vault.encrypt({}), utc_now()
        for name, value in values.items():
            setattr(row, name, value)


def test_what_a_crash_leaves_is_made_right_by_the_next_call(quick_api: Api, stripe: StripePlayer) -> None:
    source = made(quick_api, stripe, CUSTOMERS)
    left_by_a_crash(quick_api, stripe, source)
    assert quick_api("POST", f"{at(source)}/create_webhook/")["success"] is True
    assert [each["id"] for each in stripe.endpoints.known] == ["we_2"]
    assert inputs_of(quick_api, source) == {"signing_secret": stripe.endpoints.secrets["we_2"]}


def test_what_a_crash_leaves_of_a_source_that_was_never_born_goes(quick_api: Api, stripe: StripePlayer) -> None:
    source = made(quick_api, stripe, CUSTOMERS)
    left_by_a_crash(quick_api, stripe, source, removing=True, deleted_at=utc_now())
    backend = quick_api.client.app.state.backend  # type: ignore[attr-defined]
    upkeep = WebhookUpkeep(RegisteredWebhooks(quick_api.database, backend.vault), Surroundings(OPEN))
    assert ActivityEnvironment().run(upkeep.take_back, Failures()) == 1
    assert stripe.endpoints.known == []


def test_calls_at_once_wait_for_each_other(api: Api, stripe: StripePlayer) -> None:
    source = made(api, stripe)
    names = ("customers", "products", "refunds")
    with ThreadPoolExecutor() as crew:
        calls = [crew.submit(api.respond, "PATCH", schema_at(source, name), json=WEBHOOK) for name in names]
        assert [call.result().status_code for call in calls] == [200, 200, 200]
    [endpoint] = stripe.endpoints.known
    assert {*OF_CUSTOMERS, *OF_PRODUCTS, "refund.updated"} <= set(endpoint["enabled_events"])


def test_calls_at_once_make_one_endpoint(api: Api, stripe: StripePlayer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_setup, "CLAIM_SECONDS", 0.3)
    source = made(api, stripe)
    reached, go_on = threading.Event(), threading.Event()

    def before(asked: Asked) -> None:
        if asked.method == "POST" and not reached.is_set():
            reached.set()
            assert go_on.wait(20)

    stripe.provider.before = before
    with ThreadPoolExecutor() as crew:
        first = crew.submit(api.respond, "PATCH", schema_at(source, "customers"), json=WEBHOOK)
        assert reached.wait(20)
        second = api("PATCH", schema_at(source, "products"), 409, json=WEBHOOK)
        third = api("POST", f"{at(source)}/create_webhook/", 409)
        api("POST", f"{at(source)}/delete_webhook/", 409)
        go_on.set()
        assert first.result().status_code == 200
    assert second["code"] == third["code"] == "being_registered"
    assert events(stripe) == OF_CUSTOMERS
    api("PATCH", schema_at(source, "products"), json=WEBHOOK)
    assert events(stripe) == [*OF_CUSTOMERS, *OF_PRODUCTS]


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("coupons", WEBHOOK, "does not support webhooks"),
        ("balance_transactions", {"sync_type": "webhook"}, "does not support webhooks"),
        ("customers", {**WEBHOOK, "sync_frequency": "1min"}, "needs the sync type cdc"),
    ],
)
def test_tables_that_cannot(
    quick_api: Api, stripe: StripePlayer, name: str, changes: dict[str, Any], said: str
) -> None:
    source = made(quick_api, stripe)
    assert said in quick_api("PATCH", schema_at(source, name), 400, json=changes)["detail"]
    assert stripe.endpoints.known == []


def test_what_was_missed_is_read_anew(api: Api, stripe: StripePlayer) -> None:
    source = made(api, stripe, CUSTOMERS, {"name": "products", "should_sync": True, "sync_type": "full_refresh"})
    customers, products = named(source, "customers")["id"], named(source, "products")["id"]
    assert (generation(api, customers), generation(api, products)) == (1, 1)
    api("PATCH", schema_at(source, "customers"), json={"sync_frequency": "1hour"})
    assert generation(api, customers) == 1
    api("PATCH", schema_at(source, "customers"), json={"should_sync": False})
    api("PATCH", schema_at(source, "customers"), json={"should_sync": True})
    assert generation(api, customers) == 2
    api("PATCH", schema_at(source, "products"), json={"sync_type": "webhook"})
    assert generation(api, products) == 2
    api("PATCH", schema_at(source, "products"), json={"sync_type": "full_refresh"})
    assert generation(api, products) == 2


def test_the_webhook_goes_along_to_another_account(quick_api: Api, stripe: StripePlayer) -> None:
    source = made(quick_api, stripe, CUSTOMERS)
    customers = named(source, "customers")["id"]
    quick_api("PATCH", f"{at(source)}/", json={"job_inputs": {"api_key": "rk_test_1"}})
    assert ([each["id"] for each in stripe.endpoints.known], generation(quick_api, customers)) == (["we_1"], 1)
    with running() as provider:
        other = StripePlayer(provider)
        quick_api("PATCH", f"{at(source)}/", json={"job_inputs": other.inputs()})
        assert stripe.endpoints.known == []
        assert events(other) == OF_CUSTOMERS
        assert inputs_of(quick_api, source) == {"signing_secret": other.endpoints.secrets["we_1"]}
        assert generation(quick_api, customers) == 2
        assert quick_api("GET", f"{at(source)}/webhook_info/")["missing_events"] == []


def test_what_the_wizard_says(quick_api: Api, stripe: StripePlayer) -> None:
    body = {"source_type": "Stripe", **stripe.inputs()}
    tables = {each["table"]: each for each in quick_api("POST", "external_data_sources/database_schema/", json=body)}
    assert (tables["customers"]["supports_webhooks"], tables["customers"]["webhook_only"]) == (True, False)
    assert tables["coupons"]["supports_webhooks"] is False
    source = made(quick_api, stripe)
    for name, supported in (("customers", True), ("coupons", False)):
        offered = quick_api("POST", f"{schema_at(source, name)}incremental_fields/")
        assert (offered["supports_webhooks"], offered["full_refresh_available"]) == (supported, True)
    wizard = quick_api("GET", "external_data_sources/wizard/")["Stripe"]
    assert wizard["capabilities"]["webhooks"] is True
    assert [field["name"] for field in wizard["webhook_fields"]] == ["signing_secret"]


def test_what_github_sent_in_vain_is_sent_again(quick_api: Api) -> None:
    """GitHub does not do so by itself."""
    with running() as provider:
        github = GitHubPlayer(provider)
        issues = {"name": "issues", **WEBHOOK}
        body = {"source_type": "GitHub", "prefix": "", "payload": {**github.inputs(), "schemas": [issues]}}
        source = quick_api("POST", "external_data_sources/", 201, json=body)
        backend = quick_api.client.app.state.backend  # type: ignore[attr-defined]
        upkeep = WebhookUpkeep(RegisteredWebhooks(quick_api.database, backend.vault), Surroundings(OPEN))
        run = partial(ActivityEnvironment().run, upkeep.send_again)
        github.hooks.delivered(1, "a", utc_now().isoformat(), 503)
        github.hooks.delivered(2, "b", utc_now().isoformat(), 200)
        assert run(Failures()) == 1
        github.hooks.delivered(3, "a", utc_now().isoformat(), 0)
        assert run(Failures()) == 1
        github.hooks.delivered(4, "a", utc_now().isoformat(), 200)
        assert run(Failures()) == 0
        assert github.hooks.sent_again == [1, 3]
        github.hooks.delivered(5, "c", utc_now().isoformat(), 503)
        quick_api("PATCH", schema_at(source, "issues"), json={"should_sync": False})
        assert run(Failures()) == 0, "nobody wants it"
        quick_api("DELETE", f"{at(source)}/", 204)


def test_a_sender_that_cannot_be_asked(quick_api: Api) -> None:
    inputs = {"signature": "stripe", "tables": "customers, orders", "table": "object", "key": "id"}
    customers = {"name": "customers", **WEBHOOK}
    body = {"source_type": "Webhook", "prefix": "", "payload": {**inputs, "schemas": [customers]}}
    source = quick_api("POST", "external_data_sources/", 201, json=body)
    answer = quick_api("POST", f"{at(source)}/create_webhook/")
    assert (answer["success"], answer["pending_inputs"]) == (True, ["signing_secret"])
    quick_api("POST", f"{at(source)}/update_webhook_inputs/", json={"inputs": {"signing_secret": "whsec_1"}})
    info = quick_api("GET", f"{at(source)}/webhook_info/")
    assert (info["pending_inputs"], info["external_status"], info["missing_events"]) == ([], None, [])
    assert quick_api("POST", f"{at(source)}/create_webhook/")["pending_inputs"] == []
    refused = quick_api.refused("POST", f"{schema_at(source, 'customers')}resync/", None)
    assert refused["code"] == "webhook_only"
    quick_api.refused("PATCH", schema_at(source, "orders"), "sync_type", json={"sync_type": "full_refresh"})
    offered = quick_api("POST", f"{schema_at(source, 'orders')}incremental_fields/")
    assert (offered["webhook_only"], offered["full_refresh_available"]) == (True, False)
    quick_api("PATCH", schema_at(source, "customers"), json={"should_sync": False})
    quick_api("PATCH", schema_at(source, "customers"), json={"should_sync": True})
    assert generation(quick_api, named(source, "customers")["id"]) == 1, "there is nothing to be read anew"
    quick_api("DELETE", f"{at(source)}/", 204)
    assert webhook_of(quick_api, source) is None


def test_others_do_not_see_it(quick_api: Api, stripe: StripePlayer) -> None:
    source = made(quick_api, stripe, CUSTOMERS)
    other = quick_api.other_project()
    for call in ("create_webhook", "delete_webhook"):
        other("POST", f"{at(source)}/{call}/", 404)
        quick_api.with_key(READ_SCOPE)("POST", f"{at(source)}/{call}/", 403)
    other("GET", f"{at(source)}/webhook_info/", 404)
    assert events(stripe) == OF_CUSTOMERS
