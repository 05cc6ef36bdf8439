"""What Stripe's own library says of signed requests. Runs where that is installed, and has nothing of ours.

Reads ``[header, secret, body, age]`` line by line as JSON and prints true or false for each.
"""

import json
import sys
import time

from stripe import SignatureVerificationError
from stripe._webhook import WebhookSignature


def verdict(header: str, secret: str, body: str, now: float) -> bool:
    time.time = lambda: now
    try:
        return bool(WebhookSignature.verify_header(body, header, secret, 300))
    except SignatureVerificationError:
        return False


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(verdict(*json.loads(line))))
