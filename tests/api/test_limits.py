"""What a key, an address, a body and a slow source may cost, and that nobody else pays for it."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from api.limits import TokenBuckets, network
from metadata.keys import READ_SCOPE
from tests.api.conftest import CUSTOMER, Api, Shop, running_api
from tests.api.test_sources import create
from tests.kit.bad_sources import (
    Behaviour,
    bad_source,
    silent,
    silent_after_login,
    trickling_login,
    trickling_rows,
)
from tests.kit.platform import eventually
from tests.kit.servers import MetadataTemplates

NOBODY = "127.0.0.1:1"
SOURCE_SECONDS = 2
PLACES = 8
MIB = 2**20


@pytest.fixture(scope="module")
def instance(metadata_templates: MetadataTemplates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """With little patience for sources, and without Temporal."""
    folder = tmp_path_factory.mktemp("limits")
    url = metadata_templates.sqlite_copy(folder / "metadata.db")
    bounds = {"api_source_call_seconds": SOURCE_SECONDS, "api_source_calls": PLACES}
    with running_api(url, NOBODY, folder / "lake", **bounds) as api:
        yield api


@pytest.fixture
def strict(sqlite_metadata_url: str, tmp_path: Path) -> Iterator[Api]:
    """A few requests, then one every second; three wrong keys."""
    bounds = {"api_requests_per_second": 1, "api_requests_burst": 4, "api_failed_logins_per_minute": 3}
    with running_api(sqlite_metadata_url, NOBODY, tmp_path / "lake", **bounds) as api:
        yield api


@contextmanager
def served(api: Api) -> Iterator[httpx2.Client]:
    """The same app behind a real socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(api.client.app, lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {api.key}"}, timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


# Keys and addresses


def test_a_bucket_holds_a_burst_and_fills_again() -> None:
    clock = Clock()
    buckets = TokenBuckets(rate=2, burst=3, clock=clock)
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert buckets.take("b") == 0
    clock.now = 0.4
    assert buckets.wait("a") == pytest.approx(0.1)
    clock.now = 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
    clock.now = 1000
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_any_number_of_names_takes_bounded_memory() -> None:
    buckets = TokenBuckets(rate=1, burst=1, most=100, clock=Clock())
    for number in range(10_000):
        buckets.take(f"name {number}")
        buckets.take("busy")
    assert len(buckets._buckets) == 100
    assert buckets.wait("busy") == 1, "who is active is not forgotten"


def test_threads_do_not_share_a_token() -> None:
    buckets = TokenBuckets(rate=0.0001, burst=100)
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: buckets.take("a"), range(1000)))
    assert waits.count(0) == 100


def test_an_address_of_version_6_stands_for_its_network() -> None:
    assert network("2001:db8:1:2:3::4") == network("2001:db8:1:2::5") != network("2001:db8:1:3::5")
    assert (network("192.0.2.1"), network("fe80::1%eth0"), network("testclient")) == (
        "192.0.2.1",
        "fe80::/64",
        "testclient",
    )


def test_a_key_that_asks_too_much_waits_and_no_other_does(strict: Api) -> None:
    other = strict.with_key(READ_SCOPE)
    answers = [strict.respond("GET", "external_data_sources/") for _ in range(6)]
    assert [answer.status_code for answer in answers[:4]] == [200] * 4
    refused = answers[5]
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    body = refused.json()
    assert (body["type"], body["code"], body["attr"]) == ("throttled", "throttled", None)
    other("GET", "external_data_sources/")
    eventually(lambda: strict.respond("GET", "external_data_sources/").status_code == 200, "a new token", 5)


def test_wrong_keys_close_an_address_but_not_to_who_was_let_in_before(strict: Api) -> None:
    late = strict.with_key(READ_SCOPE)
    strict("GET", "external_data_sources/")
    stranger = Api(strict.client, strict.database, strict.project_id, "slk_wrong")
    for _ in range(3):
        stranger("GET", "external_data_sources/", 401)
    refused = stranger.respond("GET", "external_data_sources/")
    assert (refused.status_code, refused.json()["type"]) == (429, "throttled")
    assert 1 <= int(refused.headers["Retry-After"]) <= 20
    late("GET", "external_data_sources/", 429)
    strict("GET", "external_data_sources/")


def test_without_a_key_nothing_is_counted(strict: Api) -> None:
    for _ in range(10):
        assert strict.client.get(f"/api/projects/{strict.project_id}/external_data_sources/").status_code == 401
    strict.with_key(READ_SCOPE)("GET", "external_data_sources/")


# Bodies


