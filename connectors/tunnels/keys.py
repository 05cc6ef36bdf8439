"""Keys as users paste them: that of the SSH server, which is known, and their own, which is secret. Pure."""

import base64
import binascii
import hashlib
import re
import struct
from dataclasses import dataclass
from itertools import pairwise

from connectors.errors import ConfigurationError

ALGORITHMS = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""The kinds of host keys, in the order in which they are asked for, and the signatures that are taken from them."""
MOST_CHARACTERS = 10_000
"""Of a private key: a larger one would take long to be computed with."""
MOST_ROUNDS = 256
"""Of turning a passphrase into a key, each of which takes some milliseconds."""

_FINGERPRINT = re.compile(r"(SHA256:[A-Za-z0-9+/]{43})=?")
_KINDS_IN_LISTINGS = {"(ED25519)": "ssh-ed25519", "(RSA)": "ssh-rsa"}
_OPENSSH = re.compile(r"-----BEGIN OPENSSH PRIVATE KEY-----(.*)-----END OPENSSH PRIVATE KEY-----", re.DOTALL)
_PEM = re.compile(r"-----BEGIN ((RSA |EC |ENCRYPTED )?PRIVATE KEY)-----.*-----END \1-----", re.DOTALL)
_OPENSSH_MAGIC = b"openssh-key-v1\0"


@dataclass(frozen=True)
class HostKey:
    """``kind`` None: a key of any kind that has this fingerprint."""

    fingerprint: str
    kind: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}" if self.kind else self.fingerprint

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The signatures to ask the server for: of its keys it shows the one that it is asked for first."""
        first = ALGORITHMS[self.kind] if self.kind else ()
        return tuple(dict.fromkeys((*first, *EVERY_ALGORITHM)))


EVERY_ALGORITHM = tuple(each for algorithms in ALGORITHMS.values() for each in algorithms)


def host_key(text: str) -> HostKey | None:
    """From a fingerprint, as ``ssh-keygen -l`` shows it, or a line of ``known_hosts``; None where there is no text."""
    words = text.split()
    if not words:
        return None
    kinds = [_KINDS_IN_LISTINGS.get(word, word) for word in words if word in _KINDS_IN_LISTINGS or word in ALGORITHMS]
    for word in words:
        if found := _FINGERPRINT.fullmatch(word):
            return HostKey(found[1], kinds[0] if kinds else None)
    if not any(word.startswith("@") for word in words):
        for kind, key in pairwise(words):
            if kind in ALGORITHMS and (fingerprint := _fingerprint(kind, key)):
                return HostKey(fingerprint, kind)
    raise ConfigurationError(
        "The host key must be a fingerprint (ssh-ed25519 SHA256:…) or a line of known_hosts, of a key that is "
        "Ed25519, ECDSA or RSA.",
        attr="ssh_host_key",
    )


def _fingerprint(kind: str, text: str) -> str | None:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    name = kind.encode()
    if not key.startswith(struct.pack(">I", len(name)) + name):
        return None
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def private_key(text: str, passphrase: str) -> str:
    """The key as PEM without a passphrase; empty where there is none.

    ``ConfigurationError`` where it is malformed, of no use for logins, or the passphrase is missing or wrong.
    """
    if not text:
        return ""
    if len(text) > MOST_CHARACTERS:
        raise _malformed()
    tidy = "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"
    openssh, pem = _OPENSSH.fullmatch(tidy.strip()), _PEM.fullmatch(tidy.strip())
    if openssh:
        encrypted = _is_encrypted(openssh[1])
    elif pem is None:
        raise _malformed()
    elif pem[1].startswith("ENCRYPTED"):
        # How long its passphrase takes to try is up to whoever wrote it.
        raise ConfigurationError(
            "A private key that is encrypted in this format is not taken: have `ssh-keygen -p -f KEY` write it in "
            "OpenSSH's own.",
            attr="ssh_private_key",
        )
    else:
        encrypted = "Proc-Type: 4,ENCRYPTED" in tidy
    if encrypted and not passphrase:
        raise ConfigurationError("The private key is encrypted: give its passphrase.", attr="ssh_passphrase")
    return _decrypted(tidy.encode(), passphrase.encode() if encrypted else None, is_openssh=openssh is not None)


def _is_encrypted(body: str) -> bool:
    """Whether a key in OpenSSH's format is, and with how much work: format of PROTOCOL.key in OpenSSH's sources."""
    try:
        data = base64.b64decode("".join(body.split()), validate=True)
        if not data.startswith(_OPENSSH_MAGIC):
            raise _malformed()
        cipher, rest = _string(data[len(_OPENSSH_MAGIC) :])
        _, rest = _string(rest)
        options, _ = _string(rest)
        if cipher == b"none":
            return False
        _, rounds = _string(options)
        (count,) = struct.unpack(">I", rounds)
    except (binascii.Error, struct.error) as error:
        raise _malformed() from error
    if count > MOST_ROUNDS:
        raise ConfigurationError(
            f"The private key's passphrase takes more than {MOST_ROUNDS} rounds: have `ssh-keygen -p -a 64 -f KEY` "
            "write it with fewer.",
            attr="ssh_private_key",
        )
    return True


def _string(data: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack_from(">I", data)
    return data[4 : 4 + length], data[4 + length :]


def _decrypted(data: bytes, passphrase: bytes | None, *, is_openssh: bool) -> str:
    # A process that has no key to read need not load what reads them.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    try:
        key = load(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the cause: it may speak of the key.
        if passphrase is not None:
            raise ConfigurationError("The passphrase of the private key is wrong.", attr="ssh_passphrase") from None
        raise _malformed() from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise ConfigurationError("The private key must be an Ed25519, ECDSA or RSA key.", attr="ssh_private_key")
    # Of the formats without a passphrase this one is the same for the same key each time.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _malformed() -> ConfigurationError:
    return ConfigurationError(
        "The private key must be the whole text of its file, from -----BEGIN … PRIVATE KEY----- to its end.",
        attr="ssh_private_key",
    )
