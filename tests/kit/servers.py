"""The real servers that tests run against: started when first asked for, once per pytest process."""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import boto3

from local import object_store, temporal
from local.object_store import Credentials, ObjectStore
from local.ports import choose_ports
from local.postgres import PostgresServer
from local.process import ChildProcess
from local.temporal import TemporalServer


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder that an unprivileged server may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="syncline-test-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def run_postgres(version: int, **options: str) -> Iterator[PostgresServer]:
    """``wal_level=logical`` and other server settings as keywords."""
    with server_folder() as folder:
        port = choose_ports(["postgres"])["postgres"]
        server = PostgresServer(version, folder, port, "test-password", throwaway=True, options=options)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def run_standby(primary: PostgresServer, **options: str) -> Iterator[PostgresServer]:
    """A read replica of a running server, that streams from it."""
    with server_folder() as folder:
        port = choose_ports(["postgres"])["postgres"]
        server = PostgresServer(primary.version, folder, port, primary.password, throwaway=True, options=options)
        server.copy_from(primary)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@dataclass
class RunningStore:
    """An S3 server with an empty bucket."""

    endpoint: str
    access_key_id: str
    secret_access_key: str
    bucket: str
    region: str
    _process: ChildProcess

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    def new_url(self) -> str:
        """A lake's root that nobody else uses."""
        return f"s3://{self.bucket}/test-{secrets.token_hex(6)}"

    def keys(self, root: str) -> list[str]:
        """What lies below this ``s3://`` address."""
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            region_name=self.region,
        )
        prefix = root.removeprefix(f"s3://{self.bucket}/")
        listed = client.list_objects_v2(Bucket=self.bucket, Prefix=f"{prefix}/")
        return [item["Key"] for item in listed.get("Contents", [])]

    def kill(self) -> None:
        self._process.kill()

    def restart(self) -> None:
        """The same data on the same ports again; after a ``kill`` too."""
        self._process.stop()
        self._process.start()
        self._process.wait_ready()


@contextmanager
def run_object_store() -> Iterator[RunningStore]:
    with server_folder() as folder:
        credentials = Credentials("SYNCLINETEST", "test-secret-access-key")
        server = ObjectStore(folder, choose_ports(object_store.PORT_NAMES), credentials)
        with _running(server.process()) as process:
            yield RunningStore(
                endpoint=server.endpoint,
                access_key_id=credentials.access_key_id,
                secret_access_key=credentials.secret_access_key,
                bucket=server.bucket,
                region=server.region,
                _process=process,
            )
        server.remove_sockets()


@dataclass
class RunningTemporal:
    address: str
    namespace: str
    _process: ChildProcess

    def kill(self) -> None:
        self._process.kill()

    def restart(self) -> None:
        """On the same ports. Its workflows are still there unless it is ``in_memory``."""
        self._process.stop()
        self._process.start()
        self._process.wait_ready()


@contextmanager
def run_temporal(*, in_memory: bool = True, options: Sequence[str] = ()) -> Iterator[RunningTemporal]:
    """``options`` of ``temporal server start-dev`` besides ours."""
    with server_folder() as folder:
        server = TemporalServer(folder, choose_ports(temporal.PORT_NAMES), in_memory=in_memory)
        command = server.command(folder / "temporal.log")
        with _running(ChildProcess(replace(command, argv=(*command.argv, *options)))) as process:
            yield RunningTemporal(server.address, server.namespace, process)


class MetadataTemplates:
    """Migrated once for each kind of database, copied for each test."""

    def __init__(self, folder: Path, migrate: Callable[[str], None]) -> None:
        self._folder = folder
        self._migrate = migrate
        self._sqlite: Path | None = None
        self._postgres: str | None = None

    def sqlite_copy(self, path: Path) -> str:
        if self._sqlite is None:
            self._sqlite = self._folder / "template.db"
            self._migrate(f"sqlite:///{self._sqlite}")
        shutil.copyfile(self._sqlite, path)
        return f"sqlite:///{path}"

    @contextmanager
    def postgres_copy(self, server: PostgresServer) -> Iterator[str]:
        if self._postgres is None:
            template = server.create_database()
            self._migrate(server.sqlalchemy_url(template))
            self._postgres = template
        name = server.create_database(template=self._postgres)
        yield server.sqlalchemy_url(name)
        server.drop_database(name)


@contextmanager
def _running(process: ChildProcess) -> Iterator[ChildProcess]:
    process.start()
    try:
        process.wait_ready()
        yield process
    finally:
        process.kill()