def mebibytes(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"a" * MIB


@pytest.mark.parametrize("content", [b"a" * (33 * MIB), 33], ids=["announced", "in chunks"])
@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
def test_a_body_beyond_the_limit_is_refused(instance: Api, content: bytes | int, form: bool) -> None:
    with served(instance) as client:
        headers = {"Content-Type": "application/x-www-form-urlencoded" if form else "application/json"}
        sent = mebibytes(content) if isinstance(content, int) else content
        path = f"/api/projects/{instance.project_id}/external_data_sources/"
        response = client.post(path, content=sent, headers=headers)
        assert response.status_code == 413
        assert response.json() == {
            "type": "validation_error",
            "code": "body_too_large",
            "detail": "The body is too large.",
            "attr": None,
        }
        assert client.get(path).status_code == 200


def test_a_body_that_nobody_asked_for_is_refused_or_never_read(instance: Api, shop: Shop) -> None:
    source = create(instance, shop, prefix="no_body_")
    with served(instance) as client:
        path = f"/api/projects/{instance.project_id}/external_data_sources/{source['id']}/"
        assert client.request("DELETE", path, content=b"a" * (33 * MIB)).status_code == 413
        assert client.get(path).status_code == 200
        assert client.post(f"{path}reload/", content=mebibytes(40)).status_code in (200, 413)
        assert client.request("DELETE", path, content=b"{malformed").status_code == 204


def test_a_large_body_within_the_limit_is_read(instance: Api) -> None:
    body = {"source_type": "Postgres", "payload": {}, "description": "a" * (30 * MIB)}
    instance.refused("POST", "external_data_sources/", "description", json=body)


def test_a_form_of_countless_fields_is_refused(instance: Api) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    instance.refused("POST", "external_data_sources/", None, content=b"a=1&" * 2**20, headers=form)


# Sources


def body_of(inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"source_type": "Postgres", "payload": inputs, **more}


@pytest.mark.parametrize("behave", [silent, trickling_login, silent_after_login, trickling_rows])
def test_a_source_that_does_not_come_to_an_end_is_left_in_time(instance: Api, behave: Behaviour) -> None:
    threads = threading.active_count()
    with bad_source(behave) as source:
        begun = time.monotonic()
        error = instance.refused("POST", "external_data_sources/", None, 504, json=body_of(source.inputs))
        assert time.monotonic() - begun < SOURCE_SECONDS + 2
        assert (error["type"], error["code"]) == ("upstream_error", "timeout")
        for _ in source.accepted:
            assert source.left.acquire(timeout=5), "the connection must be closed"
    eventually(lambda: threading.active_count() <= threads + 1, "the threads to end", 10)
    assert instance("GET", "external_data_sources/?search=never")["count"] == 0


def test_every_call_that_looks_at_a_source_is_bounded(instance: Api, own_shop: Shop) -> None:
    """The server is a real one, whose catalogue somebody has locked: no session stays behind."""
    source = create(instance, own_shop, CUSTOMER, prefix="locked_")
    own = f"external_data_sources/{source['id']}/"
    schema = f"external_data_schemas/{source['schemas'][0]['id']}/"
    with own_shop.server.connect(own_shop.database) as connection, connection.transaction():
        connection.execute("LOCK TABLE pg_namespace, pg_attribute IN ACCESS EXCLUSIVE MODE")
        calls: list[tuple[str, str, Any]] = [
            ("POST", "external_data_sources/", own_shop.body(prefix="another_")),
            ("PATCH", own, {"job_inputs": {"schema": "public"}}),
            ("POST", f"{own}refresh_schemas/", None),
            ("POST", f"{schema}incremental_fields/", None),
        ]
        for method, path, body in calls:
            begun = time.monotonic()
            instance.refused(method, path, None, 504, json=body)
            assert time.monotonic() - begun < SOURCE_SECONDS + 2, path
        sessions = (
            f"SELECT FROM pg_stat_activity WHERE datname = '{own_shop.database}' AND application_name = 'syncline'"
        )
        eventually(
            lambda: not connection.execute(f"SELECT pg_stat_clear_snapshot(), x.* FROM ({sessions}) AS x").fetchall(),
            "the sessions to end",
            5,
        )
    assert instance("GET", own) == source
    instance("POST", f"{own}refresh_schemas/")


def test_hanging_sources_leave_everybody_else_alone(instance: Api, shop: Shop) -> None:
    crowd, other = instance.other_project(), instance.other_project()

    def ask(number: int) -> httpx2.Response:
        return crowd.respond("POST", "external_data_sources/", json=body_of(source.inputs, prefix=f"p{number}_"))

    with bad_source(silent_after_login) as source, ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(ask, number) for number in range(40)]
        eventually(lambda: len(source.accepted) == PLACES // 2, "the places to be taken", 5)
        begun = time.monotonic()
        assert crowd.client.get("/healthz").status_code == 200
        crowd("GET", "external_data_sources/")
        create(other, shop)
        assert time.monotonic() - begun < SOURCE_SECONDS, "nobody waits for those who hang"
        answers = [answer.result() for answer in asked]
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(504), statuses.count(503)) == (PLACES // 2, 40 - PLACES // 2)
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert (refused.json()["type"], refused.json()["code"]) == ("upstream_error", "busy")
    assert int(refused.headers["Retry-After"]) >= 1
    create(crowd, shop)
