"""Is the process alive, and can it do its work?"""

from collections.abc import Callable
from typing import Any

import structlog
from fastapi import APIRouter

from api.backend import BackendDep
from api.bodies.responses import HealthBody, ReadyBody
from api.errors import UnavailableError, envelope

router = APIRouter(tags=["health"])
log = structlog.get_logger(__name__)


@router.get("/healthz", name="live")
def live() -> HealthBody:
    """The process answers."""
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


def _answers(name: str, ping: Callable[[], None]) -> str:
    try:
        ping()
    except Exception as error:
        # Whatever a driver raises, it means that this part does not work; the log says which way.
        log.warning("not ready", part=name, reason=repr(error))
        return "unavailable"
    return "ok"
