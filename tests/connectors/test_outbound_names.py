"""Names that a stranger's DNS server answers, and real connections: none is made but to an address that was checked.

Each test runs in a process with a network of its own, in which public and private addresses all lead to one listener
that tells which of them was connected to.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from connectors.deadline import patience
from connectors.errors import SourceError, UnreachableError
from connectors.files import FilesConnector
from connectors.mysql import MySqlConnector
from connectors.outbound import CLOSED, OPEN, ForbiddenHostError, OutboundPolicy, allowed, connect_to
from connectors.postgres import PostgresConnector
from connectors.sqlite import SqliteConnector
from connectors.surroundings import Surroundings
from tests.connectors.files.web_server import run_web_server
from tests.kit.dns import Names, run_dns
from tests.kit.own_network import Listeners, listening, own, run_apart, unpermitted

PUBLIC, PUBLIC_TOO, PUBLIC_6 = "93.184.216.34", "93.184.216.35", "2606:4700::1111"
PRIVATE = ["127.0.0.1", "169.254.169.254", "10.0.0.5", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.5", "64:ff9b::7f00:1"]
PORTS = {"plain": 443, "Postgres": 5432, "MySQL": 3306, "bastion": 22, "https": 443, "S3": 443, "object": 443}
LOOKS = {**dict.fromkeys(PORTS, 1), "S3": 2, "object": 2}
"""A store's name is looked up once to say in good time that it is refused, and once for each connection."""
Turns = Mapping[str, Sequence[Sequence[str]]]


@pytest.fixture(autouse=True)
def _networks() -> None:
    if why := unpermitted():
        pytest.skip(why)


@contextmanager
def network(turns: Turns) -> Iterator[tuple[Names, Listeners]]:
    own(PUBLIC, PUBLIC_TOO, PUBLIC_6, "169.254.169.254", "10.0.0.5", "10.0.0.6")
    names = Names(turns)
    with run_dns(names), listening(*sorted(set(PORTS.values()))) as listeners:
        yield names, listeners


def attempt(
    kind: str, host: str, policy: OutboundPolicy = CLOSED, port: int | None = None, seconds: float = 5
) -> SourceError | None:
    """Connect to the host as a source of that kind does when it is created; why that failed."""
    port = port or PORTS[kind]
    login = {"database": "d", "user": "u", "password": "p", "port": port}
    bastion = {"ssh_host": host, "ssh_port": port, "ssh_user": "u", "ssh_password": "p"}
    store = {"endpoint": f"https://{host}:{port}", "access_key_id": "k", "secret_access_key": "s"}
    files = {"tables": json.dumps({"t": {"files": ["1.csv"]}})}
    around = Surroundings(policy)

    def act() -> None:
        if kind == "plain":
            connect_to(policy, host, port, 2).close()
        elif kind == "Postgres":
            validate(PostgresConnector(), {"host": host, **login, "schema": "s"})
        elif kind == "MySQL":
            validate(MySqlConnector(), {"host": host, **login})
        elif kind == "bastion":
            validate(MySqlConnector(), {"host": "behind.example", **login, **bastion})
        elif kind == "https":
            validate(FilesConnector(), {"location": f"https://{host}:{port}/", **files})
        elif kind == "S3":
            validate(FilesConnector(), {"location": "s3://bucket/folder", **store, **files})
        else:
            validate(SqliteConnector(), {"path": "s3://bucket/shop.db", **store})

    def validate(connector: object, inputs: dict[str, object]) -> None:
        config = connector.parse_config(inputs, around)  # type: ignore[attr-defined]
        connector.validate(config)  # type: ignore[attr-defined]

    try:
        with patience(seconds):
            act()
    except SourceError as error:
        return error
    return None


def named(kind: str, number: int) -> str:
    return f"{kind.lower().replace(' ', '-')}-{number}.evil.example"


