"""From settings to parts: what the API, the worker and the command line share when they put a process together."""

from pathlib import Path

from pydantic import SecretStr

from connectors.budget import OWN
from connectors.outbound import OutboundPolicy, allowed
from connectors.surroundings import Surroundings
from connectors.taps import allowed_taps
from connectors.tokens import OWN as OWN_TOKENS
from lake.storage import LakeStore
from metadata.budgets import SharedBudget
from metadata.database import Database
from metadata.tokens import SharedTokens
from metadata.vault import Vault
from query.messages import QueryLimits
from query.runner import QueryRunner
from scheduling.connection import TemporalAddress
from settings import Settings


def database(settings: Settings) -> Database:
    return Database(_given(_revealed(settings.database_url), "SYNCLINE_DATABASE_URL"))


def vault(settings: Settings) -> Vault:
    return Vault(_encryption_keys(settings))


def lake_store(settings: Settings) -> LakeStore:
    return LakeStore(
        url=_given(settings.lake_url, "SYNCLINE_LAKE_URL"),
        endpoint=settings.s3_endpoint,
        access_key=settings.s3_access_key_id,
        secret_key=_revealed(settings.s3_secret_access_key),
        region=settings.s3_region,
    )


def queries(settings: Settings) -> QueryRunner:
    limits = QueryLimits(
        seconds=settings.query_seconds,
        memory_mb=settings.query_memory_mb,
        result_bytes=settings.query_result_mb * 2**20,
    )
    return QueryRunner(lake_store(settings), limits, settings.query_concurrency, settings.query_max_rows)


def surroundings(settings: Settings) -> Surroundings:
    """What sources may reach."""
    outbound = OutboundPolicy(settings.outbound != "any", allowed(settings.outbound_allow))
    folders = tuple(Path(folder).resolve() for folder in settings.source_folders.split(":") if folder)
    url = _revealed(settings.database_url)
    budget = SharedBudget(url) if url else OWN
    tokens = SharedTokens(url, _encryption_keys(settings)) if url else OWN_TOKENS
    return Surroundings(outbound, folders, budget, allowed_taps(settings.singer_taps), tokens)


def temporal_address(settings: Settings) -> TemporalAddress:
    return TemporalAddress(
        address=_given(settings.temporal_address, "SYNCLINE_TEMPORAL_ADDRESS"),
        namespace=settings.temporal_namespace,
        api_key=_revealed(settings.temporal_api_key),
        tls=settings.temporal_tls,
        tls_cert=settings.temporal_tls_cert,
        tls_key=settings.temporal_tls_key,
        tls_ca=settings.temporal_tls_ca,
    )


class MissingSettingError(Exception):
    """A setting that this process cannot do without."""


def _encryption_keys(settings: Settings) -> tuple[str, ...]:
    keys = _given(_revealed(settings.encryption_keys), "SYNCLINE_ENCRYPTION_KEYS")
    return tuple(key.strip() for key in keys.split(",") if key.strip())


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _given(value: str | None, name: str) -> str:
    if not value:
        raise MissingSettingError(f"{name} is not set.")
    return value
