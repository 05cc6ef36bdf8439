"""Which addresses a host that a user names may have. Pure.

An address is judged as what it leads to: one that has another one inside, as IPv6 has several ways to, is judged by
both. Anything that is not on the public internet is refused, and so is what clouds keep for their own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from connectors.errors import ConfigurationError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SETTING = "SYNCLINE_OUTBOUND_ALLOW"
_HOST_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.\-]*[A-Za-z0-9_])?")
_PORT = re.compile(r"[0-9]{1,5}")

# Public by number, and yet the provider's own.
_CLOUDS = (ip_address("168.63.129.16"), ip_address("169.254.169.254"), ip_address("100.100.100.200"))
_NAT64 = ip_network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
_GLOBAL = ip_network("2000::/3")
"""All of IPv6 that is given out to anybody."""
_RESERVED = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20")))
"""What Python's own tables do not have in every version."""


class ForbiddenHostError(ConfigurationError):
    """The host is one that this installation does not connect to."""

    code = "forbidden_host"


@dataclass(frozen=True)
class Allowed:
    """What the operator lets through: a network or a host's name (``*.`` stands for any below), at a port or at all."""

    network: Network | None = None
    name: str | None = None
    port: int | None = None

    def lets(self, host: str, address: Address, port: int) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return address in self.network
        name, wanted = _plain(host), self.name or ""
        return name.endswith(wanted[1:]) if wanted.startswith("*.") else name == wanted


@dataclass(frozen=True)
class OutboundPolicy:
    """``guarded``: addresses that are not public are refused, but for what is ``allowed``. Picklable."""

    guarded: bool = True
    allowed: tuple[Allowed, ...] = ()

    def check(self, host: str, address: str, port: int, *, attr: str | None = None) -> None:
        """``ForbiddenHostError``, under ``attr``, where a host may not have this address.

        Tells the kind of the address and not the address: names of the operator's network are none of the user's.
        """
        if not self.guarded:
            return
        found = ip_address(address.partition("%")[0])
        if any(each.lets(host, found, port) for each in self.allowed):
            return
        if kind := unfit(found):
            raise ForbiddenHostError(
                f"The host {host} leads to {kind} address, and this installation connects to public ones only. "
                f"Its operator can allow it with {SETTING}.",
                attr=attr,
            )


CLOSED = OutboundPolicy()
OPEN = OutboundPolicy(guarded=False)


def allowed(text: str) -> tuple[Allowed, ...]:
    """The entries of a list such as ``10.1.0.0/16, db.internal:5432, *.corp.example, [fd00::1]:5432``.

    ``ValueError`` names the one that is none.
    """
    return tuple(_entry(part.strip()) for part in text.split(",") if part.strip())


def unfit(address: Address) -> str | None:
    """What an address is that is not a public one, with its article; None for a public one."""
    return next((kind for each in _meant(address) if (kind := _kind(each))), None)


def _entry(text: str) -> Allowed:
    host, port = _parted(text)
    try:
        return Allowed(network=ip_network(host), port=port)
    except ValueError:
        if _HOST_NAME.fullmatch(host) and not re.fullmatch(r"[0-9.]*", host):
            return Allowed(name=_plain(host), port=port)
    raise ValueError(f"{text!r} is neither an address, a network (10.1.0.0/16), nor the name of a host.")


def _parted(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, port = text.split(":")
    else:
        host, port = text, ""
    if port and not (_PORT.fullmatch(port) and 1 <= int(port) <= 65535):
        raise ValueError(f"{text!r} has a port that is no number from 1 to 65535.")
    return host, int(port) if port else None


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _meant(address: Address) -> Iterator[Address]:
    """The address, and those inside of it."""
    yield address
    if isinstance(address, IPv4Address):
        return
    inside = address.ipv4_mapped or address.sixtofour
    if inside is not None:
        yield inside
    if address in _NAT64 or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def _kind(address: Address) -> str | None:
    if address in _CLOUDS:
        return "a cloud's metadata"
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or address in _NAT64):
        # As good or bad as the one inside.
        return None
    if address.is_loopback:
        return "a loopback"
    if address.is_unspecified:
        return "an unspecified"
    if address.is_link_local:
        return "a link-local"
    if address.is_multicast:
        return "a multicast"
    if address.is_private:
        return "a private"
    if not address.is_global or address.is_reserved or any(address in network for network in _RESERVED):
        return "a reserved"
    return "a reserved" if address.version == 6 and address not in _GLOBAL else None
