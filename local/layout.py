"""What of the platform ``syncline up`` embeds, where it lies, and how its parts are told of one another."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local import object_store, temporal
from local.errors import LayoutError
from local.object_store import ObjectStore, load_or_create_credentials
from local.ports import LOOPBACK, choose_ports, is_free
from local.state import load_ports, save_ports
from local.temporal import TemporalServer
from settings import Settings

CREDENTIALS_FILE = "credentials.json"


@dataclass(frozen=True)
class Layout:
    """The platform of one home. What is None is not embedded: the settings give another one."""

    home: Path
    ports: Mapping[str, int]
    temporal: TemporalServer | None
    object_store: ObjectStore | None

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def worker_ready_file(self) -> Path:
        return self.home / "worker.ready"

    def api_url(self, settings: Settings) -> str:
        everywhere = settings.api_host in ("0.0.0.0", "::", "")  # noqa: S104
        return f"http://{LOOPBACK if everywhere else settings.api_host}:{self.ports['api']}"

    def database_url(self, settings: Settings) -> str:
        if settings.database_url:
            return settings.database_url.get_secret_value()
        return f"sqlite:///{self.home / 'metadata.db'}"

    def environment(self, settings: Settings, encryption_keys: str) -> dict[str, str]:
        """Ours, completed to the whole configuration of ``syncline api`` and ``syncline worker``."""
        ours = {
            "SYNCLINE_HOME": str(self.home),
            "SYNCLINE_API_HOST": settings.api_host,
            "SYNCLINE_API_PORT": str(self.ports["api"]),
            "SYNCLINE_DATABASE_URL": self.database_url(settings),
            "SYNCLINE_ENCRYPTION_KEYS": encryption_keys,
            "SYNCLINE_WORKER_READY_FILE": str(self.worker_ready_file),
        }
        if settings.outbound is None:
            # A laptop's own databases are what it is tried with.
            ours["SYNCLINE_OUTBOUND"] = "any"
        if self.temporal:
            ours["SYNCLINE_TEMPORAL_ADDRESS"] = self.temporal.address
            ours["SYNCLINE_TEMPORAL_UI_URL"] = self.temporal.ui_url
        if self.object_store:
            ours["SYNCLINE_LAKE_URL"] = f"s3://{self.object_store.bucket}/lake"
            ours["SYNCLINE_S3_ENDPOINT"] = self.object_store.endpoint
            ours["SYNCLINE_S3_ACCESS_KEY_ID"] = self.object_store.credentials.access_key_id
            ours["SYNCLINE_S3_SECRET_ACCESS_KEY"] = self.object_store.credentials.secret_access_key
            ours["SYNCLINE_S3_REGION"] = self.object_store.region
        return {**os.environ, **ours}


def plan_layout(settings: Settings) -> Layout:
    """Decide what to embed and on which ports: those of the last start while they are free. Hold the home's lock."""
    if settings.s3_endpoint and not settings.lake_url:
        raise LayoutError("SYNCLINE_S3_ENDPOINT is set, but not SYNCLINE_LAKE_URL: set it to s3://bucket/prefix.")
    home = settings.home.resolve()
    ports = _ports(settings, home)
    store_folder, temporal_folder = home / "object-store", home / "temporal"
    return Layout(
        home=home,
        ports=ports,
        temporal=None
        if settings.temporal_address
        else TemporalServer(temporal_folder, ports, settings.temporal_namespace),
        object_store=None
        if settings.lake_url
        else ObjectStore(store_folder, ports, load_or_create_credentials(store_folder / CREDENTIALS_FILE)),
    )


def _ports(settings: Settings, home: Path) -> dict[str, int]:
    names = ["api"]
    if not settings.temporal_address:
        names += temporal.PORT_NAMES
    if not settings.lake_url:
        names += object_store.PORT_NAMES
    wanted = {"api": settings.api_port, "temporal_ui": settings.temporal_ui_port}
    fixed = {name: port for name, port in wanted.items() if port is not None and name in names}
    for name, port in fixed.items():
        if not is_free(port):
            raise LayoutError(
                f"Port {port} (SYNCLINE_{name.upper()}_PORT) is in use by another program. "
                "Stop that program, or choose another port."
            )
    remembered = load_ports(home)
    chosen = choose_ports([name for name in names if name not in fixed], remembered, avoid=fixed.values())
    save_ports(home, {**remembered, **chosen, **fixed})
    return {**chosen, **fixed}
