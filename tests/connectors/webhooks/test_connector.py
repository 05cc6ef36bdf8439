"""The source type ``Webhook``: what its form takes, what its events are about, and the rows that become of them."""

import json
import pickle
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import ReadRequest, RowFilter
from connectors.errors import ConfigurationError
from connectors.outbound import OPEN
from connectors.receiving import ORDER, Delivery, ObjectChange, Received, Receiving, RefusedError
from connectors.registry import connector
from connectors.surroundings import Surroundings
from connectors.webhooks.connector import WebhookConnector
from connectors.webhooks.signatures import standard_id
from tests.connectors.webhooks.signing import NOW, standard_headers, stripe_header

KEY = b"a key of some bytes"
SECRETS = {"signing_secret": "whsec_YSBrZXkgb2Ygc29tZSBieXRlcw=="}
OBJECTS = {
    "tables": "customers, orders",
    "table": "data.object",
    "event_id": "id",
    "record": "data",
    "key": "id",
    "order": "at",
    "deleted": "ends_with(type, '.deleted')",
}
WEBHOOK = WebhookConnector()


def config(**inputs: Any) -> Any:
    return WEBHOOK.parse_config(inputs, Surroundings(OPEN))


def received(event: Any, **headers: str) -> Received:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return Received(standard_headers(KEY, body) | headers, body, NOW)


def receive(inputs: Mapping[str, Any], event: Any) -> Delivery:
    return WEBHOOK.receive(config(**inputs), SECRETS, received(event))


def refused(inputs: Mapping[str, Any], event: Any) -> tuple[str, str]:
    with pytest.raises(RefusedError) as caught:
        receive(inputs, event)
    assert str(caught.value).endswith(".")
    return caught.value.reason, str(caught.value)


def changes(inputs: Mapping[str, Any], event: Any, table: str = "events") -> list[ObjectChange]:
    found = config(**inputs)
    one = received(event)
    delivery = WEBHOOK.receive(found, SECRETS, one)
    return list(WEBHOOK.changes(found, table, delivery.event_type, one.body))


# The form


def test_it_is_a_source_type_that_receives_and_nothing_else() -> None:
    found = connector("Webhook")
    assert isinstance(found, Receiving)
    assert found.sync_types == ("webhook",)
    assert [field.name for field in found.webhook_fields] == ["signing_secret"]
    assert all(field.secret for field in found.webhook_fields)


def test_a_configuration_is_a_value() -> None:
    found = config(**OBJECTS)
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301
    hash(found)


