"""What ``syncline demo`` shows: a real PostgreSQL, eight tables through the API into Delta tables, changes that
follow, a query; and after each step both sides compared.
"""

import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from assembly import lake_store
from lake.storage import LakeStore
from local.demo.changes import change_source
from local.demo.client import DemoClient, DemoError, Json
from local.demo.compare import compare_sides, lake_urls
from local.demo.progress import await_runs
from local.demo.query import revenue_by_nation
from local.demo.tpch import CURSOR, TABLES, load
from local.ports import choose_ports
from local.postgres import PostgresServer
from local.stack import RunningStack, describe, start_stack, stop_signals
from metadata.database import Database
from metadata.keys import EVERY_SCOPE, create_key
from settings import Settings

SCALE = 0.1
DATABASE = "tpch"
PREFIX = "demo_"


def run_demo(settings: Settings, keep: bool) -> int:
    """0 when the lake holds what the source holds, after the first sync and after the changes; 1 otherwise.

    Lives in ``SYNCLINE_HOME`` where that is set, in a folder that is gone afterwards otherwise. With ``keep``
    everything stays up at the end until Ctrl-C.
    """
    console = Console(highlight=False, soft_wrap=True)
    with stop_signals() as (stop, in_haste), ExitStack() as stack:
        try:
            placed = settings.model_copy(update={"home": stack.enter_context(_home(settings))})
            source = stack.enter_context(_source_server(placed.home))
            _headline(console, "Starting Temporal, the object store, the API and a worker")
            platform = stack.enter_context(start_stack(placed, console.print, stop, in_haste))
            if not stop.is_set():
                describe(platform, console.print)
                _Demo(console, source, platform, stop).tell()
        except DemoError as error:
            if not stop.is_set():
                console.print(f"[bold red]The demo failed:[/] {error}")
                return 1
        if stop.is_set():
            console.print("stopped")
            return 1
        if keep:
            _headline(console, "Everything stays up until Ctrl-C")
            describe(platform, console.print)
            platform.supervisor.watch()
    return 0


@contextmanager
def _home(settings: Settings) -> Iterator[Path]:
    if "home" in settings.model_fields_set:
        yield settings.home
        return
    home = Path(tempfile.mkdtemp(prefix="syncline-demo-"))
    # The embedded PostgreSQL may run as another account, which must be able to enter.
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _source_server(home: Path) -> Iterator[PostgresServer]:
    port = choose_ports(["postgres"])["postgres"]
    server = PostgresServer(18, home.resolve() / "demo-source", port, secrets.token_hex(12), throwaway=True)
    server.remove()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@dataclass
class _Demo:
    console: Console
    server: PostgresServer
    platform: RunningStack
    stop: threading.Event

    def tell(self) -> None:
        started = time.monotonic()
        estimates = self._load()
        with DemoClient(self.platform.api_url, make_key(self.platform, "demo")) as client:
            source = self._first_sync(client, estimates)
            urls = lake_urls(client, source)
            self._compare(urls)
            self._follow_changes(client, source)
            self._compare(urls)
        _headline(self.console, "Revenue by nation, asked of the Delta tables")
        self.console.print(revenue_by_nation(urls, lake_options(self.platform)))
        self.console.print(f"\nBoth sides are equal. [bold green]Done[/] in {time.monotonic() - started:.1f} s.")

    def _load(self) -> dict[str, int]:
        _headline(self.console, f"A PostgreSQL 18 with TPC-H at scale {SCALE}")
        self.server.create_database(DATABASE)
        with self.server.connect(DATABASE) as connection:
            loaded = load(connection, SCALE)
        self.console.print(f"  {len(loaded)} tables, {sum(loaded.values()):,} rows")
        return loaded

    def _first_sync(self, client: DemoClient, expected: dict[str, int]) -> Json:
        _headline(self.console, "One call makes the source; its tables sync at once")
        client.delete_sources(PREFIX)
        connection = connection_inputs(self.server, DATABASE)
        source = client.create_source(PREFIX, connection, [_wish(table.name, table.has_cursor) for table in TABLES])
        await_runs(client, source, expected, set(), self.console, self.stop)
        return source

    def _follow_changes(self, client: DemoClient, source: Json) -> None:
        with self.server.connect(DATABASE) as connection:
            changed = change_source(connection)
        _headline(self.console, "Rows inserted and updated at the source; an incremental run brings just them")
        seen = {job["id"] for job in client.jobs(source)}
        for schema in source["schemas"]:
            if schema["name"] in changed:
                client.reload(schema["id"])
        for table, job in await_runs(client, source, changed, seen, self.console, self.stop).items():
            if job["rows_synced"] != changed[table]:
                raise DemoError(f"{changed[table]} rows of {table} changed, but {job['rows_synced']} were synced.")

    def _compare(self, urls: dict[str, str]) -> None:
        _headline(self.console, "Source and lake, compared by checksum")
        with self.server.connect(DATABASE) as connection:
            compare_sides(connection, urls, lake_options(self.platform), self.console)


def connection_inputs(server: PostgresServer, database: str) -> Json:
    """The connection's part of a source's payload."""
    return {
        "host": server.host,
        "port": server.port,
        "database": database,
        "user": server.user,
        "password": server.password,
        "schema": "public",
    }


def _wish(table: str, has_cursor: bool) -> Json:
    if not has_cursor:
        return {"name": table, "should_sync": True, "sync_type": "full_refresh"}
    return {
        "name": table,
        "should_sync": True,
        "sync_type": "incremental",
        "incremental_field": CURSOR,
        "incremental_field_type": "timestamp",
    }


def make_key(platform: RunningStack, label: str) -> str:
    """A key of one's own: the first key of a home can be read only once."""
    database = Database(platform.layout.database_url(platform.settings))
    try:
        with database.transaction() as session:
            _, secret = create_key(session, 1, label, [EVERY_SCOPE])
    finally:
        database.dispose()
    return secret


def lake_options(platform: RunningStack) -> dict[str, str]:
    """What any Delta reader needs to open the tables."""
    embedded = platform.layout.object_store
    if embedded is None:
        return lake_store(platform.settings).storage_options()
    keys = embedded.credentials
    url = f"s3://{embedded.bucket}"
    store = LakeStore(url, embedded.endpoint, keys.access_key_id, keys.secret_access_key, embedded.region)
    return store.storage_options()


def _headline(console: Console, text: str) -> None:
    console.print(f"\n[bold]{text}[/]")
