"""What the routes work with, put together once by the app."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.limits import LoginLimits
from api.metrics import Metrics
from api.relay import OutboxRelay
from api.source_calls import SourceCalls
from api.temporal import TemporalBridge
from metadata.database import Database
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


async def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


BackendDep = Annotated[Backend, Depends(_backend)]
