"""A DNS server that answers a name with other addresses each time it is asked."""

import ipaddress
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

A, CNAME, AAAA = 1, 5, 28
_ANSWER, _NO_SUCH_NAME = 0x8580, 0x8583
_HEADER = struct.Struct("!HHHHHH")


@dataclass
class Names:
    """What each name leads to: addresses, and other names (which become CNAMEs), by turns.

    A turn is one look-up, which asks for both kinds of addresses; after the last one the last holds on. ``asked``
    counts look-ups.
    """

    turns: Mapping[str, Sequence[Sequence[str]]]
    asked: Counter[str] = field(default_factory=Counter)
    _questions: Counter[tuple[str, int]] = field(default_factory=Counter)

    def answer(self, name: str, kind: int) -> list[tuple[str, int, bytes]] | None:
        """Records, as names, kinds and data; None where there is no such name."""
        name = name.lower()
        turns = self.turns.get(name)
        if turns is None:
            return None
        number = self._questions[name, kind]
        self._questions[name, kind] += 1
        self.asked[name] = max(self.asked[name], number + 1)
        records: list[tuple[str, int, bytes]] = []
        for target in turns[min(number, len(turns) - 1)]:
            if (found := _address(target)) is None:
                records += [(name, CNAME, _encoded(target)), *(self.answer(target, kind) or ())]
            elif kind == (A if found.version == 4 else AAAA):
                records.append((name, kind, found.packed))
        return records


@contextmanager
def run_dns(names: Names, address: str = "127.0.0.1", port: int = 53) -> Iterator[None]:
    """Over UDP. Nothing may be kept by who asks: each record lives for no time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, port))
        over = threading.Event()

        def serve() -> None:
            while True:
                question, asker = server.recvfrom(4096)
                if over.is_set():
                    return
                with suppress(OSError):
                    server.sendto(_reply(names, question), asker)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", (address, port))
            thread.join()


def _reply(names: Names, question: bytes) -> bytes:
    number = _HEADER.unpack_from(question)[0]
    labels, place = [], _HEADER.size
    while size := question[place]:
        labels.append(question[place + 1 : place + 1 + size].decode())
        place += 1 + size
    (kind,) = struct.unpack_from("!H", question, place + 1)
    asked = question[_HEADER.size : place + 5]
    records = names.answer(".".join(labels), kind)
    status = _NO_SUCH_NAME if records is None else _ANSWER
    header = _HEADER.pack(number, status, 1, len(records or ()), 0, 0)
    return header + asked + b"".join(_record(*each) for each in records or ())


def _record(name: str, kind: int, data: bytes) -> bytes:
    return _encoded(name) + struct.pack("!HHIH", kind, 1, 0, len(data)) + data


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
