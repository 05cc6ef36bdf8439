import json

from tests.api.ingress.conftest import Served


def test_smoke(served: Served) -> None:
    hook = served.hook()
    body = json.dumps({"type": "customer.created", "object": "customers", "id": 1}).encode()
    answer = served.send(hook, body)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert served.bodies(hook, "customers") == [body]
