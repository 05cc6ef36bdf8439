"""Change data capture: captures with their events, history tables beside main ones, and a schema's delete mode."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UNNAMED = {"uq": "uq_%(table_name)s_%(column_0_name)s"}
"""Gives SQLite's unnamed constraints a name by which they can be dropped."""


def upgrade() -> None:
    op.create_table(
        "capture",
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("managed", sa.Boolean(), nullable=False),
        sa.Column("slot_name", sa.String(length=63), nullable=False),
        sa.Column("publication_name", sa.String(length=63), nullable=False),
        sa.Column("auto_drop_slot", sa.Boolean(), nullable=False),
        sa.Column("warning_mb", sa.Integer(), nullable=False),
        sa.Column("critical_mb", sa.Integer(), nullable=False),
        sa.Column("delete_mode", sa.String(length=20), nullable=False),
        sa.Column("continuous", sa.Boolean(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cluster", sa.Text(), nullable=True),
        sa.Column("latest_error", sa.Text(), nullable=True),
        sa.Column("retained_bytes", sa.BigInteger(), nullable=True),
        sa.Column("lag_bytes", sa.BigInteger(), nullable=True),
        sa.Column("limit_bytes", sa.BigInteger(), nullable=True),
        sa.Column("wal_status", sa.String(length=20), nullable=True),
        sa.Column("growth", sa.Float(), nullable=True),
        sa.Column("watched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removing", sa.Boolean(), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"]),
        sa.PrimaryKeyConstraint("source_id"),
    )
    op.create_index("ix_capture_project_id", "capture", ["project_id"], unique=False)
    op.create_table(
        "capture_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_capture_event_source", "capture_event", ["source_id", "at", "id"], unique=False)
    op.create_index("ix_capture_event_time", "capture_event", ["at"], unique=False)

    op.add_column("source", sa.Column("capture_epoch", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("schema_state", sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("schema", sa.Column("cdc_delete_mode", sa.String(length=20), nullable=True))
    with op.batch_alter_table("lake_table", naming_convention=UNNAMED) as lake_table:
        lake_table.add_column(sa.Column("kind", sa.String(length=20), nullable=False, server_default="main"))
        lake_table.drop_constraint(_one_table_of_schema(), type_="unique")
        lake_table.create_unique_constraint("uq_lake_table_schema_kind", ["schema_id", "kind"])


def downgrade() -> None:
    op.execute("DELETE FROM lake_table WHERE kind <> 'main'")
    with op.batch_alter_table("lake_table") as lake_table:
        lake_table.drop_constraint("uq_lake_table_schema_kind", type_="unique")
        lake_table.drop_column("kind")
        lake_table.create_unique_constraint(_one_table_of_schema(), ["schema_id"])
    with op.batch_alter_table("schema_state") as schema_state:
        schema_state.drop_column("asked_at")
    with op.batch_alter_table("schema") as schema:
        schema.drop_column("cdc_delete_mode")
    with op.batch_alter_table("source") as source:
        source.drop_column("capture_epoch")
    op.drop_table("capture_event")
    op.drop_table("capture")


def _one_table_of_schema() -> str:
    """PostgreSQL named it by itself."""
    on_postgres = op.get_bind().dialect.name == "postgresql"
    return "lake_table_schema_id_key" if on_postgres else "uq_lake_table_schema_id"
