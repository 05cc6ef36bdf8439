"""Events of a sender, good and bad: what is answered, and that the inbox has just those that were acknowledged."""

import hashlib
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from api.ingress import body as ingress_body
from api.ingress import endpoints
from lake.inbox import InboxEvent
from metadata.models import Schema, Source, Webhook, utc_now
from metadata.webhooks import ENDPOINT_SECONDS
from tests.api.ingress.conftest import Served
from tests.kit.hooks import Hook, events_of
from tests.kit.platform import eventually

MIB = 2**20
NOBODY = "f1c76674-7d25-4a35-bedf-07d4ab58112c"


def event(number: int, table: str = "customers", **more: Any) -> bytes:
    return json.dumps({"type": f"{table}.updated", "object": table, "id": number, "name": "Zoë", **more}).encode()


def padded(size: int) -> bytes:
    """An event of exactly so many bytes."""
    return event(1, pad="x" * (size - len(event(1, pad=""))))


# What is acknowledged


def test_an_event_is_in_the_inbox_of_its_table(served: Served) -> None:
    hook = served.hook()
    begun = time.time()
    answer = served.send(hook, event(1))
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert served.send(hook, event(2, "orders")).status_code == 200
    (found,) = events_of(served.store, hook.schemas["customers"])
    assert found == InboxEvent("customers.updated", event(1), found.received_at, hashlib.sha256(event(1)).hexdigest())
    assert begun <= found.received_at <= time.time()
    assert served.bodies(hook, "orders") == [event(2, "orders")]


def test_a_double_is_acknowledged_as_often_as_it_comes(served: Served) -> None:
    hook = served.hook()
    headers = hook.headers(event(1))
    for _ in range(2):
        assert served.client.post(hook.path, content=event(1), headers=headers).status_code == 200
    assert served.bodies(hook, "customers") == [event(1)] * 2


def test_a_path_may_end_with_a_slash(served: Served) -> None:
    hook = served.hook()
    answer = served.client.post(hook.path + "/", content=event(1), headers=hook.headers(event(1)))
    assert answer.status_code == 200


@pytest.mark.parametrize("size", [2**16, 2**16 + 1, 2 * MIB])
@pytest.mark.parametrize("chunked", [False, True])
def test_large_events(served: Served, size: int, chunked: bool) -> None:
    hook, body = served.hook(), padded(size)
    content = iter([body[:1000], body[1000:]]) if chunked else body
    assert served.client.post(hook.path, content=content, headers=hook.headers(body)).status_code == 200
    assert served.bodies(hook, "customers") == [body]


def test_what_no_table_wants_is_acknowledged_and_counted(served: Served) -> None:
    hook, before = served.hook(orders=False), served.count("ignored")
    assert served.send(hook, event(1, "orders")).status_code == 200
    assert served.send(hook, event(1, "invoices")).status_code == 200
    assert served.bodies(hook, "orders") == []
    assert served.count("ignored") == before + 2


# What is refused


def refused(served: Served, hook: Hook, body: bytes, status: int, outcome: str, **headers: str) -> dict[str, Any]:
    """Counted, and nowhere in the inbox."""
    before = served.count(outcome)
    answer = served.send(hook, body, **headers)
    assert answer.status_code == status, answer.text
    assert served.count(outcome) == before + 1
    assert served.bodies(hook, "customers") == []
    error: dict[str, Any] = answer.json()
    assert set(error) == {"type", "code", "detail", "attr"}
    assert error["detail"].endswith(".")
    return error


def test_what_is_not_signed_or_not_so(served: Served) -> None:
    hook, other = served.hook(), served.hook()
    body = event(1)
    signed = hook.headers(body)["Stripe-Signature"]
    for outcome, header, sent in (
        ("unsigned", "", body),
        ("malformed_signature", "signed", body),
        ("wrong_signature", other.headers(body)["Stripe-Signature"], body),
        ("wrong_signature", signed, body[:-1]),
        ("wrong_signature", signed, body + b" "),
        ("wrong_signature", signed, event(2)),
        ("wrong_signature", signed, b"\xff not utf-8, and no JSON"),
        ("too_old", hook.headers(body, time.time() - 301)["Stripe-Signature"], body),
        ("too_old", hook.headers(body, time.time() + 310)["Stripe-Signature"], body),
    ):
        error = refused(served, hook, sent, 400, outcome, stripe_signature=header)
        assert (error["type"], error["code"]) == ("validation_error", outcome)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe{}", event(1)[:-1], event(1).replace(b"id", b"no")])
