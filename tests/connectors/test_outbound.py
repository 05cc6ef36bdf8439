"""What a stranger might try to have Syncline connect to."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from connectors.errors import UnreachableError
from connectors.outbound import CLOSED, OPEN, ForbiddenHostError, OutboundPolicy, allowed, connect_to, resolve
from connectors.outbound.policy import unfit

FORBIDDEN = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255"),  # noqa: S104
    *("192.168.0.1", "169.254.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16"),
    *("192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "192.88.99.1", "224.0.0.1"),
    *("239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1", "2001:db8::1", "3fff::1"),
    # Others inside: mapped, compatible, translated, NAT64 (its own and an operator's), 6to4, Teredo, ISATAP.
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:a00:1::1", "2001:0:808:808:0:0:f5ff:fffe"),
    *("2606:4700:0:0:0:5efe:a00:1", "2606:4700:0:0:200:5efe:7f00:1"),
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_addresses_that_are_not_public(address: str) -> None:
    assert unfit(ip_address(address)) is not None
    with pytest.raises(ForbiddenHostError, match="public ones only") as caught:
        CLOSED.check("evil.example", address, 5432, attr="host")
    assert caught.value.attr == "host"
    assert address not in caught.value.message
    OPEN.check("evil.example", address, 5432)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert unfit(ip_address(address)) is None
    CLOSED.check("db.example.com", address, 5432)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001"),
        *("0x7f.0.0.1", "0177.0.0.1", "017700000001", "0", "0.0.0.0", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"),  # noqa: S104
        *("10.1", "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "①②⑦.⓪.⓪.①", "127。0。0。1"),
    ],
)
def test_spellings_of_hosts(host: str) -> None:
    """However the system reads it: refused for what it leads to, or no name of anything."""
    with pytest.raises((ForbiddenHostError, UnreachableError)):
        resolve(CLOSED, host, 80)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses by name, in place of the system's resolver."""
    known: dict[str, list[str]] = {}

    def answer(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return known


def test_a_name_with_several_addresses_is_refused_for_any_of_them(names: dict[str, list[str]]) -> None:
    names["mixed.example"] = ["93.184.216.34", "10.0.0.1"]
    with pytest.raises(ForbiddenHostError, match=r"mixed\.example leads to a private address"):
        resolve(CLOSED, "mixed.example", 5432)
    names["mixed.example"] = ["93.184.216.34", "93.184.216.35"]
    assert resolve(CLOSED, "mixed.example", 5432) == ["93.184.216.34", "93.184.216.35"]


def test_a_name_is_resolved_once_for_a_connection(names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: what was checked is what is connected to."""
    asked: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        names["rebinding.example"] = ["127.0.0.1"]
        asked.append(address)
        return socket.socket()

    names["rebinding.example"] = ["93.184.216.34"]
    monkeypatch.setattr(socket, "create_connection", connect)
    connect_to(CLOSED, "rebinding.example", 443, 1).close()
    assert asked == [("93.184.216.34", 443)]
    with pytest.raises(ForbiddenHostError):
        connect_to(CLOSED, "rebinding.example", 443, 1)


@pytest.mark.parametrize(
    ("entries", "host", "address", "port", "passes"),
    [
        ("10.1.0.0/16", "db.example", "10.1.2.3", 5432, True),
        ("10.1.0.0/16", "db.example", "10.2.0.1", 5432, False),
        ("10.1.2.3", "db.example", "10.1.2.3", 1, True),
        ("10.1.2.3:5432", "db.example", "10.1.2.3", 5432, True),
        ("10.1.2.3:5432", "db.example", "10.1.2.3", 22, False),
        ("db.internal", "DB.internal.", "192.168.3.4", 5432, True),
        ("db.internal", "other.db.internal", "192.168.3.4", 5432, False),
        ("db.internal", "xdb.internal", "192.168.3.4", 5432, False),
        ("*.corp.example", "db.corp.example", "192.168.3.4", 5432, True),
        ("*.corp.example", "corp.example", "192.168.3.4", 5432, False),
        ("*.corp.example", "evilcorp.example", "192.168.3.4", 5432, False),
        ("*.corp.example:5432", "db.corp.example", "192.168.3.4", 3306, False),
        ("[fd00::1]:5432", "db.example", "fd00::1", 5432, True),
        ("[fd00::1]:5432", "db.example", "fd00::1", 5433, False),
        ("fd00::/64", "db.example", "fd00::99", 5433, True),
        (" 10.0.0.1 , 192.168.0.0/24,", "db.example", "192.168.0.9", 1, True),
        ("", "db.example", "10.0.0.1", 1, False),
        # An address inside of another one is not the address.
        ("127.0.0.1", "db.example", "::ffff:127.0.0.1", 1, False),
    ],
)
def test_the_allow_list_lets_through_just_what_it_names(
    entries: str, host: str, address: str, port: int, passes: bool
) -> None:
    policy = OutboundPolicy(allowed=allowed(entries))
    if passes:
        policy.check(host, address, port)
    else:
        with pytest.raises(ForbiddenHostError):
            policy.check(host, address, port)


@pytest.mark.parametrize(
    "entry", ["10.0.0.0/33", "10.0.0.1/8", "1.2.3", "a b", "db:0", "db:99999", "db:x", "*", "*.", "http://db"]
)
def test_entries_that_are_none(entry: str) -> None:
    with pytest.raises(ValueError, match=r"is neither|has a port"):
        allowed(f"10.0.0.0/8, {entry}")


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_connection_is_made_where_it_may(listener: int) -> None:
    with connect_to(OPEN, "127.0.0.1", listener, 2) as line:
        assert line.getpeername() == ("127.0.0.1", listener)
    with pytest.raises(ForbiddenHostError):
        connect_to(CLOSED, "127.0.0.1", listener, 2)
    with connect_to(OutboundPolicy(allowed=allowed(f"localhost:{listener}")), "localhost", listener, 2):
        pass


def test_nothing_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"127.0.0.1 does not answer at port {port}"):
        connect_to(OPEN, "127.0.0.1", port, 1)
