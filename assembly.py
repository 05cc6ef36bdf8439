"""From settings to parts: what the API, the worker and the command line share when they put a process together."""

from lake.storage import LakeStore
from metadata.database import Database
from metadata.vault import Vault
from scheduling.connection import TemporalAddress
from settings import Settings


def database(settings: Settings) -> Database:
    return Database(_given(settings.database_url and settings.database_url.get_secret_value(), "SYNCLINE_DATABASE_URL"))


def vault(settings: Settings) -> Vault:
    keys = _given(settings.encryption_keys and settings.encryption_keys.get_secret_value(), "SYNCLINE_ENCRYPTION_KEYS")
    return Vault([key.strip() for key in keys.split(",") if key.strip()])


def lake_store(settings: Settings) -> LakeStore:
    secret = settings.s3_secret_access_key
    return LakeStore(
        url=_given(settings.lake_url, "SYNCLINE_LAKE_URL"),
        endpoint=settings.s3_endpoint,
        access_key=settings.s3_access_key_id,
        secret_key=secret.get_secret_value() if secret else None,
        region=settings.s3_region,
    )


def temporal_address(settings: Settings) -> TemporalAddress:
    key = settings.temporal_api_key
    return TemporalAddress(
        address=_given(settings.temporal_address, "SYNCLINE_TEMPORAL_ADDRESS"),
        namespace=settings.temporal_namespace,
        api_key=key.get_secret_value() if key else None,
        tls=settings.temporal_tls,
        tls_cert=settings.temporal_tls_cert,
        tls_key=settings.temporal_tls_key,
        tls_ca=settings.temporal_tls_ca,
    )


class MissingSettingError(Exception):
    """A setting that this process cannot do without."""


def _given(value: str | None, name: str) -> str:
    if not value:
        raise MissingSettingError(f"{name} is not set.")
    return value