def test_signed_nonsense(served: Served, body: bytes) -> None:
    hook = served.hook()
    error = refused(served, hook, body, 400, "malformed_body")
    assert error["code"] == "malformed_body"


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": ""},
        {"content_type": "text/plain"},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": "application/json; charset=utf-16"},
        {"content_type": "application/json-seq"},
        {"content_encoding": "gzip"},
    ],
)
def test_what_is_no_json(served: Served, headers: dict[str, str]) -> None:
    refused(served, served.hook(), event(1), 415, "wrong_type", **headers)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/cloudevents+json",
    ],
)
def test_what_is_json(served: Served, content_type: str) -> None:
    assert served.send(served.hook(), event(1), content_type=content_type).status_code == 200


def test_too_large(served: Served) -> None:
    hook, body = served.hook(), padded(2 * MIB + 1)
    refused(served, hook, body, 413, "too_large")
    before = served.count("too_large")
    answer = served.client.post(hook.path, content=pieces(40), headers=hook.headers(body))
    assert answer.status_code == 413
    assert served.count("too_large") == before + 1
    assert served.send(hook, event(1)).status_code == 200


def pieces(mebibytes: int) -> Iterator[bytes]:
    for _ in range(mebibytes):
        yield b"x" * MIB


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_posts(served: Served, method: str) -> None:
    before = served.count("wrong_method")
    answer = served.client.request(method, served.hook().path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert served.count("wrong_method") == before + 1


@pytest.mark.parametrize("id", ["", "x", "%00", "../../healthz", NOBODY, NOBODY.replace("-", ""), f"{NOBODY}/x"])
def test_ids_that_nobody_has(served: Served, id: str) -> None:
    before = served.count("unknown")
    for _ in range(2):
        answer = served.client.post(f"/public/webhooks/dwh/{id}", content=event(1))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert served.count("unknown") == before + (0 if "healthz" in id else 2)


def test_the_app_s_own_paths_are_as_they_were(served: Served) -> None:
    assert served.client.get("/healthz").status_code == 200
    assert served.client.post("/public/webhooks/").status_code == 404


# Senders that are slow, or leave


def raw(served: Served, hook: Hook, body: bytes, sent: bytes) -> socket.socket:
    """A request whose body has begun."""
    head = [f"POST {hook.path} HTTP/1.1", "Host: here", f"Content-Length: {len(body)}"]
    lines = [*head, *(f"{name}: {value}" for name, value in hook.headers(body).items()), "", ""]
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=20)
    connection.sendall("\r\n".join(lines).encode() + sent)
    return connection


def test_a_body_that_does_not_come(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingress_body, "BODY_SECONDS", 0.3)
    hook, before = served.hook(), served.count("too_slow")
    with raw(served, hook, event(1), event(1)[:5]) as connection:
        answer = connection.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in answer
    assert served.count("too_slow") == before + 1
    assert served.send(hook, event(1)).status_code == 200


