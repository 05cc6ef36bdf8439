"""Keys as users paste them, and the fields of a tunnel that are wrong in themselves."""

import pickle
from typing import Any

import asyncssh
import pytest

from connectors.errors import ConfigurationError
from connectors.postgres.config import PostgresConfig, parse_config
from connectors.surroundings import Surroundings

pytestmark = pytest.mark.filterwarnings("ignore:Warning. bcrypt.kdf:UserWarning")
"""Few rounds are no secret's protection, and quick."""

PASSPHRASE = "pass phrase "
KEY = asyncssh.generate_private_key("ssh-ed25519")
TEXT = KEY.export_private_key("openssh").decode()
FINGERPRINT = KEY.get_fingerprint()
LINE = KEY.export_public_key("openssh").decode().strip()


def inputs(**changes: Any) -> dict[str, Any]:
    return {
        "host": "db.internal",
        "database": "shop",
        "user": "reader",
        "password": "secret",
        "ssh_host": "bastion.example.com",
        "ssh_user": "tunnel",
        "ssh_private_key": TEXT,
        "ssh_host_key": LINE,
        **changes,
    }


def parsed(**changes: Any) -> PostgresConfig:
    return parse_config(inputs(**changes), Surroundings())


def refused(**changes: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        parsed(**changes)
    assert caught.value.message.endswith(".")
    chain: BaseException | None = caught.value
    while chain is not None:
        assert PASSPHRASE not in str(chain)
        chain = chain.__cause__ or chain.__context__
    return caught.value


def test_the_fields_become_a_bastion() -> None:
    config = parsed(ssh_port="2222", ssh_password=" pass ")
    assert config.bastion is not None
    assert (config.bastion.host, config.bastion.port, config.bastion.user) == ("bastion.example.com", 2222, "tunnel")
    assert config.bastion.password == " pass "
    assert str(config.bastion.host_key) == f"ssh-ed25519 {FINGERPRINT}"
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301
    assert " pass " not in repr(config)
    assert "PRIVATE KEY" not in repr(config)
    assert parsed().bastion == parsed().bastion
    assert parsed(ssh_host="").bastion is None, "without a host there is no tunnel, whatever else is stored"


@pytest.mark.parametrize(
    ("changes", "attr"),
    [
        ({"ssh_host": "a b"}, "ssh_host"),
        ({"ssh_host": "ssh://bastion"}, "ssh_host"),
        ({"ssh_port": "0"}, "ssh_port"),
        ({"ssh_port": "22x"}, "ssh_port"),
        ({"ssh_user": ""}, "ssh_user"),
        ({"ssh_private_key": ""}, "ssh_private_key"),
        ({"ssh_private_key": "/home/me/.ssh/id_ed25519"}, "ssh_private_key"),
        ({"ssh_private_key": LINE}, "ssh_private_key"),
        ({"ssh_private_key": TEXT[:100]}, "ssh_private_key"),
        ({"ssh_private_key": TEXT.replace("A", "B")}, "ssh_private_key"),
        ({"ssh_private_key": TEXT + TEXT}, "ssh_private_key"),
        ({"ssh_private_key": "x" * 20_000}, "ssh_private_key"),
        ({"ssh_host_key": "bastion.example.com"}, "ssh_host_key"),
        ({"ssh_host_key": "SHA256:short"}, "ssh_host_key"),
        ({"ssh_host_key": "MD5:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"}, "ssh_host_key"),
        ({"ssh_host_key": "ssh-ed25519 AAAA"}, "ssh_host_key"),
        ({"ssh_host_key": "ssh-rsa " + LINE.split()[1]}, "ssh_host_key"),
        ({"ssh_host_key": "@cert-authority * " + LINE}, "ssh_host_key"),
    ],
)
def test_a_malformed_field_is_named(changes: dict[str, Any], attr: str) -> None:
    assert refused(**changes).attr == attr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (FINGERPRINT, FINGERPRINT),
        (FINGERPRINT + "=", FINGERPRINT),
        (f"ssh-ed25519 {FINGERPRINT}", f"ssh-ed25519 {FINGERPRINT}"),
        (f"256 {FINGERPRINT} root@bastion (ED25519)", f"ssh-ed25519 {FINGERPRINT}"),
        (LINE, f"ssh-ed25519 {FINGERPRINT}"),
        (f"# bastion:22 SSH-2.0\nbastion {LINE}\n", f"ssh-ed25519 {FINGERPRINT}"),
        (f"[bastion]:2222,10.0.0.1 {LINE} comment", f"ssh-ed25519 {FINGERPRINT}"),
        ("", "None"),
    ],
    # The key is another one in each process: it is no name for a case.
    ids=["fingerprint", "padded", "kind", "ssh-keygen", "public key", "ssh-keyscan", "known_hosts", "none"],
)
def test_host_keys_as_they_are_pasted(text: str, shown: str) -> None:
    bastion = parsed(ssh_host_key=text).bastion
    assert bastion is not None
    assert str(bastion.host_key) == shown


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_keys_of_every_kind_and_format(kind: str) -> None:
    key = asyncssh.generate_private_key(kind)
    texts = [
        (key.export_private_key("openssh").decode(), ""),
        (key.export_private_key("openssh").decode().replace("\n", "\r\n"), PASSPHRASE),
        (key.export_private_key("openssh", passphrase=PASSPHRASE, rounds=4).decode(), PASSPHRASE),
        (key.export_private_key("pkcs8-pem").decode(), ""),
    ]
    if kind != "ssh-ed25519":
        old = key.export_private_key("pkcs1-pem", passphrase=PASSPHRASE, cipher_name="aes256-cbc").decode()
        texts += [(key.export_private_key("pkcs1-pem").decode(), ""), (old, PASSPHRASE)]
    for text, passphrase in texts:
        bastion = parsed(ssh_private_key=text, ssh_passphrase=passphrase).bastion
        assert bastion is not None
        assert asyncssh.import_private_key(bastion.private_key).public_data == key.public_data


def test_passphrases() -> None:
    old = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    for text in (
        KEY.export_private_key("openssh", passphrase=PASSPHRASE, rounds=4).decode(),
        old.export_private_key("pkcs1-pem", passphrase=PASSPHRASE, cipher_name="aes256-cbc").decode(),
    ):
        missing = refused(ssh_private_key=text)
        assert (missing.attr, "is encrypted: give its passphrase" in missing.message) == ("ssh_passphrase", True)
        wrong = refused(ssh_private_key=text, ssh_passphrase=PASSPHRASE + "x")
        assert (wrong.attr, "passphrase of the private key is wrong" in wrong.message) == ("ssh_passphrase", True)


def test_passphrases_that_would_take_long_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    many = KEY.export_private_key("openssh", passphrase=PASSPHRASE, rounds=4).decode()
    monkeypatch.setattr("connectors.tunnels.keys.MOST_ROUNDS", 3)
    slow = refused(ssh_private_key=many, ssh_passphrase=PASSPHRASE)
    assert (slow.attr, "more than 3 rounds" in slow.message) == ("ssh_private_key", True)
    pkcs8 = KEY.export_private_key("pkcs8-pem", passphrase=PASSPHRASE).decode()
    assert "ssh-keygen -p" in refused(ssh_private_key=pkcs8, ssh_passphrase=PASSPHRASE).message
    dsa = asyncssh.generate_private_key("ssh-dss").export_private_key("pkcs8-pem").decode()
    assert "Ed25519, ECDSA or RSA" in refused(ssh_private_key=dsa).message
