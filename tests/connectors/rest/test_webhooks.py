"""What Stripe and GitHub send: told apart, made into objects, and compared with what their APIs give."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.base import ReadRequest
from connectors.errors import AccessError, ConfigurationError, SourceError
from connectors.inference.texts import Literal
from connectors.outbound import OPEN
from connectors.receiving import ObjectChange, Received, Receiving, RefusedError, Resending
from connectors.registry import all_connectors, connector
from connectors.rest import client
from connectors.rest.config import RestConfig
from connectors.rest.declaration import parse_declaration
from connectors.rest.pace import Pace
from connectors.rest.webhooks import ReceivingConnector
from connectors.surroundings import Surroundings
from tests.providers import telling
from tests.providers.github import OWNER, GitHubPlayer
from tests.providers.player import Player
from tests.providers.sender import Event
from tests.providers.server import running
from tests.providers.stripe import StripePlayer

SECRET = "whsec_test"
NOW = 1_790_000_000.0
INPUTS = {"signing_secret": SECRET}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(Pace, "wait", lambda *_, **__: None)


@pytest.fixture
def stripe() -> Iterator[StripePlayer]:
    with running() as provider:
        provider.clock = lambda: NOW
        yield StripePlayer(provider)


@pytest.fixture
def github() -> Iterator[GitHubPlayer]:
    with running() as provider:
        provider.clock = lambda: NOW
        yield GitHubPlayer(provider)


def of(player: Player, **changes: str) -> tuple[ReceivingConnector, RestConfig]:
    found = connector(player.source_type)
    assert isinstance(found, ReceivingConnector)
    return found, found.parse_config({**player.inputs(), **changes}, Surroundings(OPEN))


def received(event: Event, at: float = NOW) -> Received:
    return Received({name.lower(): value for name, value in event.headers(at).items()}, event.body, at)


def changes(player: Player, table: str, event: Event) -> list[ObjectChange]:
    """Of an event as it is received."""
    found, config = of(player)
    delivery = found.receive(config, INPUTS, received(event))
    assert table in delivery.tables
    return list(found.changes(config, table, delivery.event_type, event.body))


def stripe_event(event_type: str, found: dict[str, Any], at: float = NOW) -> Event:
    return telling.stripe_event(SECRET, "evt_7", event_type, found, at)


def github_event(name: str, action: str, **told: Any) -> Event:
    repository = {"id": 7, "name": "full"}
    return telling.github_event(SECRET, name, {"action": action, "repository": repository, **told})


def test_who_receives() -> None:
    assert {each.source_type for each in all_connectors() if isinstance(each, Receiving)} >= {"Stripe", "GitHub"}
    for each in all_connectors():
        assert ("webhook" in each.sync_types) == isinstance(each, Receiving)


def test_tables_say_whether_there_are_events(stripe: StripePlayer) -> None:
    found, config = of(stripe)
    tables = {each.name: each.webhook for each in found.discover(config)}
    assert tables["customers"]
    assert tables["events"]
    assert not tables["balance_transactions"]
    assert not tables["invoice_items"]
    assert not tables["coupons"]


def test_what_an_event_of_stripe_is_about(stripe: StripePlayer) -> None:
    found, config = of(stripe)
    delivery = found.receive(config, INPUTS, received(stripe_event("price.updated", {"id": "price_1"})))
    assert (delivery.event_type, delivery.event_id) == ("price.updated", "evt_7")
    assert set(delivery.tables) == {"prices", "inactive_prices", "events"}
    unknown = found.receive(config, INPUTS, received(stripe_event("radar.early_fraud_warning.created", {"id": "i"})))
    assert unknown.tables == ("events",)


def test_what_an_event_of_github_is_about(github: GitHubPlayer) -> None:
    found, config = of(github)
    ping = telling.github_event(SECRET, "ping", {"zen": "Design for failure.", "hook_id": 1})
    assert found.receive(config, INPUTS, received(ping)).tables == ()
    opened = found.receive(config, INPUTS, received(github_event("issues", "opened", issue={"id": 1})))
    assert (opened.event_type, set(opened.tables)) == ("issues.opened", {"issues", "milestones"})
    assert opened.event_id is not None


@pytest.mark.parametrize("inputs", [{}, {"signing_secret": ""}, {"signing_secret": "whsec_other"}])
def test_what_is_not_signed_by_the_secret_is_refused(stripe: StripePlayer, inputs: dict[str, str]) -> None:
    found, config = of(stripe)
    with pytest.raises(RefusedError) as caught:
        found.receive(config, inputs, received(stripe_event("customer.created", {"id": "cus_1"})))
    assert caught.value.reason == "wrong_signature"


@pytest.mark.parametrize("body", [b"[1]", b"{", b'{"id": "evt_1"}', b'{"type": 7}', b'{"type": "a", "b": "\\ud800"}'])
def test_a_signed_body_that_is_no_event(stripe: StripePlayer, body: bytes) -> None:
    found, config = of(stripe)
    headers = {name.lower(): value for name, value in telling.stripe_headers(SECRET, body, NOW).items()}
    with pytest.raises(RefusedError) as caught:
        found.receive(config, INPUTS, Received(headers, body, NOW))
    assert caught.value.reason == "malformed_body"


def test_numbers_of_an_event_keep_their_digits(stripe: StripePlayer) -> None:
    body = b'{"id":"evt_1","type":"customer.updated","created":1790000000,"data":{"object":{"id":"cus_1","b":1.10}}}'
    found, config = of(stripe)
    [change] = found.changes(config, "customers", "customer.updated", body)
    assert change.record == {"id": "cus_1", "b": "1.10"}
    assert isinstance(change.record["b"], Literal)
    assert change.order == 1_790_000_000_000_000


def test_what_stripe_deletes(stripe: StripePlayer) -> None:
    [gone] = changes(stripe, "customers", stripe_event("customer.deleted", {"id": "cus_1"}))
    assert gone.deleted
    [canceled] = changes(stripe, "subscriptions", stripe_event("customer.subscription.deleted", {"id": "sub_1"}))
    assert not canceled.deleted
    inactive = stripe_event("price.updated", {"id": "price_1", "active": False})
    assert [each.deleted for each in changes(stripe, "prices", inactive)] == [True]
    assert [each.deleted for each in changes(stripe, "inactive_prices", inactive)] == [False]


def test_a_dispute_changes_its_charge(stripe: StripePlayer) -> None:
    event = stripe_event("charge.dispute.created", {"id": "dp_1", "charge": "ch_1"})
    assert [each.record["id"] for each in changes(stripe, "disputes", event)] == ["dp_1"]
    [asked] = changes(stripe, "charges", event)
    assert (asked.record, asked.whole) == ({"id": "ch_1"}, False)
    stripe.put("charges", 1, 5)
    found, config = of(stripe)
    [now] = found.current(config, "charges", [asked.record])
    assert now is not None
    assert now.whole
    assert now.record["amount"] == "100"


def test_an_event_without_the_object_says_nothing(stripe: StripePlayer) -> None:
    assert changes(stripe, "invoices", stripe_event("invoice.updated", {"object": "invoice"})) == []
    found, config = of(stripe)
    assert found.changes(config, "invoices", "invoice.updated", b"no json") == []
    assert found.changes(config, "unheard_of", "invoice.updated", b"{}") == []


def test_rows_of_github_have_their_repository(github: GitHubPlayer) -> None:
    comment = {"id": 5, "body": "a", "updated_at": "2026-02-03T04:05:06Z"}
    event = github_event("issue_comment", "edited", issue={"id": 1, "number": 3}, comment=comment)
    [change] = changes(github, "issue_comments", event)
    assert change.record == {**change.record, "id": "5", "repository_id": "7", "repository_name": "full"}
    assert change.order == 1_770_091_506_000_000


@pytest.mark.parametrize(("name", "action"), [("issues", "edited"), ("issue_comment", "deleted")])
def test_issues_are_asked_for(github: GitHubPlayer, name: str, action: str) -> None:
    event = github_event(name, action, issue={"id": 1, "number": 3}, comment={"id": 5})
    [asked] = changes(github, "issues", event)
    assert asked.record == {"id": "1", "number": "3", "repository_id": "7", "repository_name": "full"}
    assert (asked.whole, asked.deleted) == (False, False)


@pytest.mark.parametrize("action", ["deleted", "transferred"])
def test_issues_that_go(github: GitHubPlayer, action: str) -> None:
    """GitHub does not say when that was: the issue is asked for, and not found."""
    [asked] = changes(github, "issues", github_event("issues", action, issue={"id": 1, "number": 3}))
    assert (asked.deleted, asked.whole) == (True, False)
    github.put("issues", 7, 7)
    found, config = of(github)
    [now] = found.current(config, "issues", [asked.record])
    assert now is not None
    assert (now.deleted, now.record["id"]) == (True, "1")


def test_other_tables_that_an_event_of_github_is_about(github: GitHubPlayer) -> None:
    milestone = {"id": 9, "number": 2, "open_issues": 4, "updated_at": "2026-02-03T04:05:06Z"}
    event = github_event("issues", "closed", issue={"id": 1, "milestone": milestone})
    [asked] = changes(github, "milestones", event)
    assert asked.record == {"id": "9", "number": "2", "repository_id": "7", "repository_name": "full"}
    assert not asked.whole
    taken = github_event("issues", "demilestoned", issue={"id": 1, "milestone": None}, milestone=milestone)
    assert [each.record["id"] for each in changes(github, "milestones", taken)] == ["9"]
    pull = {"id": 11, "number": 3, "title": "p", "merged": False, "commits": 2, "milestone": None}
    request = github_event("pull_request", "opened", pull_request=pull)
    [change] = changes(github, "pull_requests", request)
    assert set(change.record) == {"id", "number", "title", "milestone", "repository_id", "repository_name"}
    [asked] = changes(github, "issues", request)
    assert asked.record == {"number": "3", "repository_id": "7", "repository_name": "full"}
    assert not asked.whole


def test_objects_as_they_are_now(stripe: StripePlayer) -> None:
    there, gone = stripe.put("customers", 1, 5), stripe.put("customers", 2, 6)
    stripe.delete("customers", gone, 7)
    stripe.put("prices", 1, 5)
    stripe.change("prices", stripe.objects["prices"][0], 6)
    stripe.objects["prices"][0]["active"] = False
    found, config = of(stripe)
    now, deleted, unknown = found.current(config, "customers", [{"id": each} for each in ("cus_1", "cus_2", "cus_3")])
    assert now is not None
    assert deleted is not None
    assert unknown is not None
    assert json.loads(json.dumps(now.record["metadata"])) == there["metadata"]
    assert [each.deleted for each in (now, deleted, unknown)] == [False, True, True]
    for each in (now, deleted, unknown):
        assert each.order is not None
        assert NOW - 4 <= each.order / 1_000_000 <= NOW - 2
    [price] = found.current(config, "prices", [{"id": "price_1"}])
    assert price is not None
    assert price.deleted


def test_issues_as_they_are_now(github: GitHubPlayer) -> None:
    github.put("issues", 1, 5)
    found, config = of(github)
    known = {"repository_id": "10001", "repository_name": "full"}
    asked = [{"number": "1", **known}, {"number": "2", "id": "2", **known}, {"number": "3", **known}, {"number": "4"}]
    now, deleted, unknown, nowhere = found.current(config, "issues", asked)
    assert now is not None
    assert now.record["id"] == "1"
    assert now.record["repository_name"] == "full"
    assert deleted is not None
    assert deleted.deleted
    assert unknown is None, "without its key nobody knows which row it would be"
    assert nowhere is None, "it cannot be asked for"
    [other] = found.current(config, "issues", [{"number": "1", "id": "99", **known}])
    assert other is not None
    assert other.deleted, "what the number leads to is another issue"
    [label] = found.current(config, "labels", [{"id": "1", "name": "a", **known}])
    assert label is None


TABLES = [("Stripe", each) for each in telling.STRIPE_TYPES] + [("GitHub", each) for each in telling.GITHUB_EVENTS]


@pytest.mark.parametrize(("source_type", "table"), TABLES)
def test_a_row_of_an_event_is_that_of_a_read(
    source_type: str, table: str, stripe: StripePlayer, github: GitHubPlayer
) -> None:
    player: Player = stripe if source_type == "Stripe" else github
    teller = telling.stripe(stripe, SECRET) if source_type == "Stripe" else telling.github(github, SECRET)
    created = teller.create(table, 1)
    changed = teller.change(table, player.key(table, player.objects[table][0]))
    found, config = of(player)
    with found.read(config, ReadRequest(table, "test-read")) as read:
        [expected] = [row for batch in read.batches() for row in batch.to_pylist()]
        kinds = read.schema
    for event in (created, changed):
        told = changes(player, table, event)
        whole = [each if each.whole else next(found.current(config, table, [each.record])) for each in told]
    [change] = [each for each in whole if each is not None]
    with found.rows(config, ReadRequest(table, "test-read"), [change]) as rows:
        [row] = [row for batch in rows.batches() for row in batch.to_pylist()]
        left_out = {name for name in kinds.names if name not in rows.schema.names}
        assert {rows.schema.field(name) for name in rows.schema.names} == {
            field for field in kinds if field.name not in left_out
        }
    assert all(expected[name] is None for name in left_out), "the table knows the type of a column without a value"
    assert row == {name: value for name, value in expected.items() if name not in left_out}


def test_an_event_is_a_row_itself(stripe: StripePlayer) -> None:
    [change] = changes(stripe, "events", stripe_event("customer.created", {"id": "cus_1"}))
    assert change.record["id"] == "evt_7"
    assert change.record["type"] == "customer.created"


def test_events_that_tables_need(stripe: StripePlayer, github: GitHubPlayer) -> None:
    found, config = of(stripe)
    assert found.event_types(config, ["products"]) == ("product.created", "product.deleted", "product.updated")
    assert "charge.dispute.created" in found.event_types(config, ["charges"])
    assert found.event_types(config, ["events", "products"]) == ("*",)
    assert found.event_types(config, ["balance_transactions"]) == ()
    found, config = of(github)
    assert found.event_types(config, ["issue_comments", "milestones"]) == (
        "issue_comment",
        "issues",
        "milestone",
        "pull_request",
    )


URL = "https://syncline.example.com/public/webhooks/dwh/1"


def test_an_endpoint_of_stripe(stripe: StripePlayer) -> None:
    found, config = of(stripe)
    assert found.endpoint(config, URL) is None
    assert found.register(config, URL, ()).inputs == {}, "without events there is nothing to be made"
    registered = found.register(config, URL, ["customer.created"])
    assert registered.inputs == {"signing_secret": stripe.endpoints.secrets["we_1"]}
    assert not registered.pending
    [made] = stripe.endpoints.known
    assert made["api_version"] == "2025-09-30.clover"
    assert made["enabled_events"] == ["customer.created"]
    again = found.register(config, URL, ["customer.created", "customer.deleted"], registered.inputs)
    assert again.inputs == {}
    assert made["enabled_events"] == ["customer.created", "customer.deleted"]
    made.update(enabled_events=["balance.available"], status="disabled")
    found.register(config, URL, ["customer.created"], registered.inputs)
    assert made["enabled_events"] == ["balance.available", "customer.created"], "the owner's own stays"
    made["enabled_events"] = ["*"]
    found.register(config, URL, ["customer.created"], registered.inputs)
    endpoint = found.endpoint(config, URL)
    assert endpoint is not None
    assert (endpoint.event_types, endpoint.status, endpoint.description) == (("*",), "enabled", "Syncline")
    assert endpoint.created_at == "2026-09-21T14:13:20+00:00"
    found.register(config, URL, ["product.created"])
    assert [each["id"] for each in stripe.endpoints.known] == ["we_2"], "its secret was not known: made anew"
    assert found.unregister(config, URL)
    assert not found.unregister(config, URL)
    assert stripe.endpoints.known == []


def test_an_endpoint_for_every_event(stripe: StripePlayer) -> None:
    found, config = of(stripe)
    known = found.register(config, URL, ["customer.created"]).inputs
    found.register(config, URL, ["*"], known)
    assert stripe.endpoints.known[0]["enabled_events"] == ["*"]


def test_stripe_has_so_many_endpoints_and_no_more(stripe: StripePlayer) -> None:
    found, config = of(stripe)
    for number in range(16):
        found.register(config, f"{URL}{number}", ["customer.created"])
    with pytest.raises(SourceError, match="maximum of 16") as caught:
        found.register(config, URL, ["customer.created"])
    assert not caught.value.retryable


@pytest.mark.parametrize("url", [URL, f"{URL}0"])
def test_keys_that_may_not_manage_webhooks(stripe: StripePlayer, github: GitHubPlayer, url: str) -> None:
    stripe.endpoints.may_manage = github.hooks.may_manage = False
    for player, need in ((stripe, "Webhook Endpoints: write"), (github, "Webhooks: read and write")):
        found, config = of(player)
        for call in (found.register, found.endpoint, found.unregister):
            with pytest.raises(AccessError, match=need):
                call(*((config, url, ["issues"]) if call == found.register else (config, url)))


def test_a_hook_of_an_organisation(github: GitHubPlayer) -> None:
    found, config = of(github)
    registered = found.register(config, URL, ["issues"])
    [hook] = github.hooks.known[f"/orgs/{OWNER}"]
    secret = registered.inputs["signing_secret"]
    assert github.hooks.secrets[hook["id"]] == secret
    assert len(secret) == 64
    assert hook["config"] == {"url": URL, "content_type": "json", "secret": secret, "insecure_ssl": "0"}
    hook.update(events=["push"], active=False)
    assert found.register(config, URL, ["issues", "label"], registered.inputs).inputs == {}
    assert hook["events"] == ["push", "issues", "label"]
    assert hook["active"] is True
    assert github.hooks.secrets[hook["id"]] == secret, "what is under way is signed by it"
    anew = found.register(config, URL, ["issues"]).inputs["signing_secret"]
    assert github.hooks.secrets[hook["id"]] == anew != secret
    endpoint = found.endpoint(config, URL)
    assert endpoint is not None
    assert endpoint.event_types == ("push", "issues", "label")
    assert endpoint.status == "active"
    assert found.unregister(config, URL)
    assert found.endpoint(config, URL) is None


def test_hooks_of_each_repository_of_a_user(github: GitHubPlayer) -> None:
    for name in ("one", "two", "old"):
        github.add_repository(name)
    github.objects["repositories"][-1]["archived"] = True
    found, config = of(github, account_type="users")
    known = found.register(config, URL, ["issues"]).inputs
    assert set(github.hooks.secrets.values()) == {known["signing_secret"]}
    assert [len(hooks) for hooks in github.hooks.known.values()] == [1, 1]
    github.add_repository("new")
    endpoint = found.endpoint(config, URL)
    assert endpoint is not None
    assert (endpoint.event_types, endpoint.status) == ((), "missing in 1 repositories")
    found.register(config, URL, ["issues"], known)
    assert list(github.hooks.secrets.values()) == [known["signing_secret"]] * 3
    assert found.unregister(config, URL)
    assert found.endpoint(config, URL) is None


def test_what_github_sends_again(github: GitHubPlayer) -> None:
    found, config = of(github)
    found.register(config, URL, ["issues"])
    outcomes = {"acked": [200], "later": [503, 200], "twice": [503, 0], "refused": [400], "busy": [429], "away": [0]}
    attempts = [(guid, code) for guid, codes in outcomes.items() for code in codes]
    github.hooks.delivered(1, "old", "2026-09-20T00:00:00Z", 0)
    for id, (guid, code) in enumerate(attempts, start=2):
        github.hooks.delivered(id, guid, "2026-09-21T14:00:00Z", code)
    assert isinstance(found, Resending)
    since = datetime(2026, 9, 21, tzinfo=UTC).timestamp()
    assert found.send_again(config, URL, since) == 3
    assert [attempts[id - 2][0] for id in github.hooks.sent_again] == ["twice", "busy", "away"]
    github.hooks.deliveries.clear()
    for id in range(1000):
        github.hooks.delivered(id, str(id), "2026-09-21T14:00:00Z", 503)
    github.hooks.sent_again.clear()
    assert found.send_again(config, URL, since) == 300
    assert github.hooks.sent_again == list(range(300)), "the oldest first"
    assert found.send_again(config, f"{URL}0", since) == 0


def test_stripe_sends_again_by_itself(stripe: StripePlayer) -> None:
    found, config = of(stripe)
    assert found.send_again(config, URL, 0.0) == 0
    assert stripe.provider.asked == []


def declared(**changes: Any) -> dict[str, Any]:
    webhooks = {
        "provider": "stripe",
        "scope": "s",
        "type": "type",
        "order": "created",
        "tables": {"books": {"upserts": ["book.created"]}},
    }
    resource = {"name": "books", "path": "books", "primary_key": ["id"]}
    return {"base_url": "{base_url}", "resources": [resource], "webhooks": {**webhooks, **changes}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"provider": "paypal"}, "webhooks.provider: must be 'stripe' or 'github'"),
        ({"type_header": "x"}, "webhooks: must have one of type and type_header"),
        ({"record_order": "x"}, "webhooks: must have one of order and record_order"),
        ({"tables": {}}, "webhooks.tables: must have at least one entry"),
        ({"tables": {"films": {"upserts": ["a"]}}}, "webhooks.tables.films: there is no resource films"),
        ({"tables": {"books": {"upserts": ["a"], "deletes": ["a"]}}}, "a is in upserts and in deletes"),
        ({"tables": {"books": {"upserts": ["a"], "asks": [{"types": ["b"], "record": {"id": "x"}}]}}}, "needs path"),
        ({"tables": {"books": {"deletes": ["a"]}}}, "must have upserts or asks"),
        ({"tables": {"books": {"upserts": ["a"], "where": "!"}}}, "must be a JMESPath expression"),
    ],
)
def test_what_is_wrong_with_a_declaration(changes: dict[str, Any], said: str) -> None:
    parse_declaration(declared(), ["base_url"], attr=None)
    with pytest.raises(ConfigurationError) as caught:
        parse_declaration(declared(**changes), ["base_url"], attr=None)
    assert said.replace("'", "") in caught.value.message.replace("'", "")


def test_a_users_declaration_has_no_webhooks() -> None:
    given = {"base_url": "https://api.example.com", "declaration": json.dumps(declared() | {"base_url": "{base_url}"})}
    with pytest.raises(ConfigurationError, match="webhooks"):
        connector("RestApi").parse_config(given, Surroundings(OPEN))
