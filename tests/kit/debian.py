"""Servers of Debian's packages: those of the system, or the ones that ``make test`` unpacks beside the environment."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from local.accounts import provide_programs, server_account
from local.postgres import PostgresServer

_UNPACKED = Path(__file__).parents[2] / ".venv" / "debian"


@dataclass(frozen=True)
class Program:
    """``libraries``: of those that it was unpacked with, for ``LD_LIBRARY_PATH``; empty for the system's own."""

    path: Path
    libraries: str = ""


def debian_program(package: str, pattern: str) -> Program:
    """The program at this path, a pattern of ``glob``, that our servers' account can execute."""
    for found in sorted(Path("/").glob(pattern)):
        return Program(found)
    for found in sorted((_UNPACKED / package).glob(pattern)):
        name = found.relative_to(_UNPACKED / package)
        install = provide_programs(_UNPACKED / package, str(name), server_account())
        libraries = [*install.glob("usr/lib/*-linux-gnu"), *install.glob("lib/*-linux-gnu")]
        return Program(install / name, ":".join(map(str, libraries)))
    raise FileNotFoundError(f"There is no {pattern}: install {package}, or let `make test` unpack it.")


class DebianPostgres(PostgresServer):
    """A PostgreSQL with TLS, which the embedded ones are built without. ``version`` is of no account."""

    def _binaries(self) -> Path:
        """A folder of scripts that start the real ones."""
        program = debian_program("postgresql", "usr/lib/postgresql/*/bin/postgres")
        folder = self.folder / "bin"
        folder.mkdir(mode=0o755, exist_ok=True)
        for name in ("postgres", "initdb"):
            real = shlex.quote(str(program.path.with_name(name)))
            script = folder / name
            script.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={program.libraries} exec {real} "$@"\n')
            script.chmod(0o755)
        return folder
