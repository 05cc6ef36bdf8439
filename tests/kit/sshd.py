"""OpenSSH's own server, run by an account without rights: it lets in the account itself, by a key."""

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import psutil

from local.accounts import provide_folder, server_account
from local.binaries import server_environment
from local.ports import LOOPBACK, choose_ports
from local.process import Account, ChildProcess, Command
from tests.kit.debian import debian_program
from tests.kit.servers import server_folder


@dataclass
class Sshd:
    port: int
    user: str
    key: asyncssh.SSHKey
    """That it lets in."""
    host_keys: dict[str, asyncssh.SSHKey]
    """By their kinds."""
    _process: ChildProcess

    def inputs(self, **changes: str | int) -> dict[str, str | int]:
        """What a user types into the form."""
        return {
            "ssh_host": LOOPBACK,
            "ssh_port": self.port,
            "ssh_user": self.user,
            "ssh_private_key": self.key.export_private_key("openssh").decode(),
            "ssh_host_key": self.host_line("ssh-ed25519"),
            **changes,
        }

    def host_line(self, kind: str) -> str:
        """As in ``known_hosts``."""
        return f"[{LOOPBACK}]:{self.port} {self.host_keys[kind].export_public_key('openssh').decode()}"

    def kill(self) -> None:
        """With all that goes through it."""
        connections = self._connections()
        self._process.kill()
        for each in connections:
            with suppress(psutil.NoSuchProcess):
                each.kill()

    def freeze(self) -> None:
        """What goes through it hangs, and nobody hears of it."""
        for each in self._connections():
            each.suspend()

    def _connections(self) -> list[psutil.Process]:
        """The process of each, in a session of its own."""
        return psutil.Process(self._process.pid).children(recursive=True)

    def restart(self) -> None:
        """On the same port, with the same keys."""
        self._process.start()
        self._process.wait_ready()


@contextmanager
def run_sshd(**options: str) -> Iterator[Sshd]:
    """``options`` of ``sshd_config``, besides ours or in their place."""
    account = server_account()
    port = choose_ports(["sshd"])["sshd"]
    key = asyncssh.generate_private_key("ssh-ed25519")
    host_keys = {kind: asyncssh.generate_private_key(kind) for kind in ("ssh-ed25519", "ssh-rsa")}
    with server_folder() as parent:
        folder = provide_folder(parent / "sshd", account)
        files = {
            **{folder / kind: each.export_private_key("openssh") for kind, each in host_keys.items()},
            folder / "authorized_keys": key.export_public_key("openssh"),
        }
        settings = {
            "Port": str(port),
            "ListenAddress": LOOPBACK,
            "AuthorizedKeysFile": str(folder / "authorized_keys"),
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "MaxStartups": "100",
            **options,
        }
        lines = [f"HostKey {folder / kind}" for kind in host_keys]
        lines += [f"{name} {value}" for name, value in settings.items()]
        files[folder / "sshd_config"] = ("\n".join(lines) + "\n").encode()
        for path, content in files.items():
            _write(path, content, account)
        process = ChildProcess(_command(folder, port, account))
        process.start()
        try:
            process.wait_ready()
            user = pwd.getpwuid(account.uid if account else os.getuid()).pw_name
            server = Sshd(port, user, key, host_keys, process)
            yield server
            if process.is_running():
                server.kill()
        finally:
            process.kill()


def _command(folder: Path, port: int, account: Account | None) -> Command:
    program = debian_program("openssh-server", "usr/sbin/sshd")
    return Command(
        name="sshd",
        argv=(str(program.path), "-D", "-e", "-f", str(folder / "sshd_config")),
        env=server_environment(LD_LIBRARY_PATH=program.libraries),
        log_path=folder / "sshd.log",
        is_ready=lambda: _answers(port),
        account=account,
    )


def _write(path: Path, content: bytes, account: Account | None) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
    if account:
        os.chown(path, account.uid, account.gid)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), 1) as line:
            return line.recv(4) == b"SSH-"
    except OSError:
        return False
