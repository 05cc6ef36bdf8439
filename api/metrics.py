"""What Prometheus gets to see: figures of this process, and of the installation. Nothing of a tenant.

Labels are route templates, methods, statuses and words of our own, so that their number has a bound whatever is asked.
"""

import threading
import time
from collections.abc import Iterable

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.ingress.figures import IngressFigures
from metadata.database import Database
from metadata.figures import Figures, figures
from metadata.models import utc_now

log = structlog.get_logger(__name__)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
FRESH_SECONDS = 10.0
"""How old the installation's figures may be: scrapers in any number cost the database no more than one does."""


class Metrics:
    """The figures of one API process. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._registry = CollectorRegistry()
        self.requests = Histogram(
            "syncline_http_request_seconds",
            "Duration of requests to their last byte, by route, method and status.",
            ("route", "method", "status"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "syncline_http_requests_in_flight", "Requests that are being answered.", registry=self._registry
        )
        self._throttled = Counter(
            "syncline_throttled", "Requests that were turned away, by the limit.", ("limit",), registry=self._registry
        )
        self._source_calls = Histogram(
            "syncline_source_call_seconds",
            "How long requests waited for sources, by outcome.",
            ("outcome",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.ingress = IngressFigures(self._registry)
        ProcessCollector(registry=self._registry)
        self._registry.register(InstallationCollector(database))

    def throttled(self, limit: str) -> None:
        """``limit``: key, address, source_calls or queries."""
        self._throttled.labels(limit).inc()

    def source_called(self, outcome: str, seconds: float) -> None:
        """``outcome``: ok, refused, timeout or failed."""
        self._source_calls.labels(outcome).observe(seconds)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)


class InstallationCollector:
    """The same figures from every process: they are read from the metadata. Away, it costs the others nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._figures: Figures | None = None
        self._read_at = 0.0

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        now = self._current()
        yield _gauge("syncline_metadata_up", "Whether the metadata database answered.", 0 if now is None else 1)
        if now is None:
            return
        waits = (utc_now() - now.outbox_oldest).total_seconds() if now.outbox_oldest else 0
        yield _gauge("syncline_outbox_entries", "What waits to be told to Temporal.", now.outbox_length)
        yield _gauge("syncline_outbox_oldest_age_seconds", "How long the oldest of it waits.", max(0, waits))
        yield _gauge("syncline_sources", "Sources.", now.sources)
        yield _gauge("syncline_jobs_running", "Runs under way.", now.jobs_running)
        yield _by_status(
            "syncline_jobs_ended_last_hour", "Runs that began within the last hour and have ended.", now.jobs_ended
        )
        schemas = {"never_run" if status is None else status: count for status, count in now.schemas.items()}
        yield _by_status("syncline_schemas", "Schemas by the status of their newest run.", schemas)

    def _current(self) -> Figures | None:
        with self._lock:
            if self._figures is None or time.monotonic() - self._read_at > FRESH_SECONDS:
                try:
                    with self._database.read() as session:
                        self._figures = figures(session)
                except SQLAlchemyError as error:
                    log.warning("no figures of the installation", reason=repr(error))
                    self._figures = None
                self._read_at = time.monotonic()
            return self._figures


class Measured:
    """Counts and times every request; must stand inside of whatever rewrites paths."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begun = time.perf_counter()
        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(scope, receive, noting)
            finally:
                method = scope["method"] if scope["method"] in METHODS else "other"
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.requests.labels(route, method, str(status)).observe(time.perf_counter() - begun)


def _gauge(name: str, help: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help, value=value)


def _by_status(name: str, help: str, counts: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help, labels=["status"])
    for status, count in sorted(counts.items()):
        family.add_metric([str(status)], count)
    return family
