"""Encryption of what must not be readable in the database: the connection details of sources."""

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from metadata.errors import BadEncryptionKeyError, UnreadableSecretError

KEY_FILE = "encryption.key"


class Vault:
    """Encrypts with the first key, decrypts with any: so a new one in front rotates. Thread-safe."""

    def __init__(self, keys: Sequence[str]) -> None:
        """``BadEncryptionKeyError`` where there is no key, or one that is none."""
        given = [key.strip() for key in keys if key.strip()]
        if not given:
            raise BadEncryptionKeyError("No encryption key is configured: set SYNCLINE_ENCRYPTION_KEYS.")
        self._fernet = MultiFernet([_fernet(key, position) for position, key in enumerate(given, start=1)])

    def encrypt(self, values: Mapping[str, Any]) -> str:
        """``values`` must be JSON."""
        return self._fernet.encrypt(json.dumps(dict(values)).encode()).decode()

    def decrypt(self, text: str) -> dict[str, Any]:
        """What ``encrypt`` was given; ``UnreadableSecretError`` where no key fits."""
        try:
            values: dict[str, Any] = json.loads(self._fernet.decrypt(text))
        except InvalidToken as error:
            raise _unreadable() from error
        return values

    def rotate(self, text: str) -> str:
        """The same content under the first key."""
        try:
            return self._fernet.rotate(text).decode()
        except InvalidToken as error:
            raise _unreadable() from error


def generate_key() -> str:
    return Fernet.generate_key().decode()


def load_or_create_key(home: Path) -> str:
    """The key that lies in ``home``, made at the first call; processes that race for it all get the same one.

    The file is readable by its owner only, and appears whole or not at all.
    """
    path = home / KEY_FILE
    home.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _publish(path, generate_key())
    key = path.read_text().strip()
    try:
        Fernet(key)
    except ValueError as error:
        raise BadEncryptionKeyError(f"The file {path} does not hold an encryption key.") from error
    return key


def _publish(path: Path, key: str) -> None:
    """Write the file under another name, then link it: a link never replaces a file that came first."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(f"{key}\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _fernet(key: str, position: int) -> Fernet:
    try:
        return Fernet(key)
    except ValueError as error:
        raise BadEncryptionKeyError(
            f"Encryption key number {position} is not a Fernet key: 32 bytes in url-safe base64 are needed."
        ) from error


def _unreadable() -> UnreadableSecretError:
    return UnreadableSecretError(
        "Stored connection details were encrypted with a key that is not configured: "
        "add the earlier key to SYNCLINE_ENCRYPTION_KEYS."
    )
