"""Every way in which a tunnel does not open has its own sentence and field, and none of them tells a secret."""

import asyncio
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from connectors.errors import ConfigurationError, CredentialsError, SourceError, UnreachableError
from connectors.tunnels import connection as tunnelling
from tests.connectors.source import POSTGRES, Source
from tests.kit.platform import eventually
from tests.kit.sshd import Sshd, run_sshd

SECRET = "s3cret pass'word "


def refusal(source: Source, sshd: Sshd, **changes: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        POSTGRES.validate(source.config(**sshd.inputs(**changes)))
    message = caught.value.message
    assert message.endswith(".")
    assert "\n" not in message
    chain: BaseException | None = caught.value
    while chain is not None:
        assert SECRET not in str(chain)
        assert "PRIVATE KEY" not in str(chain) or "BEGIN …" in str(chain)
        chain = chain.__cause__ or chain.__context__
    return caught.value


def test_a_host_key_that_is_not_given_is_shown(source18: Source, sshd: Sshd) -> None:
    missing = refusal(source18, sshd, ssh_host_key="")
    fingerprint = sshd.host_keys["ssh-ed25519"].get_fingerprint()
    assert (type(missing), missing.attr) == (ConfigurationError, "ssh_host_key")
    assert f"shows the host key ssh-ed25519 {fingerprint}:" in missing.message
    for known in (fingerprint, f"ssh-ed25519 {fingerprint}", sshd.host_line("ssh-rsa")):
        POSTGRES.validate(source18.config(**sshd.inputs(ssh_host_key=known)))


def test_another_host_key(source18: Source, sshd: Sshd) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    wrong = refusal(source18, sshd, ssh_host_key=other.export_public_key("openssh").decode())
    assert (type(wrong), wrong.attr) == (ConfigurationError, "ssh_host_key")
    assert sshd.host_keys["ssh-ed25519"].get_fingerprint() in wrong.message
    assert other.get_fingerprint() in wrong.message
    absent = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key("openssh").decode()
    assert refusal(source18, sshd, ssh_host_key=absent).attr == "ssh_host_key"


def test_hosts_that_do_not_answer(source18: Source, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = refusal(source18, sshd, ssh_host="nowhere.invalid")
    assert (type(unknown), unknown.attr) == (UnreachableError, "ssh_host")
    assert "nowhere.invalid is unknown" in unknown.message
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    refused = refusal(source18, sshd, ssh_port=port)
    assert (refused.attr, refused.message[:15]) == ("ssh_host", "Nothing answers")
    monkeypatch.setattr(tunnelling, "LOGIN_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        late = refusal(source18, sshd, ssh_port=silent.getsockname()[1])
    assert (type(late), late.attr) == (UnreachableError, "ssh_host")
    assert "did not answer in time" in late.message


def test_no_ssh_server_behind_the_port(source18: Source, sshd: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            client, _ = other.accept()
            with client:
                client.sendall(b"220 mail.example.com ESMTP\r\n" * 2000)

        thread = threading.Thread(target=greet)
        thread.start()
        error = refusal(source18, sshd, ssh_port=other.getsockname()[1])
        thread.join()
    assert (type(error), error.attr) == (UnreachableError, "ssh_host")


def test_a_key_that_is_not_known_there(source18: Source, sshd: Sshd) -> None:
    error = refusal(source18, sshd, ssh_private_key=exported(asyncssh.generate_private_key("ssh-ed25519")))
    assert (type(error), error.attr) == (CredentialsError, "ssh_private_key")
    assert f"does not take the private key for the user {sshd.user}" in error.message


def test_a_user_that_is_no_name(source18: Source, sshd: Sshd) -> None:
    error = refusal(source18, sshd, ssh_user="tun\x01nel")
    assert (type(error), error.attr) == (ConfigurationError, "ssh_user")


def test_passwords_that_nobody_may_log_in_with(source18: Source, sshd: Sshd) -> None:
    error = refusal(source18, sshd, ssh_private_key="", ssh_password=SECRET)
    assert (type(error), error.attr) == (CredentialsError, "ssh_private_key")
    assert "lets nobody log in with a password" in error.message


@dataclass
class PasswordServer(asyncssh.SSHServer):
    """Lets one user in by a password, and leads wherever it is asked to."""

    password: str
    kbdint: bool

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return not self.kbdint

    def validate_password(self, username: str, password: str) -> bool:
        return password == self.password

    def kbdint_auth_supported(self) -> bool:
        return self.kbdint

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> tuple[Any, ...]:
        return "", "", "", [("Password:", False)]

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        return list(responses) == [self.password]

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return True


@contextmanager
def password_server(key: asyncssh.SSHKey, *, kbdint: bool = False) -> Iterator[int]:
    """In a thread; its port. (A real sshd checks passwords as root only.)"""
    loop, ready, port = asyncio.new_event_loop(), threading.Event(), 0

    async def serve() -> None:
        nonlocal port
        server = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=lambda: PasswordServer(SECRET, kbdint), server_host_keys=[key]
        )
        port = server.get_port()
        ready.set()
        await ended.wait()
        server.close()

    ended = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


@pytest.mark.parametrize("kbdint", [False, True], ids=["password", "keyboard-interactive"])
def test_passwords(source18: Source, sshd: Sshd, kbdint: bool) -> None:
    source18.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (7)")
    key = asyncssh.generate_private_key("ssh-ed25519")
    fields: dict[str, Any] = {"ssh_private_key": "", "ssh_password": SECRET, "ssh_host_key": key.get_fingerprint()}
    with password_server(key, kbdint=kbdint) as fields["ssh_port"]:
        assert source18.read("t", config=source18.config(**sshd.inputs(**fields))).column("id") == [7]
        wrong = refusal(source18, sshd, **fields | {"ssh_password": "wrong"})
        assert (type(wrong), wrong.attr) == (CredentialsError, "ssh_password")
        assert f"does not take the password for the user {sshd.user}" in wrong.message
        trimmed = refusal(source18, sshd, **fields | {"ssh_password": SECRET.strip()})
        assert trimmed.attr == "ssh_password"
        keyed = refusal(source18, sshd, **fields | {"ssh_password": "", "ssh_private_key": exported(sshd.key)})
        assert (type(keyed), keyed.attr) == (CredentialsError, "ssh_password")
        assert "lets nobody log in with a key" in keyed.message


def test_nothing_is_sent_to_a_server_that_has_not_proved_itself(source18: Source, sshd: Sshd) -> None:
    key, asked = asyncssh.generate_private_key("ssh-ed25519"), []

    class Spy(PasswordServer):
        def begin_auth(self, username: str) -> bool:
            asked.append(username)
            return True

    with password_server(key) as port, pytest.MonkeyPatch.context() as patched:
        patched.setattr(PasswordServer, "begin_auth", Spy.begin_auth)
        for known in ("", sshd.host_line("ssh-ed25519")):
            error = refusal(source18, sshd, ssh_port=port, ssh_password=SECRET, ssh_host_key=known)
            assert error.attr == "ssh_host_key"
        assert asked == []
        POSTGRES.validate(
            source18.config(
                **sshd.inputs(
                    ssh_port=port, ssh_password=SECRET, ssh_private_key="", ssh_host_key=key.get_fingerprint()
                )
            )
        )
        assert asked == [sshd.user]


def test_a_server_that_does_not_lead_on(source18: Source) -> None:
    with run_sshd(AllowTcpForwarding="no") as closed:
        error = refusal(source18, closed)
    assert (type(error), error.attr) == (ConfigurationError, "ssh_host")
    assert f"does not let {closed.user} go on to 127.0.0.1, port {source18.server.port}" in error.message
    with run_sshd(PermitOpen="127.0.0.1:1") as other:
        assert refusal(source18, other).attr == "ssh_host"
    with run_sshd(PermitOpen=f"127.0.0.1:{source18.server.port}") as fitting:
        POSTGRES.validate(source18.config(**fitting.inputs()))


def test_a_database_that_is_not_behind_it(source18: Source, sshd: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    refused = refusal(source18, sshd, port=port)
    assert (type(refused), refused.attr) == (UnreachableError, "host")
    assert f"Nothing answers on 127.0.0.1, port {port}, as seen from the SSH server" in refused.message
    unknown = refusal(source18, sshd, host="nowhere.invalid")
    assert (type(unknown), unknown.attr) == (UnreachableError, "host")
    assert "nowhere.invalid is unknown, as seen from the SSH server" in unknown.message
    database = refusal(source18, sshd, password="wrong" + SECRET)
    assert (type(database), database.attr) == (CredentialsError, "password")


def test_what_the_workers_own_account_has_is_not_used(
    source18: Source, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right key as its default one and in its agent, the right host key in its known_hosts, settings of its own."""
    folder = tmp_path / ".ssh"
    folder.mkdir(mode=0o700)
    own = folder / "id_ed25519"
    own.touch(mode=0o600)
    own.write_text(exported(sshd.key))
    (folder / "known_hosts").write_text(sshd.host_line("ssh-ed25519"))
    (folder / "config").write_text(f"Host *\n  IdentityFile {own}\n  StrictHostKeyChecking no\n  ProxyCommand false\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    agent = tmp_path / "agent"
    with subprocess.Popen(["/usr/bin/env", "ssh-agent", "-D", "-a", str(agent)], stdout=subprocess.DEVNULL) as running:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        eventually(agent.exists, "the agent")
        subprocess.run(["/usr/bin/env", "ssh-add", "-q", str(own)], check=True)
        other = exported(asyncssh.generate_private_key("ssh-ed25519"))
        assert refusal(source18, sshd, ssh_private_key=other).attr == "ssh_private_key"
        assert refusal(source18, sshd, ssh_private_key="", ssh_password=SECRET).attr == "ssh_private_key"
        assert refusal(source18, sshd, ssh_host_key="").attr == "ssh_host_key"
        POSTGRES.validate(source18.config(**sshd.inputs()))
        running.terminate()


def exported(key: asyncssh.SSHKey) -> str:
    return key.export_private_key("openssh").decode()
