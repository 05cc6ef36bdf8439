"""Requests as they are signed, and what a check has to say of them."""

import base64
import hashlib
import hmac
from collections.abc import Callable

from connectors.receiving import Received, RefusedError

NOW = 1_700_000_000


def stripe_header(secret: str, body: bytes, at: int = NOW) -> str:
    return f"t={at},v1={stripe_mac(secret, body, at)}"


def stripe_mac(secret: str, body: bytes, at: int = NOW) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def standard_headers(key: bytes, body: bytes, id: str = "msg_1", at: int = NOW) -> dict[str, str]:
    mac = hmac.new(key, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def verdict(check: Callable[[Received], None], headers: dict[str, str], body: bytes, at: float = NOW) -> str:
    """``good``, or the reason why it is refused."""
    try:
        check(Received(headers, body, at))
    except RefusedError as error:
        return error.reason
    return "good"