def assert_refused(listeners: Listeners, kind: str, host: str, error: SourceError | None) -> None:
    assert isinstance(error, ForbiddenHostError), (kind, host, error)
    assert f"The host {host} leads to" in error.message
    assert listeners.reached() == [], (kind, host)


def every(kinds: Sequence[str], turns: Callable[[str, str], Sequence[Sequence[str]]]) -> Turns:
    """A name for each kind of source and each private address."""
    return {named(kind, number): turns(kind, address) for kind in kinds for number, address in enumerate(PRIVATE)}


def rebinding() -> None:
    kinds = list(PORTS)
    turns = every(kinds, lambda kind, address: [*[[PUBLIC]] * LOOKS[kind], [address]])
    with network(turns) as (names, listeners):
        for kind in kinds:
            for number in range(len(PRIVATE)):
                host = named(kind, number)
                found = attempt(kind, host)
                assert not isinstance(found, ForbiddenHostError), (kind, found)
                assert set(listeners.reached()) == {(PUBLIC, PORTS[kind])}, kind
                assert names.asked[host] == LOOKS[kind], "one look-up for a connection"
                assert_refused(listeners, kind, host, attempt(kind, host))
        # Where anything may be reached, so it is: by the same names, and at the same listener.
        for kind in kinds:
            attempt(kind, named(kind, 0), OPEN)
            assert set(listeners.reached()) == {("127.0.0.1", PORTS[kind])}


def between_check_and_connection() -> None:
    """A name that changes at every question, whatever is asked when: public or private, and both kinds of addresses."""
    kinds = list(PORTS)
    turns = every(kinds, lambda _, address: [[PUBLIC], [address], [PUBLIC_6], [address], [PUBLIC, PUBLIC_6]] * 4)
    with network(turns) as (_, listeners):
        for kind in kinds:
            for number in range(len(PRIVATE)):
                for _turn in range(4):
                    attempt(kind, named(kind, number))
                public = {(address, PORTS[kind]) for address in (PUBLIC, PUBLIC_6)}
                reached = set(listeners.reached())
                assert reached <= public, kind
                assert reached or LOOKS[kind] > 1, kind


def several_addresses() -> None:
    mixed = {f"mixed-{number}": [[PUBLIC, PUBLIC_6, private, PUBLIC_TOO]] for number, private in enumerate(PRIVATE)}
    aliases = {
        "to-intranet": [["intranet.corp"]],
        "to-localhost": [["localhost"]],
        "to-alias": [["to-intranet"]],
        "to-both": [["public.corp", "intranet.corp"]],
        "intranet.corp": [["10.0.0.5"]],
        "localhost": [["127.0.0.1", "::1"]],
        "public.corp": [[PUBLIC]],
    }
    # The last three are in this network's own table of hosts.
    hosts = [*mixed, "to-intranet", "to-localhost", "to-alias", "to-both", "intranet", "localhost", "LOCALHOST"]
    with network({**mixed, **aliases}) as (_, listeners):
        for kind in PORTS:
            for host in hosts:
                error = attempt(kind, host)
                assert isinstance(error, ForbiddenHostError), (kind, host, error)
                assert listeners.reached() == [], (kind, host)
            assert not isinstance(attempt(kind, "public.corp"), ForbiddenHostError)
            assert set(listeners.reached()) == {(PUBLIC, PORTS[kind])}


