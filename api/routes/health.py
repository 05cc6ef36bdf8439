"""Is the process alive, can it do its work, and how is it doing?"""

from collections.abc import Callable
from typing import Any

import structlog
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from api.backend import BackendDep
from api.bodies.responses import HealthBody, ReadyBody
from api.errors import UnavailableError, envelope

router = APIRouter(tags=["health"])
log = structlog.get_logger(__name__)


@router.get("/healthz", name="live")
async def live() -> HealthBody:
    """The process answers."""
    # Without a thread: a process that is busy in all of them is alive.
    return HealthBody(status="ok")


@router.get("/readyz", name="ready", response_model=ReadyBody)
def ready(backend: BackendDep) -> Any:
    """Database, Temporal and lake, one by one; 503 where one of them does not answer."""
    pings = {"database": backend.database.ping, "temporal": backend.temporal.ping, "lake": backend.ping_lake}
    checks = {name: _answers(name, ping) for name, ping in pings.items()}
    away = [name for name, state in checks.items() if state != "ok"]
    if away:
        error = UnavailableError(f"Out of reach: {', '.join(away)}.", code="not_ready")
        return envelope(error, status="unavailable", checks=checks)
    return ReadyBody(status="ok", checks=checks)


@router.get("/metrics", name="metrics", response_class=PlainTextResponse)
def metrics(backend: BackendDep) -> PlainTextResponse:
    """Figures of this process and of the installation, for Prometheus; nothing of a project."""
    return PlainTextResponse(backend.metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _answers(name: str, ping: Callable[[], None]) -> str:
    try:
        ping()
    except Exception as error:
        # Whatever a driver raises, it means that this part does not work; the log says which way.
        log.warning("not ready", part=name, reason=repr(error))
        return "unavailable"
    return "ok"
