"""What the routes work with, put together once by the app."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from api.limits import LoginLimits
from api.metrics import Metrics
from api.relay import OutboxRelay
from api.source_calls import SourceCalls
from api.temporal import TemporalBridge
from connectors.base import Connector
from connectors.surroundings import Surroundings
from metadata.database import Database
from metadata.models import Source
from metadata.vault import Vault
from query.runner import QueryRunner


@dataclass(frozen=True)
class Backend:
    database: Database
    vault: Vault
    temporal: TemporalBridge
    relay: OutboxRelay
    lake_uri: Callable[[str], str]
    """From a path below the lake's root to the URI that Delta readers take."""
    ping_lake: Callable[[], None]
    limits: LoginLimits
    source_calls: SourceCalls
    metrics: Metrics
    queries: QueryRunner
    surroundings: Surroundings
    public_url: str | None = None
    """Where the installation is reached from outside."""

    def config(self, connector: Connector, inputs: Mapping[str, Any]) -> Any:
        """The connection's configuration; ``SourceError`` where the inputs are none."""
        return connector.parse_config(inputs, self.surroundings)

    def stored_config(self, connector: Connector, source: Source) -> Any:
        return self.config(connector, self.vault.decrypt(source.encrypted_inputs))


async def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


BackendDep = Annotated[Backend, Depends(_backend)]
