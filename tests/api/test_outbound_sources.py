"""A stranger's list of hosts, given to an installation with the policy of production: each is refused in words, none is
connected to, and nothing is kept.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Api, Shop, running_api
from tests.kit.platform import eventually
from tests.kit.servers import MetadataTemplates, RunningTemporal

HOSTS = {
    **dict.fromkeys(
        (
            *("127.0.0.1", "127.255.255.254", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1"),
            *("0177.0.0.1", "017700000001", "localhost", "LOCALHOST", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"),
            *("::ffff:7f00:1", "64:ff9b::7f00:1"),
        ),
        "a loopback",
    ),
    **dict.fromkeys(("0", "0.0.0.0", "::"), "an unspecified"),  # noqa: S104
    **dict.fromkeys(("10.0.0.1", "10.1", "172.31.255.255", "192.168.1.1", "fd00::1", "::ffff:10.0.0.1"), "a private"),
    **dict.fromkeys(("169.254.169.254", "2852039166", "0xa9fea9fe", "168.63.129.16"), "a cloud's metadata"),
    **dict.fromkeys(("169.254.1.1", "fe80::1"), "a link-local"),
    **dict.fromkeys(("224.0.0.1", "ff02::1"), "a multicast"),
    **dict.fromkeys(("100.64.0.1", "64:ff9b:1::1", "2002:7f00:1::"), "a"),
}
"""And what each of them leads to."""
REFUSED = (
    "address, and this installation connects to public ones only. Its operator can allow it with "
    "SYNCLINE_OUTBOUND_ALLOW."
)
WEB = ("https", "https of a table")
NO_WEB_HOSTS = ("0177.0.0.1",)
"""In an address of the web each part of an IPv4 address is written without zeros in front of it."""
MALFORMED = [
    *("①②⑦.⓪.⓪.①", "127。0。0。1", "127.0.0.1/", "127.0.0.1:5432", "u@127.0.0.1", "127.0.0.1#x", "[::1]"),
    *("fe80::1%lo", "a,127.0.0.1", "/etc", "127.0.0.1?x", "127.0.0.1\\", "../x", "local\thost", "127.0.0.1 x"),
]


@dataclass
class Listener:
    """At every address of this machine; keeps who came."""

    port: int
    taken: list[tuple[str, int]] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Listener]:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128) as server:
        listener = Listener(server.getsockname()[1])

        def accept() -> None:
            with suppress(OSError):
                while True:
                    line, client = server.accept()
                    listener.taken.append(client[:2])
                    line.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener
        # Connections are taken in their order: what came before this one is there.
        with socket.create_connection(("127.0.0.1", listener.port)) as own:
            eventually(lambda: listener.taken, "the listener to take a connection")
            assert [port for _, port in listener.taken] == [own.getsockname()[1]]


@pytest.fixture(scope="module")
def production(
    shop: Shop,
    metadata_templates: MetadataTemplates,
    temporal: RunningTemporal,
    tmp_path_factory: pytest.TempPathFactory,
    lake: Path,
) -> Iterator[Api]:
    """Its policy is the default one; just the shop's server is let through."""
    url = metadata_templates.sqlite_copy(tmp_path_factory.mktemp("production") / "metadata.db")
    allowed = f"{shop.inputs['host']}:{shop.inputs['port']}"
    with running_api(url, temporal.address, lake, outbound=None, outbound_allow=allowed) as instance:
        yield instance


@pytest.fixture
def api(production: Api) -> Api:
    return production.other_project()


def body(source_type: str, **payload: Any) -> dict[str, Any]:
    login = {"database": "d", "user": "u", "password": "a-secret", "schema": "s"}
    return {"source_type": source_type, "prefix": "", "payload": {**login, **payload}}


