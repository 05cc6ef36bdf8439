"""Signatures: those of the providers' own documentation, and every way in which one can be wrong."""

import base64
import hashlib
import hmac
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from connectors.receiving import Received
from connectors.webhooks.signatures import (
    HmacScheme,
    check_github,
    check_hmac,
    check_standard,
    check_stripe,
)
from tests.connectors.webhooks.signing import NOW, standard_headers, stripe_header, stripe_mac, verdict

SECRET = "whsec_" + base64.b64encode(b"a key of twenty-four by").decode()
KEY = base64.b64decode(SECRET.removeprefix("whsec_"))
STRIPE_SECRET, PLAIN_SECRET = "whsec_test", "secret"
BODY = b'{"id": "evt_1", "text": "\xc3\xa4"}'


def stripe(header: str | None, body: bytes = BODY, at: float = NOW, secret: str = STRIPE_SECRET) -> str:
    headers = {} if header is None else {"stripe-signature": header}
    return verdict(lambda received: check_stripe(secret, received), headers, body, at)


def standard(headers: dict[str, str], body: bytes = BODY, at: float = NOW, secret: str = SECRET) -> str:
    return verdict(lambda received: check_standard(secret, received), headers, body, at)


def plain(scheme: HmacScheme, headers: dict[str, str], secret: str = PLAIN_SECRET, body: bytes = BODY) -> str:
    return verdict(lambda received: check_hmac(scheme, secret, received), headers, body)


# As published


def test_github_s_own_example() -> None:
    """docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries, under "Testing"."""
    given = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    received = Received({"x-hub-signature-256": given}, b"Hello, World!", NOW)
    check_github("It's a Secret to Everybody", received)


