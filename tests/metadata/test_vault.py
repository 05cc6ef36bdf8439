import multiprocessing
import stat
from pathlib import Path

import pytest

from metadata.errors import BadEncryptionKeyError, UnreadableSecretError
from metadata.vault import KEY_FILE, Vault, generate_key, load_or_create_key

INPUTS = {"host": "db", "port": 5432, "password": "pässwörd", "tls": None, "options": ["a", "b"]}


def test_what_was_encrypted_comes_back_and_is_not_readable() -> None:
    vault = Vault([generate_key()])
    text = vault.encrypt(INPUTS)
    assert "5432" not in text
    assert vault.decrypt(text) == INPUTS


def test_a_new_key_in_front_encrypts_and_the_old_one_still_decrypts() -> None:
    old, new = generate_key(), generate_key()
    text = Vault([old]).encrypt(INPUTS)
    rotated = Vault([new, old]).rotate(text)
    assert Vault([new, old]).decrypt(text) == INPUTS
    assert Vault([new]).decrypt(rotated) == INPUTS


@pytest.mark.parametrize("broken", ["", "no token", "gAAAAABo"])
def test_an_unknown_key_or_a_damaged_text_is_told(broken: str) -> None:
    foreign = Vault([generate_key()]).encrypt(INPUTS)
    vault = Vault([generate_key()])
    for text in (foreign, broken):
        with pytest.raises(UnreadableSecretError, match="SYNCLINE_ENCRYPTION_KEYS"):
            vault.decrypt(text)
        with pytest.raises(UnreadableSecretError):
            vault.rotate(text)


def test_a_bad_key_is_named_by_its_place_and_not_shown() -> None:
    with pytest.raises(BadEncryptionKeyError, match="number 2") as caught:
        Vault([generate_key(), "my secret key"])
    assert "my secret key" not in str(caught.value)
    with pytest.raises(BadEncryptionKeyError, match="No encryption key"):
        Vault(["", "  "])


def test_the_key_of_a_home_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    key = load_or_create_key(home)
    assert load_or_create_key(home) == key
    assert [path.name for path in home.iterdir()] == [KEY_FILE]
    assert stat.S_IMODE((home / KEY_FILE).stat().st_mode) == 0o600


def test_processes_that_race_get_the_same_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        keys = pool.map(load_or_create_key, [tmp_path] * 16, chunksize=1)
    assert set(keys) == {load_or_create_key(tmp_path)}


def test_a_damaged_key_file_is_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("half a k")
    with pytest.raises(BadEncryptionKeyError, match="does not hold an encryption key"):
        load_or_create_key(tmp_path)
    assert (tmp_path / KEY_FILE).read_text() == "half a k"
