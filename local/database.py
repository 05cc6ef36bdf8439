"""What the embedded database servers have in common: their life as a child process, and programs run as they are."""

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from local.accounts import server_account
from local.process import ChildProcess, Command


class DatabaseServer(ABC):
    """A server with data in a folder, on one port. Not safe to start and stop from several threads."""

    folder: Path
    _process: ChildProcess | None

    log_name: ClassVar[str]
    """Of its log, in the folder."""

    @abstractmethod
    def command(self, log_path: Path) -> Command:
        """What runs it; makes the data folder where there is none."""

    def process(self) -> ChildProcess:
        return ChildProcess(self.command(self.folder / self.log_name))

    def start(self) -> None:
        """Make the data folder where there is none, start, and wait until a login works."""
        self._process = self.process()
        self._process.start()
        self._process.wait_ready()

    def stop(self) -> None:
        """End every session and shut down cleanly."""
        if self._process:
            self._process.stop()

    def kill(self) -> None:
        """``kill -9``; returns when it is gone."""
        if self._process:
            self._process.kill()

    def restart(self) -> None:
        """The same data on the same port again; after a ``kill`` too."""
        self.stop()
        self.start()


def run_as_server(argv: Sequence[str], env: Mapping[str, str], **options: Any) -> None:
    """Run a program to its end as the account that servers run as. ``CalledProcessError`` where it fails."""
    account = server_account()
    subprocess.run(
        argv,
        env=dict(env),
        cwd="/",
        check=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        **options,
    )