@pytest.mark.parametrize(
    ("inputs", "attr"),
    [
        ({"signature": "rsa"}, "signature"),
        ({"signature": "hmac"}, "signature_header"),
        ({"signature": "hmac", "signature_header": "X Sig"}, "signature_header"),
        ({"signature": "hmac", "signature_header": "X-Sig", "algorithm": "md5"}, "algorithm"),
        ({"signature": "hmac", "signature_header": "X-Sig", "encoding": "base32"}, "encoding"),
        ({"signature": "hmac", "signature_header": "X-Sig", "signed_content": "all"}, "signed_content"),
        ({"signature": "hmac", "signature_header": "X-Sig", "signed_content": "{body}{body}"}, "signed_content"),
        ({"signature": "hmac", "signature_header": "X-Sig", "signed_content": "{timestamp}.{body}"}, "signed_content"),
        ({"signature_header": "X-Sig", "timestamp_header": "X-At", "signed_content": "{body}"}, "signed_content"),
        ({"timestamp_header": "é"}, "timestamp_header"),
        ({"tables": ","}, "tables"),
        ({"tables": "a b"}, "tables"),
        ({"tables": "a, b"}, "table"),
        ({"table": "data["}, "table"),
        ({"record": "data || object"}, "record"),
        ({"event_type": "type == 'a'"}, "event_type"),
        ({"event_id": "length(id)"}, "event_id"),
        ({"key": "customer.id"}, "key"),
        ({"key": "id, id"}, "key"),
        ({"key": "id="}, "key"),
        ({"key": "id=a ||"}, "key"),
        ({"order": "]"}, "order"),
        ({"deleted": "type =="}, "deleted"),
        ({"record": 7}, "record"),
        ({"record": "x" * 2000}, "record"),
        ({"prefix": "a\nb"}, "prefix"),
    ],
)
def test_a_form_that_cannot_be_right(inputs: dict[str, Any], attr: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config(**inputs)
    assert caught.value.attr == attr
    assert caught.value.message.endswith(".")


def test_tables_come_from_the_form_and_have_no_other_way_to_their_rows() -> None:
    (events,) = WEBHOOK.discover(config())
    assert (events.name, events.primary_key, events.webhook, events.webhook_only) == (
        "events",
        ("_event_id",),
        True,
        True,
    )
    found = WEBHOOK.discover(config(**OBJECTS | {"key": "id, shop_id=shop.id"}))
    assert [(each.name, each.primary_key) for each in found] == [
        ("customers", ("id", "shop_id")),
        ("orders", ("id", "shop_id")),
    ]
    assert WEBHOOK.discover(config(**OBJECTS), ["orders", "nothing"]) == [WEBHOOK.discover(config(**OBJECTS))[1]]
    with pytest.raises(ConfigurationError, match="cannot be read again"):
        WEBHOOK.read(config(), ReadRequest("events", "read"))


def test_the_secret_is_what_its_owner_must_bring() -> None:
    found = config()
    assert WEBHOOK.register(found, "https://here", ("*",)).pending == ("signing_secret",)
    assert WEBHOOK.register(found, "https://here", ("*",), SECRETS).pending == ()
    assert WEBHOOK.endpoint(found, "https://here") is None
    assert WEBHOOK.unregister(found, "https://here") is False
    assert WEBHOOK.event_types(found, ["events"]) == ("*",)
    assert WEBHOOK.event_types(config(event_types="a.*, b"), ["events"]) == ("a.*", "b")


# Signatures


def test_each_scheme_looks_at_its_own_header() -> None:
    body = b'{"id": 1}'
    signed = {
        "standard": standard_headers(KEY, body),
        "stripe": {"stripe-signature": stripe_header(SECRETS["signing_secret"], body)},
    }
    for scheme, headers in signed.items():
        WEBHOOK.receive(config(signature=scheme), SECRETS, Received(headers, body, NOW))
        for other in {"standard", "stripe"} - {scheme}:
            with pytest.raises(RefusedError) as caught:
                WEBHOOK.receive(config(signature=other), SECRETS, Received(headers, body, NOW))
            assert caught.value.reason == "unsigned"
    own = config(signature="stripe", signature_header="Calendly-Webhook-Signature")
    headers = {"calendly-webhook-signature": signed["stripe"]["stripe-signature"]}
    assert WEBHOOK.receive(own, SECRETS, Received(headers, body, NOW)).tables == ("events",)


def test_an_unsigned_body_is_never_looked_at() -> None:
    with pytest.raises(RefusedError) as caught:
        WEBHOOK.receive(config(), SECRETS, received(b"\xff{", **{"webhook-signature": "v1,AAAA"}))
    assert caught.value.reason == "wrong_signature"


# What events are about


def test_an_event_is_a_row_where_objects_have_no_key() -> None:
    event = {"type": "ping", "n": 1}
    (change,) = changes({}, event)
    assert (change.record["n"], change.record["_event_type"], change.order, change.deleted) == (
        "1",
        "ping",
        None,
        False,
    )
    assert changes({}, event) == [change], "a double is the same row"
    assert changes({}, event | {"n": 2})[0].record["_event_id"] != change.record["_event_id"]
    (named,) = changes({"event_id": "n"}, event)
    assert named.record["_event_id"] == "1"
    assert receive({}, {"n": 1}).event_type == "event"


def test_events_of_the_same_bytes_are_told_apart_by_the_ids_beside_them() -> None:
    body = b'{"type": "ping"}'
    first, second, again = (
        WEBHOOK.changes(config(), WEBHOOK.discover(config())[0].name, "ping", body, id) for id in ("a", "b", "a")
    )
    assert [each[0].record["_event_id"] for each in (first, second, again)] == ["a", "b", "a"]
    signed = {"webhook-id": "msg_1", "webhook-timestamp": str(int(NOW)), "webhook-signature": "v1,AAAA"}
    assert standard_id(Received(signed, body, NOW)) == "msg_1"


def test_objects_with_key_order_and_deletions() -> None:
    event = {"id": "e1", "type": "customer.updated", "at": "2026-01-31T12:00:00.000001Z"}
    data = {"object": "customers", "id": 7, "price": 1.10, "tags": ["a"]}
    delivery = receive(OBJECTS, event | {"data": data})
    assert delivery == Delivery("customer.updated", ("customers",), "e1")
    (change,) = changes(OBJECTS, event | {"data": data}, "customers")
    assert json.dumps(change.record) == json.dumps({"object": "customers", "id": "7", "price": "1.1", "tags": ["a"]})
    moment = datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)
    assert change.order == int(moment.timestamp()) * 1_000_000 + 1
    assert changes(OBJECTS, event | {"data": data}, "orders") == []
    (gone,) = changes(OBJECTS, event | {"type": "customer.deleted", "data": data}, "customers")
    assert gone.deleted


@pytest.mark.parametrize(
    ("value", "order"),
    [
        (1, 1),
        (-5, -5),
        (1.9, 1),
        (-1.1, -2),
        ("12", 12),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (1e300, None),
        ("x" * 50, None),
        (None, None),
        (True, None),
        ([1], None),
        ("NaN", None),
        ("Infinity", None),
        ("1970-01-01T00:00:01", 1_000_000),
        ("1970-01-01T01:00:01+01:00", 1_000_000),
        ("1970-01-01T00:00:00.123456789Z", 123_456),
        ("tomorrow", None),
    ],
)
def test_orders(value: Any, order: int | None) -> None:
    (change,) = changes({"order": "at", "key": "id"}, {"id": 1, "at": value})
    assert change.order == order