def test_the_example_of_standard_webhooks() -> None:
    """docs.svix.com/receiving/verifying-payloads/how-manual, and the reference libraries' own tests."""
    for prefix in ("webhook", "svix"):
        headers = {
            f"{prefix}-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            f"{prefix}-timestamp": "1614265330",
            f"{prefix}-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        }
        found = standard(headers, b'{"test": 2432232314}', 1614265330.5, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        assert found == "good"


def test_slack_s_own_example_by_configuration() -> None:
    """docs.slack.dev/authentication/verifying-requests-from-slack, "Step-by-step walk-through"."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    scheme = HmacScheme(
        "x-slack-signature", "sha256", "hex", "v0=", "x-slack-request-timestamp", "v0:{timestamp}:{body}"
    )
    received = Received(headers, body, 1531420618)
    check_hmac(scheme, "8f742231b10e8888abcd99yyyzzz85a5", received)


def test_stripe_s_header_of_the_documentation_is_read() -> None:
    """docs.stripe.com/webhooks#verify-manually shows a header without what it signs."""
    header = (
        "t=1492774577,"
        "v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd,"
        "v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"
    )
    assert stripe(header, at=1492774577) == "wrong_signature"


# Stripe


def test_stripe_any_of_several_signatures_holds() -> None:
    good, other = stripe_mac("whsec_test", BODY), stripe_mac("whsec_old", BODY)
    for given in (f"v1={good}", f"v1={other},v1={good}", f"v1={good},v1={other}", f"v0=x,v1={good},v2=y"):
        assert stripe(f"t={NOW},{given}") == "good"
        assert stripe(f"{given},t={NOW}") == "good"
    for given in (f"v1={other}", f"v0={good}", f"v1={good.upper()}", f"v1={good[:-1]}", f"v1={good}0", f"v1= {good}"):
        assert stripe(f"t={NOW},{given}") in ("wrong_signature", "malformed_signature"), given


@pytest.mark.parametrize(
    "header", ["t", "t=,v1=a", "v1=a", "t=1700000000", "t=1700000000,v1=", "t=-1,v1=a", "t= 1,v1=a", "t=1e9,v1=a", "é"]
)
def test_stripe_a_header_that_is_none(header: str) -> None:
    assert stripe(header) == "malformed_signature"


def test_stripe_without_a_header() -> None:
    assert stripe(None) == stripe("") == "unsigned"
    assert stripe("v1=" + "a" * 5000) == "malformed_signature"


@pytest.mark.parametrize(
    ("age", "expected"), [(0, "good"), (300, "good"), (301, "too_old"), (-300, "good"), (-301, "too_old")]
)
def test_stripe_a_signature_has_its_time(age: int, expected: str) -> None:
    assert stripe(stripe_header("whsec_test", BODY), at=NOW + age) == expected


def test_stripe_who_cannot_sign_does_not_learn_our_clock() -> None:
    assert stripe(f"t={NOW - 10_000},v1={'0' * 64}") == "wrong_signature"


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", BODY[:-1], BODY + b"\n", b"x" * 3_000_000])
def test_stripe_the_raw_body_is_signed(body: bytes) -> None:
    assert stripe(stripe_header("whsec_test", body), body) == "good"
    assert stripe(stripe_header("whsec_test", BODY), body) == "wrong_signature"


def test_without_a_secret_nothing_holds() -> None:
    for secret in ("", " ", "\t"):
        assert stripe(stripe_header(secret, BODY), secret=secret) == "wrong_signature"
    for secret in ("", "whsec_", "whsec_ä", "whsec_a*b"):
        assert standard(standard_headers(b"", BODY), secret=secret) == "wrong_signature"
    mac = hmac.new(b"", BODY, hashlib.sha256).hexdigest()
    assert plain(HmacScheme("x-sig"), {"x-sig": mac}, secret="") == "wrong_signature"


# Standard Webhooks


def test_standard_any_of_several_signatures_holds() -> None:
    headers = standard_headers(KEY, BODY)
    good, other = headers["webhook-signature"], standard_headers(b"other", BODY)["webhook-signature"]
    for given in (f"{other} {good}", f"{good} {other}", f"v1a,abc {good}", f"v1,*** {good}", good.rstrip("=")):
        assert standard(headers | {"webhook-signature": given}) == "good", given
    for given in (other, good.replace("v1", "v2"), f"v1,{good}", good.removeprefix("v1,"), "v1", "v1,", " "):
        assert standard(headers | {"webhook-signature": given}) in ("wrong_signature", "malformed_signature"), given


def test_standard_id_time_and_body_are_signed() -> None:
    headers = standard_headers(KEY, BODY)
    assert standard(headers | {"webhook-id": "msg_2"}) == "wrong_signature"
    assert standard(headers | {"webhook-timestamp": str(NOW + 1)}) == "wrong_signature"
    assert standard(headers, BODY + b" ") == "wrong_signature"
    assert standard(headers, at=NOW + 301) == standard(headers, at=NOW - 301) == "too_old"
    for name in headers:
        assert standard({key: value for key, value in headers.items() if key != name}) == "unsigned"
    assert standard(headers | {"webhook-timestamp": "now"}) == "malformed_signature"


def test_standard_the_reference_verifier_agrees_on_ten_thousand_requests() -> None:
    chance = random.Random(11)  # noqa: S311
    verdicts = {True: 0, False: 0}
    for _ in range(10_000):
        secret, headers, body, at = _random_standard(chance)
        ours = standard(headers, body, at, secret) == "good"
        assert ours == _reference(secret, headers, body, at), (secret, headers, body, at)
        verdicts[ours] += 1
    assert min(verdicts.values()) > 2_000


def _random_standard(chance: random.Random) -> tuple[str, dict[str, str], bytes, float]:
    key = chance.randbytes(chance.choice((1, 24, 32, 64)))
    body = chance.choice(("", "{}", '{"a": "ä"}', "x" * chance.randrange(200))).encode()
    at = chance.randrange(1, 2_000_000_000)
    headers = standard_headers(key, body, f"msg_{chance.randrange(100)}", at)
    good = headers["webhook-signature"]
    match chance.randrange(8):
        case 0:
            headers["webhook-signature"] = _flipped(good, chance, 3)
        case 1:
            headers["webhook-id"] += "x"
        case 2:
            body += b" "
        case 3:
            key += b"\0"
        case 4:
            others = [standard_headers(chance.randbytes(24), body)["webhook-signature"] for _ in range(3)]
            headers["webhook-signature"] = " ".join(chance.sample([*others, good, "v1a,c2ln"], 4))
        case 5:
            del headers[chance.choice(list(headers))]
        case _:
            pass
    secret = base64.b64encode(key).decode()
    return chance.choice(("", "whsec_")) + secret, headers, body, at + chance.choice((0, 1, 299, 301, -299, -301))


def _reference(secret: str, headers: dict[str, str], body: bytes, at: float) -> bool:
    """Its clock is the machine's: the age is looked at here."""
    verifier: Any = Webhook(secret)
    if "webhook-timestamp" in headers and abs(at - int(headers["webhook-timestamp"])) > 300:
        return False
    verifier._Webhook__verify_timestamp = lambda text: datetime.fromtimestamp(float(text), tz=UTC)
    try:
        verifier.verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def _flipped(text: str, chance: random.Random, start: int = 0) -> str:
    place = chance.randrange(start, len(text) - 2)
    return text[:place] + chance.choice("abcdef0123456789") + text[place + 1 :]


# Plain HMAC


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("prefix", ["", "sig="])
def test_plain(algorithm: Any, encoding: Any, prefix: str) -> None:
    scheme = HmacScheme("x-signature", algorithm, encoding, prefix)
    mac = hmac.new(b"secret", BODY, algorithm).digest()
    good = mac.hex() if encoding == "hex" else base64.b64encode(mac).decode()
    assert plain(scheme, {"x-signature": prefix + good}) == "good"
    assert plain(scheme, {"x-signature": prefix + good}, body=BODY[1:]) == "wrong_signature"
    assert plain(scheme, {"x-signature": prefix + good}, secret="other") == "wrong_signature"
    assert plain(scheme, {"x-signature": prefix + "***"}) == "malformed_signature"
    assert plain(scheme, {"x-signature": "other=" + good}) in ("malformed_signature", "wrong_signature")
    assert plain(scheme, {}) == "unsigned"
    if encoding == "hex":
        assert plain(scheme, {"x-signature": prefix + good.upper()}) == "good"


@pytest.mark.parametrize("at", [str(NOW), str(NOW * 1000)])
def test_plain_with_a_time(at: str) -> None:
    scheme = HmacScheme("x-signature", timestamp_header="x-time", signed="{body}|{timestamp}|end")
    mac = hmac.new(b"secret", BODY + f"|{at}|end".encode(), hashlib.sha256).hexdigest()
    assert plain(scheme, {"x-signature": mac, "x-time": at}) == "good"
    assert plain(scheme, {"x-signature": mac, "x-time": str(NOW - 1)}) == "wrong_signature"
    assert plain(scheme, {"x-signature": mac, "x-time": "yesterday"}) == "malformed_signature"
    assert plain(scheme, {"x-signature": mac}) == "unsigned"
    late = Received({"x-signature": mac, "x-time": at}, BODY, NOW + 301)
    assert verdict(lambda _: check_hmac(scheme, "secret", late), {}, b"") == "too_old"


def test_what_is_signed_is_never_taken_from_the_body() -> None:
    body = b"{timestamp}{body}"
    scheme = HmacScheme("x-signature", timestamp_header="x-time", signed="{timestamp}.{body}")
    mac = hmac.new(b"secret", f"{NOW}.".encode() + body, hashlib.sha256).hexdigest()
    assert plain(scheme, {"x-signature": mac, "x-time": str(NOW)}, body=body) == "good"
