"""How providers sign what they send. Each check is of the raw body and compares all candidates in constant time.

The signature is looked at before the age: who cannot sign learns nothing of our clock. Without a secret nothing holds.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from connectors.receiving import Received, RefusedError

TOLERANCE_SECONDS = 300
"""How far a signed time may be from ours, to either side."""

STRIPE_HEADER = "stripe-signature"
GITHUB_HEADER = "x-hub-signature-256"
STANDARD_PREFIXES = ("webhook", "svix")
"""Of the headers of Standard Webhooks: its own, and those that Svix sent before there was a standard."""

Algorithm = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64"]

_SECONDS = re.compile(r"0|[1-9]\d{0,11}", re.ASCII)
_MILLISECONDS = re.compile(r"[1-9]\d{12}", re.ASCII)
_LONGEST = 4096
_SECRET_PREFIX = "whsec_"  # noqa: S105 - what such secrets begin with


@dataclass(frozen=True)
class HmacScheme:
    """A plain HMAC in a header. Names of headers are in lower case.

    ``signed``: what is signed, with ``{body}`` and, where a header has a time, ``{timestamp}`` in place of them.
    """

    header: str
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    timestamp_header: str | None = None
    signed: str = "{body}"


def check_stripe(secret: str, received: Received, header: str = STRIPE_HEADER) -> None:
    """``t=<seconds>,v1=<hex>``: any of several v1 may hold; other parts mean nothing. ``RefusedError``.

    https://docs.stripe.com/webhooks#verify-manually
    """
    parts = [part.partition("=") for part in _given(received, header).split(",")]
    times = [value for name, _, value in parts if name == "t"]
    candidates = [value.encode() for name, _, value in parts if name == "v1" and value]
    if not times or not candidates or not _SECONDS.fullmatch(times[0]):
        raise _malformed()
    mac = _mac(secret.encode(), "sha256", times[0].encode() + b"." + received.body)
    _require(secret.strip(), _any_equal(mac.hex().encode(), candidates))
    _check_age(int(times[0]), received)


def check_github(secret: str, received: Received) -> None:
    """``sha256=<hex>`` of the body, without a time. ``RefusedError``.

    https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    """
    check_hmac(HmacScheme(GITHUB_HEADER, prefix="sha256="), secret, received)


def check_standard(secret: str, received: Received) -> None:
    """Standard Webhooks with a symmetric secret, ``whsec_<base64>``: any of several v1 may hold. ``RefusedError``.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    prefix = _standard_prefix(received)
    id, at, given = (_given(received, f"{prefix}-{name}") for name in ("id", "timestamp", "signature"))
    versioned = [each.partition(",") for each in given.split(" ")]
    candidates = _decoded((value for version, _, value in versioned if version == "v1"), _from_base64)
    if not candidates or not _SECONDS.fullmatch(at):
        raise _malformed()
    key = standard_key(secret)
    mac = _mac(key or b"", "sha256", id.encode("latin-1") + b"." + at.encode() + b"." + received.body)
    _require(key, _any_equal(mac, candidates))
    _check_age(int(at), received)


def standard_id(received: Received) -> str | None:
    """The event's, which is signed with it."""
    return received.headers.get(f"{_standard_prefix(received)}-id")


def standard_key(secret: str) -> bytes | None:
    """What is signed with; None where the secret is no ``whsec_`` and base64, which may lack its padding."""
    return _from_base64(secret.removeprefix(_SECRET_PREFIX).rstrip("=")) or None


def check_hmac(scheme: HmacScheme, secret: str, received: Received) -> None:
    """``RefusedError``."""
    given = _given(received, scheme.header)
    at = _given(received, scheme.timestamp_header) if scheme.timestamp_header else ""
    decode = _from_hex if scheme.encoding == "hex" else _from_base64
    texts = [given.removeprefix(scheme.prefix)] if given.startswith(scheme.prefix) else []
    candidates = _decoded(texts, decode)
    seconds = _seconds(at)
    if not candidates or (scheme.timestamp_header and seconds is None):
        raise _malformed()
    before, _, behind = scheme.signed.replace("{timestamp}", at).partition("{body}")
    mac = _mac(secret.encode(), scheme.algorithm, before.encode() + received.body + behind.encode())
    _require(secret.strip(), _any_equal(mac, candidates))
    if seconds is not None:
        _check_age(seconds, received)


def _given(received: Received, header: str) -> str:
    value = received.headers.get(header, "")
    if not value:
        raise RefusedError("unsigned", f"The request has no header {header}, by which it would be signed.")
    if len(value) > _LONGEST:
        raise _malformed()
    return value


def _mac(key: bytes, algorithm: Algorithm, signed: bytes) -> bytes:
    return hmac.digest(key, signed, algorithm)


def _any_equal(expected: bytes, candidates: Sequence[bytes]) -> bool:
    """Each is compared, whichever holds."""
    return sum([hmac.compare_digest(expected, each) for each in candidates]) > 0


def _standard_prefix(received: Received) -> str:
    return next((each for each in STANDARD_PREFIXES if f"{each}-signature" in received.headers), "webhook")


def _require(secret: str | bytes | None, holds: bool) -> None:
    if not (holds and secret):
        raise RefusedError("wrong_signature", "The signature is not that of the body.")


def _check_age(seconds: int, received: Received) -> None:
    if abs(received.at - seconds) > TOLERANCE_SECONDS:
        raise RefusedError("too_old", "The signature is of another time: it is not taken any more, or not yet.")


def _seconds(text: str) -> int | None:
    """Of a time in seconds or milliseconds."""
    if _MILLISECONDS.fullmatch(text):
        return int(text) // 1000
    return int(text) if _SECONDS.fullmatch(text) else None


def _decoded(texts: Iterable[str], decode: Callable[[str], bytes | None]) -> list[bytes]:
    return [found for text in texts if (found := decode(text))]


def _from_hex(text: str) -> bytes | None:
    try:
        return binascii.unhexlify(text)
    except ValueError:
        return None


def _from_base64(text: str) -> bytes | None:
    """With its padding or without."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None


def _malformed() -> RefusedError:
    return RefusedError("malformed_signature", "The signature is not written as it should be.")
