"""How a process of ours connects to Temporal."""

from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client, TLSConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig


@dataclass(frozen=True)
class TemporalAddress:
    """A Temporal cluster or Temporal Cloud. TLS is on where it is asked for or a key or certificate is given."""

    address: str
    namespace: str = "default"
    api_key: str | None = None
    tls: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None


async def connect(target: TemporalAddress, *, lazy: bool = False, runtime: Runtime | None = None) -> Client:
    """A client; ``RuntimeError`` from the SDK where nobody answers, from the first call where it is ``lazy``."""
    return await Client.connect(
        target.address,
        namespace=target.namespace,
        api_key=target.api_key,
        tls=_tls(target) or False,
        lazy=lazy,
        runtime=runtime,
    )


def measuring(address: str) -> Runtime:
    """A runtime that serves the SDK's metrics to Prometheus there, as long as it is kept; one for each address."""
    metrics = PrometheusConfig(
        bind_address=address, counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True
    )
    return Runtime(telemetry=TelemetryConfig(metrics=metrics))


def _tls(target: TemporalAddress) -> TLSConfig | None:
    if not (target.tls or target.tls_cert or target.tls_ca or target.api_key):
        return None
    return TLSConfig(
        server_root_ca_cert=target.tls_ca.read_bytes() if target.tls_ca else None,
        client_cert=target.tls_cert.read_bytes() if target.tls_cert else None,
        client_private_key=target.tls_key.read_bytes() if target.tls_key else None,
    )
