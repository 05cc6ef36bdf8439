"""A network of a process' own, in which any address can be this machine's and any name can lead anywhere.

Linux gives a process a network and files of its own, if it is allowed to make them: as root, or as anybody where the
machine lets accounts make namespaces. Everybody else's network and resolver stay as they are.
"""

import fcntl
import importlib
import ipaddress
import os
import selectors
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SIOCSIFFLAGS, _SIOCSIFADDR, _UP = 0x8914, 0x8916, 0x1
_FILES = {
    "/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost\n10.0.0.5 intranet\n",
}


@cache
def unpermitted() -> str | None:
    """Why this machine gives no network to a process of ours; None where it does."""
    probe = subprocess.run([*_unshared(), "true"], capture_output=True, text=True, check=False)
    return f"no network of one's own here: {probe.stderr.strip()}" if probe.returncode else None


def run_apart(act: Callable[[], None]) -> None:
    """Call a function of a module in a process with a network of its own. Fails with what that process had to say."""
    command = [*_unshared(), sys.executable, "-m", "tests.kit.own_network", act.__module__, act.__qualname__]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=240)
    assert done.returncode == 0, done.stderr


@dataclass
class Listeners:
    """Takes connections to every address of the network, at some ports, and hangs up at once."""

    ports: tuple[int, ...]
    _taken: list[tuple[str, int, tuple[str, int]]] = field(default_factory=list)
    _more: threading.Condition = field(default_factory=threading.Condition)

    def reached(self) -> list[tuple[str, int]]:
        """The addresses and ports of ours that were connected to since it was asked last."""
        for port in self.ports:
            with socket.create_connection(("127.0.0.1", port)) as own:
                mark = ("127.0.0.1", port, own.getsockname())
                with self._more:
                    while mark not in self._taken:
                        assert self._more.wait(10), "the listener to take our own connection"
                    # Connections are taken in their order: what came before is there.
                    self._taken.remove(mark)
        with self._more:
            taken, self._taken = self._taken, []
        return [(address, port) for address, port, _ in taken]

    def _serve(self, servers: Sequence[socket.socket]) -> None:
        with selectors.DefaultSelector() as selector:
            for server in servers:
                selector.register(server, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    line, client = key.fileobj.accept()  # type: ignore[union-attr]
                    address, port = line.getsockname()[:2]
                    line.close()
                    with self._more:
                        self._taken.append((_plain(address), port, (_plain(client[0]), client[1])))
                        self._more.notify_all()


@contextmanager
def listening(*ports: int) -> Iterator[Listeners]:
    servers = [socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) for port in ports]
    listeners = Listeners(ports)
    # Ends with the process.
    threading.Thread(target=listeners._serve, args=(servers,), daemon=True).start()
    yield listeners


def own(*addresses: str) -> None:
    """Have these addresses lead to this process' machine."""
    for number, address in enumerate(addresses):
        found = ipaddress.ip_address(address)
        if found.version == 4:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                request = struct.pack("16sH2s4s8x", f"lo:{number}".encode(), socket.AF_INET, b"", found.packed)
                fcntl.ioctl(control, _SIOCSIFADDR, request)
        else:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
                fcntl.ioctl(control, _SIOCSIFADDR, struct.pack("16sIi", found.packed, 128, socket.if_nametoindex("lo")))


def unplug() -> None:
    """From now on nothing is heard of anybody."""
    _set_flags(0)


def _unshared() -> list[str]:
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["/usr/bin/env", "unshare", *as_root, "--net", "--mount"]


def _plain(address: str) -> str:
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def _settle() -> None:
    """The loopback, and a resolver that asks it."""
    _set_flags(_UP)
    with tempfile.TemporaryDirectory() as folder:
        for path, text in _FILES.items():
            file = Path(folder, Path(path).name)
            file.write_text(text)
            # It stays there when its folder goes.
            subprocess.run(["/usr/bin/env", "mount", "--bind", str(file), path], check=True)


def _set_flags(flags: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags))


def main(module: str, function: str) -> None:
    _settle()
    getattr(importlib.import_module(module), function)()


if __name__ == "__main__":
    main(*sys.argv[1:])
