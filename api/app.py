"""The API process is put together here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

import assembly
from api import docs_page, errors, openapi
from api.backend import Backend
from api.ingress.ingress import PREFIX, Ingress, IngressLimits
from api.limits import BodyLimit, LoginLimits
from api.metrics import Measured, Metrics
from api.relay import OutboxRelay
from api.routes import api_keys, cdc, connections, health, logs, projects, query, schemas, setup, sources, webhooks
from api.slashes import TrailingSlash
from api.source_calls import SourceCalls
from api.temporal import TemporalBridge
from lake.failpoints import arm
from metadata.captures import Captures
from metadata.outbox import Outbox
from metadata.webhooks import Webhooks
from settings import Settings


class App(FastAPI):
    """Before it, on a way of their own, the events that providers send."""

    ingress: Ingress | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.ingress is not None and scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self.ingress(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings) -> FastAPI:
    """An app over a migrated database. It starts and answers without Temporal and without the lake."""
    arm(settings.failpoint)
    database, vault = assembly.database(settings), assembly.vault(settings)
    lake, temporal = assembly.lake_store(settings), assembly.temporal_address(settings)
    metrics = Metrics(database)
    limits = LoginLimits.per(
        requests_per_second=settings.api_requests_per_second,
        burst=settings.api_requests_burst,
        failures_per_minute=settings.api_failed_logins_per_minute,
    )
    source_calls = SourceCalls(settings.api_source_calls, settings.api_source_call_seconds, metrics)

    queries, surroundings = assembly.queries(settings), assembly.surroundings(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        bridge = await TemporalBridge.to(temporal, settings.task_queue)
        relay = OutboxRelay(Outbox(database), Captures(database, vault), bridge)
        app.state.backend = Backend(
            database,
            vault,
            bridge,
            relay,
            lake.uri,
            lake.ping,
            limits,
            source_calls,
            metrics,
            queries,
            surroundings,
            settings.public_url,
        )
        app.ingress = Ingress(
            Webhooks(database, vault), surroundings, lake, bridge, metrics.ingress, ingress_limits(settings)
        )
        relay.start()
        app.ingress.start()
        yield
        await asyncio.to_thread(app.ingress.stop)
        await asyncio.to_thread(relay.stop)
        queries.close()
        database.dispose()

    app = App(
        title="Syncline",
        summary="Copies tables from databases and files into Delta Lake tables.",
        version=version("syncline"),
        openapi_url="/api/schema/",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        generate_unique_id_function=openapi.operation_id,
    )
    app.add_middleware(BodyLimit)
    app.add_middleware(Measured, metrics=metrics)
    app.add_middleware(TrailingSlash)
    errors.install(app)
    # Fixed paths come before those in which an id stands in the same place.
    for router in (
        setup.router,
        connections.router,
        cdc.router,
        webhooks.router,
        sources.router,
        schemas.router,
        logs.router,
        projects.router,
        api_keys.router,
        query.router,
        health.router,
    ):
        app.include_router(router)
    docs_page.install(app)
    app.openapi = openapi.documenting(app)  # type: ignore[method-assign]
    return app


def ingress_limits(settings: Settings) -> IngressLimits:
    return IngressLimits(
        body_bytes=settings.webhook_body_mb * 2**20,
        waiting_bytes=settings.webhook_waiting_mb * 2**20,
        gather_seconds=settings.webhook_gather_ms / 1000,
        events_per_second=settings.webhook_events_per_second,
        apply_seconds=settings.webhook_apply_seconds,
    )
