"""Stripe's own library agrees, on requests that are good, and spoilt in every part."""

import json
import random
import string
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.webhooks.signatures import check_stripe
from tests.connectors.webhooks.signing import NOW, stripe_header, stripe_mac, verdict

PEERS_PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"
VERIFIER = Path(__file__).with_name("stripe_verifier.py")

Case = tuple[str, str, str, int]
"""Header, secret, body, and the time of its arrival."""


@pytest.mark.long
def test_ten_thousand_requests() -> None:
    chance = random.Random(7)  # noqa: S311
    cases = [_case(chance) for _ in range(10_000)]
    lines = "\n".join(map(json.dumps, cases))
    done = subprocess.run([PEERS_PYTHON, VERIFIER], input=lines, capture_output=True, text=True, check=True)
    theirs = [json.loads(line) for line in done.stdout.splitlines()]
    ours = [_ours(*case) for case in cases]
    assert len(theirs) == len(cases)
    differ = [case for case, one, other in zip(cases, ours, theirs, strict=True) if one != other]
    assert not differ, differ[:3]
    assert 2_000 < sum(theirs) < 8_000


def _ours(header: str, secret: str, body: str, now: int) -> bool:
    headers = {"stripe-signature": header}
    return verdict(lambda received: check_stripe(secret, received), headers, body.encode(), now) == "good"


def _case(chance: random.Random) -> Case:
    """Of times that are to come just those that we take as well: the library looks at the past alone."""
    secret = "whsec_" + "".join(chance.choices(string.ascii_letters + string.digits, k=32))
    body = chance.choice(("", "{}", '{"name": "ä\\n"}', "x" * chance.randrange(3000)))
    at = NOW + chance.randrange(-1000, 1000)
    header = stripe_header(secret, body.encode(), at)
    others = [f"v1={stripe_mac(secret + 'x', body.encode(), at)}", "v0=abc", "v2=", "x", ""]
    match chance.randrange(10):
        case 0:
            place = chance.randrange(len(header))
            header = header[:place] + chance.choice("0123456789abcdef,=") + header[place + 1 :]
        case 1:
            body += chance.choice((" ", "\n", "x"))
        case 2:
            secret += chance.choice(("x", "0"))
        case 3 | 4:
            parts = [*header.split(","), *chance.sample(others, chance.randrange(len(others)))]
            chance.shuffle(parts)
            header = ",".join(parts)
        case 5:
            header = header[: chance.randrange(len(header))]
        case 6:
            header = chance.choice(others)
        case _:
            pass
    return header, secret, body, at + chance.choice((-300, -1, 0, 1, 299, 300, 301, 5000))