def test_a_sender_that_leaves_is_no_error(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    hook, before = served.hook(), served.count("gone")
    raw(served, hook, event(1), event(1)[:5]).close()
    eventually(lambda: served.count("gone") == before + 1, "the end of the request", 10)
    with caplog.at_level(logging.WARNING):
        raw(served, hook, event(2), event(2)).close()
        eventually(lambda: served.bodies(hook, "customers") == [event(2)], "the event of who did not wait", 10)
    assert caplog.records == []


# What changes


def test_what_is_enabled_gets_its_events_from_then_on(served: Served) -> None:
    hook = served.hook(orders=False)
    served.send(hook, event(1, "orders"))
    served.change(Schema, hook.schemas["orders"], should_sync=True)
    time.sleep(ENDPOINT_SECONDS)
    for number in (2, 3):
        assert served.send(hook, event(number, "orders")).status_code == 200
    assert served.bodies(hook, "orders") == [event(2, "orders"), event(3, "orders")]
    served.change(Schema, hook.schemas["orders"], should_sync=False)
    time.sleep(ENDPOINT_SECONDS)
    assert served.send(hook, event(4, "orders")).status_code == 200
    assert len(served.bodies(hook, "orders")) == 2


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Less is remembered; waits until what was known is forgotten."""
    monkeypatch.setattr(endpoints, "ENDPOINT_SECONDS", 0.2)
    return lambda: time.sleep(0.2)


def test_who_is_deleted_gets_no_more(served: Served, forgetful: Callable[[], None]) -> None:
    hooks = [served.hook() for _ in range(3)]
    for hook in hooks:
        assert served.send(hook, event(1)).status_code == 200
    gone = {"deleted_at": utc_now()}
    served.change(Webhook, hooks[0].id, **gone)
    served.change(Source, hooks[1].source_id, **gone)
    for schema_id in hooks[2].schemas.values():
        served.change(Schema, schema_id, **gone)
    forgetful()
    assert [served.send(hook, event(2)).status_code for hook in hooks] == [404, 404, 200]
    assert all(served.bodies(hook, "customers") == [event(1)] for hook in hooks)


def test_another_secret_holds_soon(served: Served, forgetful: Callable[[], None]) -> None:
    hook = served.hook()
    assert served.send(hook, event(1)).status_code == 200
    served.change(Webhook, hook.id, encrypted_inputs=served.vault.encrypt({"signing_secret": "whsec_new"}))
    forgetful()
    assert served.send(hook, event(2)).status_code == 400
    body = event(3)
    headers = Hook(hook.id, hook.source_id, "whsec_new", hook.schemas).headers(body)
    assert served.client.post(hook.path, content=body, headers=headers).status_code == 200


def test_what_is_stored_but_of_no_use_is_no_end(served: Served, forgetful: Callable[[], None]) -> None:
    """The sender sends it again: when that is mended nothing is lost."""
    hook = served.hook()
    stored = served.vault.encrypt({"signature": "rsa"})
    served.change(Source, hook.source_id, encrypted_inputs=stored)
    for _ in range(2):
        answer = served.send(hook, event(1))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    served.change(Source, hook.source_id, source_type="Postgres")
    forgetful()
    assert served.send(hook, event(1)).status_code == 404


def test_nothing_of_events_or_secrets_is_logged(served: Served, capfd: pytest.CaptureFixture[str], caplog: Any) -> None:
    hook = served.hook()
    with caplog.at_level(logging.DEBUG):
        for headers in ({}, {"stripe_signature": "t=1,v1=2"}, {"content_type": "text/plain"}):
            served.send(hook, event(1, text="a-word-of-the-body"), **headers)
    logged = "".join(capfd.readouterr()) + caplog.text
    assert hook.secret not in logged
    assert "a-word-of-the-body" not in logged


def test_figures_have_no_words_of_a_sender(served: Served) -> None:
    hook = served.hook()
    served.send(hook, event(1))
    before = served.figures()
    served.send(hook, event(2), content_type="application/surprise")
    served.client.request("SURPRISE", hook.path)
    served.client.post("/public/webhooks/dwh/surprise")
    served.send(hook, event(3, kind="surprise"))
    after = served.figures()
    assert not any("surprise" in repr(name) or hook.id in repr(name) for name in after)
    events, size = (("syncline_webhook_events_total", frozenset()), ("syncline_webhook_bytes_total", frozenset()))
    assert after[events] - before[events] == 1
    assert after[size] - before[size] == len(event(3, kind="surprise"))
    puts = ("syncline_webhook_puts_total", frozenset({("outcome", "ok")}))
    seconds = ("syncline_webhook_durable_seconds_count", frozenset())
    assert after[puts] - before[puts] == after[seconds] - before[seconds] == 1