@pytest.mark.parametrize(
    ("value", "deleted"),
    [(True, True), (False, False), (None, False), (0, False), (0.0, False), (1, True), ("", False), ("false", False)],
)
def test_marks_of_deletion(value: Any, deleted: bool) -> None:
    (change,) = changes({"deleted": "gone", "key": "id"}, {"id": 1, "gone": value})
    assert change.deleted is deleted


def test_a_key_of_several_and_of_deeper_places() -> None:
    (change,) = changes({"key": "id, shop_id=shop.id"}, {"id": "a", "shop": {"id": 5}})
    assert change.record == {"id": "a", "shop": {"id": "5"}, "shop_id": "5"}


def test_an_event_of_several_objects() -> None:
    found = changes({"record": "items", "key": "id"}, {"items": [{"id": 1}, {"id": 2}]})
    assert [each.record for each in found] == [{"id": "1"}, {"id": "2"}]
    assert changes({"record": "items", "key": "id"}, {"items": []}) == []


def test_of_what_is_not_wanted_nothing_is_made() -> None:
    assert receive(OBJECTS, {"type": "x", "data": {"object": "invoices"}}).tables == ()
    assert receive({"event_types": "a.*,b"}, {"type": "c"}).tables == ()
    for kind in ("a.x", "a.", "b"):
        assert receive({"event_types": "a.*,b"}, {"type": kind}).tables == ("events",)


@pytest.mark.parametrize(
    ("inputs", "body", "says"),
    [
        ({}, b"", "no JSON"),
        ({}, b"\xff", "utf-8"),
        ({}, b'{"a": "\\ud800"}', "half of a character"),
        ({}, b"{" * 100_000, "no JSON"),
        ({}, b"[1]", "no object as its body"),
        ({"record": "data"}, b'{"data": 1}', "no object at data"),
        ({"record": "data", "key": "id"}, b'{"data": [{"id": 1}, 2]}', "no object at data"),
        ({"key": "id"}, b'{"id": null}', "no id that could be its key"),
        ({"key": "id"}, b'{"id": {}}', "no id that could be its key"),
        ({"event_id": "id"}, b'{"x": 1}', "no id at id"),
        ({"deleted": "contains(type, 'x')"}, b'{"x": 1}', "does not fit"),
    ],
)
def test_what_could_not_be_told_later_is_refused_at_once(inputs: dict[str, str], body: bytes, says: str) -> None:
    reason, message = refused(inputs, body)
    assert reason == "malformed_body"
    assert says in message
    assert WEBHOOK.changes(config(**inputs), "events", "event", body) == (), "told of under another configuration"


# Rows


def rows(inputs: Mapping[str, Any], records: list[dict[str, Any]], **request: Any) -> pa.Table:
    given = [change for number, each in enumerate(records) for change in _ordered(inputs, each, number)]
    asked = ReadRequest("events", "rows", **request)
    with WEBHOOK.rows(config(**inputs), asked, given) as opened:
        return pa.Table.from_batches(list(opened.batches()), opened.schema)


def _ordered(inputs: Mapping[str, Any], event: dict[str, Any], number: int) -> list[ObjectChange]:
    return [ObjectChange(each.record, number) for each in changes(inputs, event)]


RECORDS = [
    {"id": 1, "price": 1.10, "at": "2026-01-31T12:00:00Z", "mixed": 1, "tags": ["a", 1.50], "ok": True, "empty": None},
    {"id": 2, "price": 12, "mixed": "x", "more": "text", "tags": None},
]


def test_rows_have_the_types_of_their_values() -> None:
    found = rows({"key": "id"}, RECORDS, ordered=True)
    assert found.to_pylist() == [
        {
            "id": 1,
            "price": Decimal("1.1"),
            "at": datetime(2026, 1, 31, 12, tzinfo=UTC),
            "mixed": "1",
            "tags": '["a",1.5]',
            "ok": True,
            "more": None,
            ORDER: 0,
        },
        {"id": 2, "price": 12, "at": None, "mixed": "x", "tags": None, "ok": None, "more": "text", ORDER: 1},
    ]
    assert found.schema.names[-1] == ORDER
    assert found.schema.field("id").type == found.schema.field(ORDER).type == pa.int64()


def test_rows_as_the_request_wants_them() -> None:
    found = rows(
        {"key": "id"},
        RECORDS,
        columns=("id", "price", "mixed"),
        type_overrides={"price": "string"},
        text_columns=("id",),
        row_filters=(RowFilter("mixed", "=", "x"),),
    )
    assert found.to_pylist() == [{"id": "2", "price": "12", "mixed": "x"}]
    absent = {"row_filters": (RowFilter("nothing", "is_null"), RowFilter("id", "=", 1))}
    assert rows({"key": "id"}, RECORDS, **absent).column("id").to_pylist() == [1]
    assert rows({"key": "id"}, RECORDS, row_filters=(RowFilter("nothing", "=", 1),)).num_rows == 0


def test_rows_that_are_events() -> None:
    found = rows({}, [{"type": "a", "n": 1}, {"type": "b", "n": 2}, {"type": "a", "n": 1}])
    assert found.column("_event_type").to_pylist() == ["b", "a"]
    assert len(set(found.column("_event_id").to_pylist())) == 2