def allow_list() -> None:
    policy = OutboundPolicy(allowed=allowed("db.corp:5432, *.let.corp, 10.0.0.6, 169.254.169.254:443"))
    turns = {
        **{name: [["10.0.0.5"]] for name in ("db.corp", "x.let.corp", "let.corp", "xdb.corp", "db.corp.evil.example")},
        "alias.example": [["db.corp"]],
        "six.example": [["10.0.0.6"], ["10.0.0.6", "10.0.0.5"], ["::ffff:10.0.0.6"], ["127.0.0.1"]],
    }
    cases: list[tuple[str, int, str | None]] = [
        ("db.corp", 5432, "10.0.0.5"),
        ("DB.corp", 5432, "10.0.0.5"),
        ("db.corp", 443, None),
        ("x.let.corp", 22, "10.0.0.5"),
        ("let.corp", 22, None),
        ("xdb.corp", 5432, None),
        ("db.corp.evil.example", 5432, None),
        # It is the name that is allowed, and not all that leads to it.
        ("alias.example", 5432, None),
        ("10.0.0.5", 5432, None),
        ("six.example", 22, "10.0.0.6"),
        *[("six.example", 22, None)] * 3,
        ("169.254.169.254", 443, "169.254.169.254"),
        ("169.254.169.254", 22, None),
        ("127.0.0.1", 443, None),
    ]
    with network(turns) as (_, listeners):
        for host, port, address in cases:
            for kind in ("plain",) if host == "six.example" else ("plain", "Postgres", "MySQL", "bastion"):
                error = attempt(kind, host, policy, port)
                if address is None:
                    assert isinstance(error, ForbiddenHostError), (kind, host, port)
                    assert listeners.reached() == []
                else:
                    assert not isinstance(error, ForbiddenHostError), (kind, host, port)
                    assert set(listeners.reached()) == {(address, port)}


def redirects() -> None:
    """A public server that sends its clients on."""
    turns = {"evil.example": [[PUBLIC], ["127.0.0.1"]], "mixed.example": [[PUBLIC, "10.0.0.5"]]}
    forbidden = [
        *("127.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "intranet", "localhost"),
        *("2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "u:p@127.0.0.1", "mixed.example", "0", "[::]"),
        *("127.0.0.1.", "localhost."),
    ]
    with network(turns) as (_, listeners), TemporaryDirectory() as folder, run_web_server(Path(folder)) as web:
        own_port = int(web.url.rstrip("/").rpartition(":")[2])
        around = Surroundings(OutboundPolicy(allowed=allowed(f"127.0.0.1:{own_port}")))
        files = FilesConnector()
        tables = json.dumps({"t": {"files": ["1.csv"]}})
        config = files.parse_config({"location": web.url, "tables": tables, "ssl_ca": web.certificate}, around)

        def asked(target: str) -> SourceError | None:
            web.move("/1.csv", target)
            try:
                files.validate(config)
            except SourceError as error:
                return error
            return None

        for host in forbidden:
            for target in (f"https://{host}/1.csv", f"//{host}/1.csv"):
                assert isinstance(asked(target), SourceError), target
                assert listeners.reached() == [], target
        for host in ("127.0.0.1", "169.254.169.254", "[::1]", "intranet", "mixed.example"):
            assert isinstance(asked(f"https://{host}/1.csv"), ForbiddenHostError)
        assert not isinstance(asked("https://evil.example/1.csv"), ForbiddenHostError)
        assert set(listeners.reached()) == {(PUBLIC, 443)}
        assert isinstance(asked("https://evil.example/1.csv"), ForbiddenHostError)
        assert listeners.reached() == []
        # On to the server itself, which may be asked: and from there to where nobody may.
        web.move("/2.csv", "https://127.0.0.1/1.csv")
        assert isinstance(asked("/2.csv"), ForbiddenHostError)
        assert listeners.reached() == []


def silence() -> None:
    """Whoever is to say what a name leads to says nothing: who waits for it waits no longer than it was to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        for kind in ("plain", "Postgres", "MySQL", "bastion", "S3", "object"):
            begun = time.monotonic()
            error = attempt(kind, "slow.example", seconds=1)
            assert isinstance(error, UnreachableError), (kind, error)
            assert " in time: " in error.message, (kind, error)
            assert time.monotonic() - begun < 2, kind


@pytest.mark.parametrize(
    "act",
    [
        rebinding,
        several_addresses,
        *(
            pytest.param(act, marks=pytest.mark.long)
            for act in (allow_list, between_check_and_connection, redirects, silence)
        ),
    ],
)
def test_names_of_a_stranger(act: Callable[[], None]) -> None:
    run_apart(act)
