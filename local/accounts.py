"""Running a server as somebody else, when we are root: who, and where that account may read and write."""

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from local.errors import NoAccountError
from local.process import Account

_CANDIDATES = ("postgres", "nobody")


def server_account() -> Account | None:
    """An existing unprivileged account when we are root; None, so ourselves, otherwise."""
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise NoAccountError(f"PostgreSQL does not run as root, and none of {', '.join(_CANDIDATES)} exists here.")


def provide_folder(wanted: Path, account: Account | None) -> Path:
    """The folder, made and owned by the account.

    A fixed one below the system's temporary folder instead, where the account may not enter the wanted one's
    parents.
    """
    wanted = wanted.resolve()
    if account is None:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        return wanted
    wanted.parent.mkdir(parents=True, exist_ok=True)
    if not _succeeds(["test", "-x", str(wanted.parent)], account):
        name = hashlib.sha256(str(wanted).encode()).hexdigest()[:16]
        wanted = Path(tempfile.gettempdir()) / f"syncline-{name}"
    wanted.mkdir(mode=0o700, exist_ok=True)
    if wanted.stat().st_uid not in (0, account.uid):
        raise PermissionError(f"{wanted} belongs to another user.")
    os.chown(wanted, account.uid, account.gid)
    return wanted


def provide_programs(install: Path, program: str, account: Account | None) -> Path:
    """The folder of an installation that the account can execute: the given one, or a copy of it."""
    if account is None or _succeeds([str(install / program), "--version"], account):
        return install
    name = hashlib.sha256(f"{install}:{(install / program).stat().st_mtime_ns}".encode()).hexdigest()[:16]
    copy = Path(tempfile.gettempdir()) / f"syncline-programs-{name}"
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(prefix=f"{copy.name}-"))
        shutil.copytree(install, unfinished, symlinks=True, dirs_exist_ok=True)
        unfinished.chmod(0o755)
        unfinished.rename(copy)
    if copy.stat().st_uid != os.geteuid():
        raise PermissionError(f"{copy} belongs to another user.")
    return copy


def _succeeds(argv: list[str], account: Account) -> bool:
    try:
        result = subprocess.run(
            argv,
            cwd="/",
            capture_output=True,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            check=False,
        )
    except PermissionError:
        return False
    return result.returncode == 0
