"""Every setting of a Syncline process, read once from the environment (``SYNCLINE_*``).

Read where a process is put together (``api``'s factory, ``worker.py``, ``cli.py``, migrations) and nowhere else:
what a part needs of it is passed on as values.
"""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from connectors.outbound import allowed
from connectors.taps import allowed_taps


class Settings(BaseSettings):
    """An unset ``database_url``, ``temporal_address`` or ``lake_url`` means: ``syncline up`` embeds that part."""

    model_config = SettingsConfigDict(env_prefix="SYNCLINE_", env_ignore_empty=True, extra="ignore")

    home: Path = Path(".syncline")
    """Folder of all local state: embedded servers, their logs, the generated encryption key."""

    api_host: str = "127.0.0.1"
    api_port: int | None = None
    bootstrap_api_key: SecretStr | None = None
    """The secret of the first key of project 1; made and printed once where it is unset."""

    public_url: str | None = None
    """Where this installation's API is reached from outside, such as ``https://syncline.example.com``: providers send
    their events there. Unset: no webhook can be made.
    """

    api_requests_per_second: float = Field(default=50, ge=0)
    """What one key may ask for in the long run, of each API process; 0 sets no limit."""

    api_requests_burst: int = Field(default=200, ge=1)
    """What one key may ask for at once after a pause."""

    api_failed_logins_per_minute: float = Field(default=60, ge=0)
    """How many wrong keys one client address may try, of each API process; 0 sets no limit."""

    api_source_call_seconds: float = Field(default=60, gt=0)
    """How long a request may wait for a source, all steps together."""

    api_source_calls: int = Field(default=16, ge=1, le=32)
    """How many requests may wait for sources at once, of each API process; the others have threads left for them."""

    webhook_body_mb: int = Field(default=2, ge=1, le=32)
    """The largest event that a provider may send."""

    webhook_events_per_second: float = Field(default=1000, ge=0)
    """What one webhook's provider may send in the long run, to each API process; 0 sets no limit."""

    webhook_waiting_mb: int = Field(default=64, ge=16)
    """How much of events may wait in each API process until it is safe in the lake."""

    webhook_gather_ms: float = Field(default=5, ge=0, le=1000)
    """How long an event waits for others that go into the lake with it."""

    webhook_apply_seconds: float = Field(default=5, gt=0, le=3600)
    """How often at the most the events of one table are applied while more of them come."""

    query_seconds: float = Field(default=60, gt=0, le=3600)
    """How long a query may take before it is killed."""

    query_memory_mb: int = Field(default=1024, ge=512)
    """What the process of one query may use; half of it is for the engine's own data."""

    query_result_mb: int = Field(default=64, ge=1)
    query_max_rows: int = Field(default=1_000_000, ge=100_000)
    """The most rows of an answer in CSV or Arrow; in JSON it is 100,000."""

    query_concurrency: int = Field(default=2, ge=1, le=16)
    """How many queries run at once in each API process; the others are turned away for a moment."""

    database_url: SecretStr | None = None
    """SQLAlchemy URL: ``postgresql+psycopg://…`` in production, SQLite (WAL) where it is unset."""

    encryption_keys: SecretStr | None = None
    """Fernet keys, separated by commas: the first encrypts, all decrypt."""

    temporal_address: str | None = None
    temporal_namespace: str = "default"
    temporal_api_key: SecretStr | None = None
    temporal_tls: bool = False
    temporal_tls_cert: Path | None = None
    temporal_tls_key: Path | None = None
    temporal_tls_ca: Path | None = None
    temporal_ui_port: int | None = None
    temporal_ui_url: str | None = None
    task_queue: str = "syncline"

    lake_url: str | None = None
    """``s3://bucket/prefix`` or ``file:///folder``."""

    s3_endpoint: str | None = None
    s3_access_key_id: str | None = None
    s3_secret_access_key: SecretStr | None = None
    s3_region: str = "us-east-1"

    outbound: Literal["public", "any"] | None = None
    """Where sources may be: ``public`` refuses addresses of private networks and of this machine, ``any`` nothing.
    Unset: ``public``, and ``any`` under ``syncline up``.
    """

    outbound_allow: str = ""
    """What is let through all the same, separated by commas: addresses, networks or host names, each with a port or
    without (``10.1.0.0/16, db.internal:5432, *.corp.example``).
    """

    source_folders: str = ""
    """Folders of the server, separated by ``:``, whose files may be sources."""

    singer_taps: str = ""
    """Singer taps that sources may run, separated by commas: names of programs on the PATH, or with the program's own
    path (``tap-csv, tap-postgres=/opt/taps/tap-postgres/bin/tap-postgres``). They are trusted as Syncline itself is.
    """

    worker_memory_mb: int = Field(default=1280, ge=640)
    """What the worker with all its child processes may use; decides how many extractions run at once."""

    worker_max_extractions: int = Field(default=2, ge=1)
    """How many extractions run at once where the memory is enough for them."""

    partition_mb: int = Field(default=256, ge=1)
    """A table larger than this at its source is read in parts of about this size, at most 64 of them."""

    worker_graceful_shutdown_seconds: float = Field(default=30, gt=0)
    worker_ready_file: Path | None = None
    """Where the worker writes its process id when it takes work: for a supervisor, or a readiness probe."""

    worker_metrics_address: str | None = None
    """``host:port`` at which the worker shows the metrics of Temporal's SDK to Prometheus; unset: nowhere."""

    log_retention_days: int = Field(default=30, ge=1, le=36500)
    """How long the lines that runs wrote can be read."""

    change_log_days: int = Field(default=7, ge=1)
    """How long captured changes are kept: a table that is further behind is read anew."""

    log_level: str = "INFO"
    log_format: str = Field(default="json", pattern="^(json|console)$")

    failpoint: str | None = None
    """For tests: the process ends itself with SIGKILL where it reaches this point, or sleeps (``staged:hang``)."""

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, text: str | None) -> str | None:
        parts = urlsplit(text or "")
        if text and (parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment):
            raise ValueError("must be an address such as https://syncline.example.com")
        return text.rstrip("/") if text else None

    @field_validator("outbound_allow")
    @classmethod
    def _is_a_list(cls, text: str) -> str:
        allowed(text)
        return text

    @field_validator("singer_taps")
    @classmethod
    def _is_a_list_of_taps(cls, text: str) -> str:
        allowed_taps(text)
        return text