def bodies(host: str, port: int) -> dict[str, tuple[str | None, dict[str, Any]]]:
    """Every way to have a source connect to a host, and the field that is named with it."""
    bastion = {"ssh_host": host, "ssh_port": port, "ssh_user": "u", "ssh_password": "a-secret"}
    written = f"[{host}]" if host in HOSTS and ":" in host else host
    table = json.dumps({"t": {"files": ["1.csv"]}})
    elsewhere = json.dumps({"t": {"files": [f"https://{written}:{port}/1.csv"]}})
    store = {"location": "s3://bucket/folder", "endpoint": f"https://{written}:{port}", "tables": table}
    return {
        "Postgres": ("host", body("Postgres", host=host, port=port)),
        "Postgres behind a bastion": ("ssh_host", body("Postgres", host="db.internal", **bastion)),
        "MySQL": ("host", body("MySQL", host=host, port=port)),
        "MySQL behind a bastion": ("ssh_host", body("MySQL", host="db.internal", **bastion)),
        "https": ("location", body("Files", location=f"https://{written}:{port}/", tables=table)),
        "https of a table": ("tables", body("Files", location="https://files.invalid/", tables=elsewhere)),
        "S3": ("endpoint", body("Files", **store)),
        "S3 with keys": ("endpoint", body("Files", **store, access_key_id="k", secret_access_key="s")),
        "SQLite in S3": ("endpoint", body("SQLite", path="s3://bucket/shop.db", endpoint=store["endpoint"])),
    }


def asked(api: Api, given: dict[str, Any], attr: str | None) -> Iterator[dict[str, Any]]:
    """What the wizard's question is answered, and the wish for a source: both refused because of this field."""
    inputs = {"source_type": given["source_type"], **given["payload"]}
    yield api.refused("POST", "external_data_sources/database_schema/", attr, json=inputs)
    under = f"payload.{attr}" if attr else "payload"
    yield api.refused("POST", "external_data_sources/", under, json=given)


def nothing_is_left(api: Api) -> None:
    assert api("GET", "external_data_sources/")["count"] == 0
    assert api("GET", "external_data_schemas/")["count"] == 0


def some_long(*kinds: str) -> list[Any]:
    return [pytest.param(kind, marks=pytest.mark.long) if kind in kinds else kind for kind in bodies("", 1)]


@pytest.mark.parametrize("kind", some_long(*WEB, "S3", "S3 with keys"))
def test_every_host_of_the_list(api: Api, listener: Listener, kind: str) -> None:
    for host, leads_to in HOSTS.items():
        attr, given = bodies(host, listener.port)[kind]
        is_none = kind in WEB and host in NO_WEB_HOSTS
        for error in asked(api, given, "tables" if is_none else attr):
            if is_none:
                assert error["detail"].startswith("There can be no file at")
                continue
            assert error["code"] == "forbidden_host", (host, error)
            assert f" leads to {leads_to}" in error["detail"], (host, error)
            assert error["detail"].endswith(REFUSED), (host, error)
            assert "a-secret" not in str(error)
    nothing_is_left(api)


# Some of these are names to the web, which somebody must be asked for.
@pytest.mark.parametrize("kind", some_long(*WEB))
def test_what_is_no_host(api: Api, listener: Listener, kind: str) -> None:
    for host in MALFORMED:
        _, given = bodies(host, listener.port)[kind]
        for path, asked in (
            ("external_data_sources/", given),
            ("external_data_sources/database_schema/", {"source_type": given["source_type"], **given["payload"]}),
        ):
            error = api("POST", path, 400, json=asked)
            assert error["detail"].endswith("."), (host, error)
            assert "a-secret" not in str(error)
    nothing_is_left(api)


def test_just_what_is_allowed_is_let_through(api: Api, listener: Listener, shop: Shop) -> None:
    source = api("POST", "external_data_sources/", 201, json=shop.body())
    path = f"external_data_sources/{source['id']}/"
    password = shop.inputs["password"]
    moves: list[tuple[str, dict[str, Any]]] = [
        ("host", {"host": "127.0.0.2"}),
        ("host", {"host": "::ffff:127.0.0.1"}),
        ("host", {"port": listener.port}),
        ("ssh_host", {"ssh_host": "127.0.0.1", "ssh_port": listener.port, "ssh_user": "u", "ssh_password": "p"}),
    ]
    for attr, changes in moves:
        inputs = {**changes, "password": password}
        error = api.refused("PATCH", path, f"job_inputs.{attr}", json={"job_inputs": inputs})
        assert error["detail"].endswith(REFUSED)
        checked = api.refused(
            "POST",
            "external_data_sources/check_cdc_prerequisites/",
            attr,
            json={"source_type": "Postgres", **shop.inputs, **inputs},
        )
        assert checked["detail"].endswith(REFUSED)
    assert api("GET", path)["job_inputs"] == source["job_inputs"]
    api("POST", f"{path}refresh_schemas/")
