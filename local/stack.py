"""``syncline up``: the whole platform in one foreground process tree."""

import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.binaries import find_program
from local.layout import CREDENTIALS_FILE, Layout, plan_layout
from local.process import Command
from local.state import hold_home
from local.supervisor import Supervisor
from metadata.database import Database
from metadata.keys import ensure_bootstrap
from metadata.migrate import migrate
from metadata.vault import load_or_create_key
from settings import Settings

_SERVERS, _API, _WORKER = range(3)
_STOP_MARGIN_SECONDS = 10


@dataclass(frozen=True)
class RunningStack:
    """What somebody needs who wants to use the platform that is up."""

    layout: Layout
    settings: Settings
    first_key: str | None
    """The secret of the first API key, if it was made by this start."""
    supervisor: Supervisor

    @property
    def api_url(self) -> str:
        return self.layout.api_url(self.settings)

    @property
    def temporal_ui_url(self) -> str | None:
        return self.layout.temporal.ui_url if self.layout.temporal else self.settings.temporal_ui_url


def run_up(settings: Settings, say: Callable[[str], None]) -> None:
    """Bring everything up, say where it is and ``ready``, and keep it up until SIGTERM, SIGINT or SIGHUP.

    Raises ``LocalError``, having stopped what it had started.
    """
    with stop_signals() as (stop, in_haste), start_stack(settings, say, stop, in_haste) as stack:
        if not stop.is_set():
            describe(stack, say)
            say("ready")
        stack.supervisor.watch()
        say("stopping")
    say("stopped")


@contextmanager
def start_stack(
    settings: Settings, say: Callable[[str], None], stop: threading.Event, in_haste: threading.Event
) -> Iterator[RunningStack]:
    """All of the platform, ready unless ``stop`` came first; stopped at the end, whatever happens inside.

    What this process writes from now on is readable by its user only.
    """
    home = settings.home.resolve()
    with hold_home(home):
        os.umask(0o077)
        layout = plan_layout(settings)
        supervisor = Supervisor(say, stop, in_haste)
        try:
            for server in (layout.temporal, layout.object_store):
                if server:
                    supervisor.start(server.command(_log(layout, server.name)), stage=_SERVERS)
            first_key = _prepare_metadata(layout, settings, say)
            supervisor.wait_ready()
            if not stop.is_set():
                _start_syncline(layout, settings, supervisor)
                supervisor.wait_ready()
            yield RunningStack(layout, settings, first_key, supervisor)
        finally:
            supervisor.stop_all()


@contextmanager
def stop_signals() -> Iterator[tuple[threading.Event, threading.Event]]:
    """Two events: set by the first SIGTERM, SIGINT or SIGHUP, and by the second, which waits for nobody."""
    stop, in_haste = threading.Event(), threading.Event()

    def note(_number: int, _frame: object) -> None:
        (in_haste if stop.is_set() else stop).set()

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stop, in_haste
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def describe(stack: RunningStack, say: Callable[[str], None]) -> None:
    """Where everything is."""
    store = stack.layout.object_store
    rows = {
        "API": stack.api_url,
        "API docs": f"{stack.api_url}/docs",
        "Temporal UI": stack.temporal_ui_url,
        "S3 endpoint": f"{store.endpoint} (keys: {store.folder / CREDENTIALS_FILE})" if store else None,
        "Lake": f"s3://{store.bucket}/lake" if store else stack.settings.lake_url,
        "Home": str(stack.layout.home),
    }
    for label, value in rows.items():
        if value:
            say(f"  {label:<12} {value}")


def _prepare_metadata(layout: Layout, settings: Settings, say: Callable[[str], None]) -> str | None:
    """Migrate, and make the first key: said at once, since nobody can read it again."""
    url, chosen = layout.database_url(settings), settings.bootstrap_api_key
    migrate(url)
    database = Database(url)
    try:
        with database.transaction() as session:
            made = ensure_bootstrap(session, chosen.get_secret_value() if chosen else None)
    finally:
        database.dispose()
    if made and not chosen:
        say(f"The first API key of project 1, shown only now: {made}")
    return made


def _start_syncline(layout: Layout, settings: Settings, supervisor: Supervisor) -> None:
    keys = settings.encryption_keys
    environment = layout.environment(settings, keys.get_secret_value() if keys else load_or_create_key(layout.home))
    grace = settings.worker_graceful_shutdown_seconds + _STOP_MARGIN_SECONDS
    for name, stage, is_ready, stop_seconds in (
        ("api", _API, lambda: _answers(f"{layout.api_url(settings)}/readyz"), _STOP_MARGIN_SECONDS),
        ("worker", _WORKER, lambda: _names_a_process(layout.worker_ready_file), grace),
    ):
        command = Command(
            name=name,
            argv=(sys.executable, str(find_program("syncline", "syncline")), name),
            env=environment,
            log_path=_log(layout, name),
            is_ready=is_ready,
            folder=Path.cwd(),
            stop_seconds=stop_seconds,
        )
        supervisor.start(command, stage=stage)


def _log(layout: Layout, name: str) -> Path:
    return layout.logs / f"{name}.log"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _names_a_process(path: Path) -> bool:
    """The file holds the id of a process that lives: one left by a killed worker does not count."""
    try:
        os.kill(int(path.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True
