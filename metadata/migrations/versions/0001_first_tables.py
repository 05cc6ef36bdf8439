"""The first tables: projects, keys, sources, schemas with their state, jobs and lake tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LIVE: dict[str, Any] = {
    "sqlite_where": sa.text("deleted_at IS NULL"),
    "postgresql_where": sa.text("deleted_at IS NULL"),
}


def upgrade() -> None:
    op.create_table(
        "project",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("secret_hint", sa.String(length=16), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("secret_hash"),
    )
    op.create_index("ix_api_key_project_id", "api_key", ["project_id"], unique=False)

    op.create_table(
        "source",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("source_type", sa.String(length=100), nullable=False),
        sa.Column("prefix", sa.String(length=100), nullable=False),
        sa.Column("description", sa.String(length=400), nullable=True),
        sa.Column("access_method", sa.String(length=20), nullable=False),
        sa.Column("encrypted_inputs", sa.Text(), nullable=False),
        sa.Column("revenue_analytics_enabled", sa.Boolean(), nullable=True),
        sa.Column("include_invoiceless_charges", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_source_page", "source", ["project_id", "created_at", "id"], unique=False, **LIVE)
    op.create_index(
        "uq_source_prefix_live",
        "source",
        ["project_id", "source_type", "prefix"],
        unique=True,
        **LIVE,
    )

    op.create_table(
        "schema",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=400), nullable=False),
        sa.Column("label", sa.String(length=400), nullable=True),
        sa.Column("description", sa.String(length=1000), nullable=True),
        sa.Column("should_sync", sa.Boolean(), nullable=False),
        sa.Column("sync_type", sa.Text(), nullable=True),
        sa.Column("sync_frequency", sa.Text(), nullable=False),
        sa.Column("sync_time_of_day", sa.Time(), nullable=True),
        sa.Column("incremental_field", sa.String(), nullable=True),
        sa.Column("incremental_field_type", sa.Text(), nullable=True),
        sa.Column("incremental_lookback_seconds", sa.Integer(), nullable=False),
        sa.Column("primary_key_columns", sa.JSON(), nullable=True),
        sa.Column("cdc_table_mode", sa.String(length=20), nullable=False),
        sa.Column("enabled_columns", sa.JSON(), nullable=True),
        sa.Column("row_filter", sa.JSON(), nullable=True),
        sa.Column("type_overrides", sa.JSON(), nullable=True),
        sa.Column("discovered", sa.JSON(), nullable=False),
        sa.Column("vanished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("latest_error", sa.Text(), nullable=True),
        sa.Column("last_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures_in_a_row", sa.Integer(), nullable=False),
        sa.Column("enabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_schema_page",
        "schema",
        ["project_id", "created_at", "id"],
        unique=False,
        postgresql_include=["source_id", "status", "sync_type", "should_sync"],
        **LIVE,
    )
    op.create_index(
        "uq_schema_name_live",
        "schema",
        ["source_id", "name"],
        unique=True,
        **LIVE,
    )

    op.create_table(
        "job",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("schema_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("trigger", sa.String(length=20), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("rows_synced", sa.BigInteger(), nullable=False),
        sa.Column("rows_to_sync", sa.BigInteger(), nullable=True),
        sa.Column("bytes_written", sa.BigInteger(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("latest_error", sa.Text(), nullable=True),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("workflow_id", sa.String(length=200), nullable=False),
        sa.Column("workflow_run_id", sa.String(length=200), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.ForeignKeyConstraint(["schema_id"], ["schema.id"]),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("workflow_id", "workflow_run_id", name="uq_job_workflow_run"),
    )
    op.create_index("ix_job_schema_created", "job", ["schema_id", "created_at"], unique=False)
    op.create_index("ix_job_source_created", "job", ["source_id", "created_at", "id"], unique=False)
    op.create_index("ix_job_status", "job", ["status", "created_at"], unique=False)

    op.create_table(
        "lake_table",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("schema_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=600), nullable=False),
        sa.Column("path", sa.String(length=1000), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.ForeignKeyConstraint(["schema_id"], ["schema.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("schema_id"),
    )
    op.create_index("ix_lake_table_name", "lake_table", ["name"], unique=False)
    op.create_index("ix_lake_table_project_id", "lake_table", ["project_id"], unique=False)

    op.create_table(
        "schema_state",
        sa.Column("schema_id", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("erase_pending", sa.Boolean(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.JSON(), nullable=True),
        sa.Column("repeat", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["schema_id"], ["schema.id"]),
        sa.PrimaryKeyConstraint("schema_id"),
    )
    op.create_index(
        "ix_schema_state_erase",
        "schema_state",
        ["schema_id"],
        unique=False,
        sqlite_where=sa.text("erase_pending"),
        postgresql_where=sa.text("erase_pending"),
    )

    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("schema_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("latest_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.ForeignKeyConstraint(["schema_id"], ["schema.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_outbox_due", "outbox", ["due_at"], unique=False)
    op.create_index("ix_outbox_schema", "outbox", ["schema_id", "created_at"], unique=False)

    op.create_table(
        "job_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("schema_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.ForeignKeyConstraint(["schema_id"], ["schema.id"]),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_job_log_schema", "job_log", ["schema_id", "at", "id"], unique=False)
    op.create_index("ix_job_log_job", "job_log", ["job_id", "id"], unique=False)
    op.create_index("ix_job_log_time", "job_log", ["at"], unique=False)


def downgrade() -> None:
    op.drop_table("job_log")
    op.drop_table("outbox")
    op.drop_table("schema_state")
    op.drop_table("lake_table")
    op.drop_table("job")
    op.drop_table("schema")
    op.drop_table("source")
    op.drop_table("api_key")
    op.drop_table("project")
