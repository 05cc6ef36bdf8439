"""From the metadata's rows to the answers that clients get."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from sqlmodel import Session

from api.auth import Caller
from api.backend import Backend
from api.bodies.responses import (
    AvailableColumn,
    JobBody,
    JobSchema,
    RevenueAnalyticsConfig,
    SchemaBody,
    SourceBody,
    TableBody,
    TableColumn,
)
from api.captures import capture_error
from api.inputs import known_connector, public_inputs
from connectors.base import Direct
from connectors.registry import can_sync
from metadata.analytics import looks_at
from metadata.captures import captures_of
from metadata.models import DIRECT, Job, LakeTable, Schema, SchemaStatus, Source, SyncType
from metadata.schemas import schemas_of, tables_of
from metadata.sources import last_runs

ORDER_OF_STATUSES = (SchemaStatus.FAILED, SchemaStatus.PAUSED, SchemaStatus.RUNNING, SchemaStatus.COMPLETED)
MIB = 2**20


def schema_bodies(backend: Backend, session: Session, schemas: Sequence[Schema]) -> list[SchemaBody]:
    tables = tables_of(session, schemas)
    return [_schema_body(backend, schema, tables.get(schema.id)) for schema in schemas]


def source_bodies(backend: Backend, session: Session, sources: Sequence[Source], caller: Caller) -> list[SourceBody]:
    """With all their schemas, in a fixed number of queries."""
    ids = [source.id for source in sources]
    by_source = schemas_of(session, ids)
    ran = last_runs(session, ids)
    captures = captures_of(session, ids)
    bodies = schema_bodies(backend, session, [schema for schemas in by_source.values() for schema in schemas])
    by_schema = {body.id: body for body in bodies}
    return [
        SourceBody(
            **_own(source),
            status=_status(source, by_source[source.id]),
            latest_error=capture_error(captures.get(source.id)) or _latest_error(by_source[source.id]),
            engine=engine(source),
            last_run_at=ran.get(source.id),
            schemas=[by_schema[schema.id] for schema in by_source[source.id]],
            job_inputs=public_inputs(source.source_type, backend.vault.decrypt(source.encrypted_inputs)),
            revenue_analytics_config=_revenue_analytics(source),
            user_access_level=caller.role,
            supports_webhooks=can_sync(source.source_type, "webhook"),
        )
        for source in sources
    ]


def job_body(job: Job, schema: Schema) -> JobBody:
    return JobBody(
        **{name: getattr(job, name) for name in JobBody.model_fields if name != "schema_"},
        schema=JobSchema(**{name: getattr(schema, name) for name in JobSchema.model_fields}),
    )


def available_columns(discovered: Mapping[str, Any]) -> list[AvailableColumn]:
    """As discovery saw them; the answer's own check leaves out what clients need not know."""
    columns: list[AvailableColumn] = discovered.get("columns", [])
    return columns


def engine(source: Source) -> str:
    """What answers queries over it: of a direct source its own database."""
    if source.access_method == DIRECT and isinstance(direct := known_connector(source.source_type), Direct):
        return direct.engine
    return "duckdb"


def _status(source: Source, schemas: Iterable[Schema]) -> str:
    """A direct source has no runs: its login was tried when it was stored, and there is nothing to wait for."""
    return SchemaStatus.COMPLETED if source.access_method == DIRECT else source_status(schemas)


def source_status(schemas: Iterable[Schema]) -> str:
    """Of the enabled schemas the one that needs most attention; ``Running`` where the first run is due."""
    enabled = [schema for schema in schemas if schema.should_sync]
    if not enabled:
        return SchemaStatus.PAUSED
    present = {schema.status for schema in enabled}
    return next((status for status in ORDER_OF_STATUSES if status in present), SchemaStatus.RUNNING)


def _latest_error(schemas: Iterable[Schema]) -> str | None:
    return next((s.latest_error for s in schemas if s.should_sync and s.latest_error), None)


def _revenue_analytics(source: Source) -> RevenueAnalyticsConfig:
    return RevenueAnalyticsConfig(
        enabled=looks_at(source), include_invoiceless_charges=source.include_invoiceless_charges
    )


def _own(source: Source) -> dict[str, Any]:
    names = ("id", "created_at", "created_by", "source_type", "prefix", "description", "access_method")
    return {name: getattr(source, name) for name in names}


def _schema_body(backend: Backend, schema: Schema, table: LakeTable | None) -> SchemaBody:
    derived = {"table", "incremental", "available_columns"}
    return SchemaBody(
        **{name: getattr(schema, name) for name in SchemaBody.model_fields if name not in derived},
        table=_table_body(backend, table) if table else None,
        incremental=schema.sync_type == SyncType.INCREMENTAL,
        available_columns=available_columns(schema.discovered),
    )


def _table_body(backend: Backend, table: LakeTable) -> TableBody:
    return TableBody(
        id=table.id,
        name=table.name,
        url_pattern=backend.lake_uri(table.path),
        row_count=table.row_count,
        size_in_s3_mib=round(table.size_bytes / MIB, 6),
        columns=cast(list[TableColumn], table.columns),
    )
