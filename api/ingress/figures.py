"""What Prometheus gets to see of the events that are received."""

from prometheus_client import CollectorRegistry, Counter, Histogram

BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)


class IngressFigures:
    """Thread-safe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "syncline_webhook_requests", "Requests of senders of events, by outcome.", ("outcome",), registry=registry
        )
        self.events = Counter(
            "syncline_webhook_events", "Events in inboxes, of each table that they are about.", registry=registry
        )
        self.bytes = Counter("syncline_webhook_bytes", "Bytes of these events.", registry=registry)
        self._puts = Counter(
            "syncline_webhook_puts", "Files of events that were put into inboxes.", ("outcome",), registry=registry
        )
        self.durable = Histogram(
            "syncline_webhook_durable_seconds",
            "From the first byte of a request to where its event is safe.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._by_outcome: dict[str, Counter] = {}

    def answered(self, outcome: str) -> None:
        counter = self._by_outcome.get(outcome)
        if counter is None:
            counter = self._by_outcome[outcome] = self._requests.labels(outcome)
        counter.inc()

    def put(self, *, ok: bool) -> None:
        self._puts.labels("ok" if ok else "failed").inc()
