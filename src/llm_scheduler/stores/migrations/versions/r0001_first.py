"""The record as first released."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BINARY_TEXT: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
CLUSTERED: dict[str, Any] = {**BINARY_TEXT, "sqlite_with_rowid": False}
FIRST_IDS = ("actions", "models", "sessions", "system_stats", "task_logs", "tasks")


def upgrade():

    op.create_table(
        "actions",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("filter", LONG_TEXT, nullable=False),
        sa.Column("priority", sa.SmallInteger()),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id"),
        **BINARY_TEXT,
    )
    op.create_table(
        "attempts",
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("model_id", sa.BigInteger(), nullable=False),
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("queued_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("outcome", sa.String(length=16)),
        sa.Column("is_accepted", sa.SmallInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_microusd", sa.BigInteger(), nullable=False),
        sa.Column("ttft_ms", sa.Integer()),
        sa.Column("error_code", sa.String(length=64)),
        sa.Column("error_retryable", sa.SmallInteger()),
        sa.Column("http_status", sa.SmallInteger()),
        sa.Column("error_message", sa.Text()),
        sa.PrimaryKeyConstraint("task_id", "attempt"),
        **CLUSTERED,
    )
    op.create_index("ix_attempts_ended", "attempts", ["ended_at"])
    op.create_table(
        "id_blocks",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("next_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        **CLUSTERED,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("answer", LONG_TEXT),
        sa.PrimaryKeyConstraint("tenant_id", "key"),
        **CLUSTERED,
    )
    op.create_table(
        "models",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("max_workers", sa.Integer(), nullable=False),
        sa.Column("current_workers", sa.Integer(), nullable=False),
        sa.Column("total_requests", sa.BigInteger(), nullable=False),
        sa.Column("success_requests", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("rpm", sa.Integer()),
        sa.Column("tpm", sa.Integer()),
        sa.Column("strategy", sa.String(length=64)),
        sa.Column("starve_after_s", sa.Double()),
        sa.Column("max_queue_length", sa.Integer()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("retry", sa.Text(), nullable=False),
        sa.Column("config", LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_models_tenant_name"),
        **BINARY_TEXT,
    )
    op.create_table(
        "results",
        sa.Column("task_id", ID, autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_microusd", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finish_reason", sa.String(length=64)),
        sa.Column("raw", LONG_TEXT),
        sa.PrimaryKeyConstraint("task_id"),
        **BINARY_TEXT,
    )
    op.create_table(
        "sessions",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat_at", sa.BigInteger(), nullable=False),
        sa.Column("alive", sa.SmallInteger(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.Column("cpu_percent", sa.Double(), nullable=False),
        sa.Column("rss_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **BINARY_TEXT,
    )
    op.create_table(
        "system_stats",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("stat_date", sa.Date(), nullable=False),
        sa.Column("total_tasks", sa.Integer(), nullable=False),
        sa.Column("completed_tasks", sa.Integer(), nullable=False),
        sa.Column("failed_tasks", sa.Integer(), nullable=False),
        sa.Column("avg_processing_time_ms", sa.Integer(), nullable=False),
        sa.Column("queue_length", sa.Integer(), nullable=False),
        sa.Column("active_models", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("stat_date", name="uq_system_stats_date"),
        **BINARY_TEXT,
    )
    op.create_table(
        "task_deadlines",
        sa.Column("task_id", ID, autoincrement=False, nullable=False),
        sa.Column("deadline_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id"),
        **BINARY_TEXT,
    )
    op.create_index("ix_task_deadlines_at", "task_deadlines", ["deadline_at"])
    op.create_table(
        "task_logs",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("data", sa.Text()),
        sa.PrimaryKeyConstraint("id"),
        **BINARY_TEXT,
    )
    op.create_index("ix_task_logs_task", "task_logs", ["task_id"])
    op.create_table(
        "task_metadata",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=512), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key", "value", "created_at", "task_id"),
        **CLUSTERED,
    )
    op.create_table(
        "tasks",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("model_id", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("retry_count", sa.Integer(), nullable=False),
        sa.Column("max_retries", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("cancel", sa.SmallInteger(), nullable=False),
        sa.Column("owner", sa.BigInteger()),
        sa.Column("est_tokens", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("queued_at", sa.BigInteger()),
        sa.Column("eligible_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger()),
        sa.Column("completed_at", sa.BigInteger()),
        sa.Column("run_at", sa.BigInteger()),
        sa.Column("deadline_at", sa.BigInteger()),
        sa.Column("timeout_s", sa.Double()),
        sa.Column("dead_reason", sa.String(length=24)),
        sa.Column("error_code", sa.String(length=64)),
        sa.Column("error_retryable", sa.SmallInteger()),
        sa.Column("http_status", sa.SmallInteger()),
        sa.Column("retry", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("metadata", sa.Text()),
        sa.Column("input", LONG_TEXT, nullable=False),
        sa.Column("output", LONG_TEXT),
        sa.PrimaryKeyConstraint("id"),
        **BINARY_TEXT,
    )
    op.create_index("ix_tasks_status_eligible", "tasks", ["status", "eligible_at"])
    op.create_index("ix_tasks_status_model_created", "tasks", ["tenant_id", "status", "model_id", "created_at"])
    op.create_index("ix_tasks_tenant_created", "tasks", ["tenant_id", "created_at"])
    op.create_index("ix_tasks_type_priority_created", "tasks", ["tenant_id", "type", "priority", "created_at"])
    op.create_table(
        "tenants",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("max_workers", sa.Integer()),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name", name="uq_tenants_name"),
        **BINARY_TEXT,
    )

    blocks = sa.table("id_blocks", sa.column("name"), sa.column("next_id"))
    op.bulk_insert(blocks, [{"name": name, "next_id": 1} for name in FIRST_IDS])
    tenants = sa.table("tenants", sa.column("id"), sa.column("name"), sa.column("weight"))
    op.bulk_insert(tenants, [{"id": 1, "name": "default", "weight": 1.0}])
