"""What ``syncline up`` keeps in its home from one start to the next."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.errors import HomeInUseError


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def load_ports(home: Path) -> dict[str, int]:
    """The ports of the last start; empty where there was none."""
    try:
        stored = json.loads(_state_file(home).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return {name: port for name, port in stored.get("ports", {}).items() if isinstance(port, int)}


def save_ports(home: Path, ports: Mapping[str, int]) -> None:
    write_private(_state_file(home), json.dumps({"ports": dict(ports)}, indent=2) + "\n")


@contextmanager
def hold_home(home: Path) -> Iterator[None]:
    """Be the only ``syncline up`` of this home. The lock ends with this process, however that ends."""
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    with (home / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise HomeInUseError(
                f"Syncline is already running in {home} (process {lock.read().strip()}). "
                "Stop it first, or choose another folder with SYNCLINE_HOME."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _state_file(home: Path) -> Path:
    return home / "state.json"
