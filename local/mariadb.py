"""An embedded MariaDB: a source for tests and benchmarks. Debian's, either installed or unpacked by ``make mariadb``.

The server refuses to run as root: it runs as an unprivileged account of this machine then, as ourselves otherwise.
"""

import contextlib
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pymysql

from local.accounts import provide_folder, provide_programs, server_account
from local.binaries import server_environment
from local.database import DatabaseServer, run_as_server
from local.errors import MissingProgramError
from local.ports import LOOPBACK
from local.process import Account, ChildProcess, Command

USER = "syncline"
UNPACKED = Path(sys.prefix) / "mariadb"
"""Where ``make mariadb`` unpacks Debian's packages."""
_INSTALLED = Path("/usr")
_TABLES = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")
_SMALL = {"innodb-buffer-pool-size": "64M", "innodb-log-file-size": "32M", "key-buffer-size": "4M"}
_THROWAWAY = {"innodb-flush-log-at-trx-commit": "0", "innodb-doublewrite": "0"}


@dataclass
class MariaDbServer(DatabaseServer):
    """One server on the loopback, password login only."""

    folder: Path
    """Of its data and its log; another one is taken where the server's account cannot reach it."""
    port: int
    password: str
    throwaway: bool = False
    """Faster: the data do not outlive a crash of the machine (they do outlive one of the server)."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further server settings, such as ``ssl-cert``."""
    _process: ChildProcess | None = field(default=None, init=False)

    host: str = field(default=LOOPBACK, init=False)
    user: str = field(default=USER, init=False)
    log_name: ClassVar[str] = "mariadb.log"

    def command(self, log_path: Path) -> Command:
        account = server_account()
        programs = _programs(account)
        home = provide_folder(self.folder / "mariadb", account)
        data = home / "data"
        if not data.exists():
            self._initialise(programs, home)
        settings = {
            "bind-address": LOOPBACK,
            "port": str(self.port),
            "init-file": str(home / "accounts.sql"),
            **(_THROWAWAY if self.throwaway else {}),
            **self.options,
        }
        return Command(
            name="mariadbd",
            argv=(*_arguments(programs, home, data), *(f"--{name}={value}" for name, value in settings.items())),
            env=_environment(programs),
            log_path=log_path,
            is_ready=self._is_ready,
            account=account,
        )

    @contextlib.contextmanager
    def connect(self, database: str | None = None, **parameters: Any) -> "Iterator[pymysql.Connection[Any]]":
        """A connection in autocommit mode and UTC, closed at the end."""
        connection = pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=database,
            autocommit=True,
            charset="utf8mb4",
            init_command="SET time_zone = '+00:00'",
            ssl_disabled=True,
            **parameters,
        )
        with contextlib.closing(connection):
            yield connection

    def execute(self, *statements: str, database: str | None = None) -> None:
        """Statements, without parameters."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def create_database(self) -> str:
        """A new, empty database; returns its name."""
        name = f"db_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name}")

    def _initialise(self, programs: Path, home: Path) -> None:
        """Into a folder beside it, so that half-made data are never taken for whole ones."""
        account = server_account()
        unfinished, accounts = home / "unfinished", home / "accounts.sql"
        shutil.rmtree(unfinished, ignore_errors=True)
        provide_folder(unfinished, account)
        scripts = [(programs / "share" / "mysql" / name).read_text(errors="replace") for name in _TABLES]
        run_as_server(
            [*_arguments(programs, home, unfinished), "--bootstrap"],
            _environment(programs),
            input="\n".join(["CREATE DATABASE mysql;", "USE mysql;", "SET @auth_root_socket = NULL;", *scripts]),
            text=True,
            capture_output=True,
        )
        accounts.touch(mode=0o600)
        accounts.write_text(
            "DELETE FROM mysql.global_priv WHERE User IN ('', 'root');\nFLUSH PRIVILEGES;\n"
            f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        )
        if account:
            shutil.chown(accounts, account.uid, account.gid)
        unfinished.rename(home / "data")

    def _is_ready(self) -> bool:
        try:
            with self.connect(connect_timeout=2):
                return True
        except pymysql.Error:
            return False


def _programs(account: Account | None) -> Path:
    """The folder with ``sbin/mariadbd`` and ``share/mysql``, for the account that is to run it."""
    for root in (_INSTALLED, UNPACKED / "usr"):
        if (root / "sbin" / "mariadbd").exists():
            return root if root == _INSTALLED else provide_programs(root, "sbin/mariadbd", account)
    raise MissingProgramError("MariaDB is not installed: make mariadb, on Debian, or install mariadb-server.")


def _arguments(programs: Path, home: Path, data: Path) -> list[str]:
    settings = {
        "datadir": str(data),
        "socket": str(home / "socket"),
        "pid-file": str(home / "pid"),
        "tmpdir": str(home),
        "lc-messages-dir": str(programs / "share" / "mysql"),
        "character-sets-dir": str(programs / "share" / "mysql" / "charsets"),
        "plugin-dir": str(programs / "lib" / "mysql" / "plugin"),
        **_SMALL,
    }
    flags = [f"--{name}={value}" for name, value in settings.items()]
    return [str(programs / "sbin" / "mariadbd"), "--no-defaults", *flags, "--skip-name-resolve"]


def _environment(programs: Path) -> dict[str, str]:
    """What the unpacked server needs of libraries lies beside it."""
    if programs == _INSTALLED:
        return server_environment()
    folders = sorted({str(path.parent) for path in (programs / "lib").rglob("*.so*")})
    return server_environment(LD_LIBRARY_PATH=":".join(folders))
