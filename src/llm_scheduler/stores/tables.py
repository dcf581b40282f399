"""The tables of the record, for SQLite and MySQL alike.

The seed's four entities keep their names and columns. Instants are epoch milliseconds; JSON is text.
An index ends in the primary key on both engines, so in SQLite `id` is not repeated in one that sorts by
it. In MySQL it is, at no cost: across partitions only what is named counts as sorted.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Double,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from llm_scheduler.stores.access_tables import API_KEYS, AUDIT_LOG, LOGINS, MEMBERSHIPS, SIGNING_KEYS, USERS
from llm_scheduler.stores.columns import BINARY_TEXT, CLUSTERED, ID, LONG_TEXT, METADATA, only, sorting
from llm_scheduler.stores.steering_tables import BUDGETS, PREDICTIONS, PRICES, RESERVATIONS, STATES

TENANTS: Final = Table(
    "tenants",
    METADATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("name", String(100), nullable=False),
    Column("weight", Double, nullable=False),
    Column("max_workers", Integer),
    Column("state", String(12), nullable=False, server_default="active"),
    # Quotas and what is kept of payloads; JSON.
    Column("options", Text),
    Column("created_at", BigInteger, nullable=False, server_default="0"),
    Column("updated_at", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("name", name="uq_tenants_name"),
    **BINARY_TEXT,
)

MODELS: Final = Table(
    "models",
    METADATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("name", String(100), nullable=False),
    Column("type", String(64), nullable=False),
    Column("status", String(12), nullable=False),
    Column("max_workers", Integer, nullable=False),
    Column("current_workers", Integer, nullable=False),
    Column("total_requests", BigInteger, nullable=False),
    Column("success_requests", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("rpm", Integer),
    Column("tpm", Integer),
    Column("strategy", String(64)),
    Column("starve_after_s", Double),
    Column("max_queue_length", Integer),
    Column("version", Integer, nullable=False),
    Column("retry", Text, nullable=False),
    Column("config", LONG_TEXT, nullable=False),
    # What is configured beyond the columns, and the ways to reach it; JSON.
    Column("options", Text),
    Column("endpoints", LONG_TEXT),
    # The seed's index on (type, status) has no query here: models are few and read whole.
    UniqueConstraint("tenant_id", "name", name="uq_models_tenant_name"),
    **BINARY_TEXT,
)

TASKS: Final = Table(
    "tasks",
    METADATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("model_id", BigInteger, nullable=False),
    Column("type", String(64), nullable=False),
    Column("status", String(12), nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("retry_count", Integer, nullable=False),
    Column("max_retries", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("cancel", SmallInteger, nullable=False),
    Column("owner", BigInteger),
    Column("est_tokens", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("queued_at", BigInteger),
    # When it may run; equals queued_at from the moment it is queued.
    Column("eligible_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("completed_at", BigInteger),
    Column("run_at", BigInteger),
    Column("deadline_at", BigInteger),
    Column("timeout_s", Double),
    Column("dead_reason", String(24)),
    Column("error_code", String(64)),
    Column("error_retryable", SmallInteger),
    Column("http_status", SmallInteger),
    # Large columns stand last: a scan that does not ask for them never touches their overflow pages.
    Column("retry", Text),
    Column("error_message", Text),
    Column("metadata", Text),
    Column("input", LONG_TEXT, nullable=False),
    Column("output", LONG_TEXT),
    # The part of est_tokens that is expected to come out.
    Column("est_output", BigInteger, nullable=False, server_default="0"),
    Column("key_id", BigInteger),
    # What is asked beyond the columns; JSON.
    Column("options", Text),
    # No foreign key to models: MySQL would keep a sixth index for it. Submit checks that the model exists.
    # Lists without a filter, and of a span of time. Never rewritten.
    *sorting("ix_tasks_tenant_created", "tenant_id", "created_at"),
    # Lists by type, priority or both. Never rewritten but by a change of priority.
    *sorting("ix_tasks_type_priority_created", "tenant_id", "type", "priority", "created_at"),
    # Lists by status, model or both; counts per status and model (covering).
    *sorting("ix_tasks_status_model_created", "tenant_id", "status", "model_id", "created_at"),
    # Filling the broker, promoting, rescuing, the slots of what runs, counts of the whole installation.
    *sorting("ix_tasks_status_eligible", "status", "eligible_at"),
    **BINARY_TEXT,
)

ATTEMPTS: Final = Table(
    "attempts",
    METADATA,
    Column("task_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("model_id", BigInteger, nullable=False),
    Column("session_id", BigInteger, nullable=False),
    Column("queued_at", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("outcome", String(16)),
    # 1: this end moved the task. Tells a replay of an accepted end from a late one.
    Column("is_accepted", SmallInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cost_microusd", BigInteger, nullable=False),
    Column("ttft_ms", Integer),
    Column("error_code", String(64)),
    Column("error_retryable", SmallInteger),
    Column("http_status", SmallInteger),
    Column("error_message", Text),
    # Which of the model's endpoints was called; None where it has one way only.
    Column("endpoint", String(64)),
    PrimaryKeyConstraint("task_id", "attempt"),
    # The last minutes, usage of a span of time; those without an end are what a worker runs (heartbeat).
    Index("ix_attempts_ended", "ended_at"),
    **CLUSTERED,
)

RESULTS: Final = Table(
    "results",
    METADATA,
    # The primary key makes a second result for one task impossible.
    Column("task_id", ID, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("total_tokens", BigInteger, nullable=False),
    Column("cost_microusd", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("finish_reason", String(64)),
    Column("raw", LONG_TEXT),
    **BINARY_TEXT,
)

TASK_LOGS: Final = Table(
    "task_logs",
    METADATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("task_id", BigInteger, nullable=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("level", String(8), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("message", Text, nullable=False),
    Column("data", Text),
    # Lines of one task. The seed's second index (level, created_at) has no query here. On MySQL the table lies
    # in ranges of task ids; there its primary key is (task_id, id), which serves for both (migration 0005).
    only("sqlite", Index("ix_task_logs_task", "task_id")),
    **BINARY_TEXT,
)

TASK_METADATA: Final = Table(
    "task_metadata",
    METADATA,
    Column("tenant_id", BigInteger, nullable=False),
    Column("key", String(64), nullable=False),
    Column("value", String(512), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("task_id", BigInteger, nullable=False),
    # Lists by metadata.KEY, newest first.
    PrimaryKeyConstraint("tenant_id", "key", "value", "created_at", "task_id"),
    **CLUSTERED,
)

TASK_DEADLINES: Final = Table(
    "task_deadlines",
    METADATA,
    # Unfinished tasks that have a deadline. The sweep for expired ones reads this by time.
    Column("task_id", ID, primary_key=True, autoincrement=False),
    Column("deadline_at", BigInteger, nullable=False),
    Index("ix_task_deadlines_at", "deadline_at"),
    **BINARY_TEXT,
)

FADING_PAYLOADS: Final = Table(
    "fading_payloads",
    METADATA,
    # Tasks that are over and whose input and output are to go a while later.
    Column("task_id", ID, primary_key=True, autoincrement=False),
    Column("ended_at", BigInteger, nullable=False),
    Index("ix_fading_payloads_ended", "ended_at"),
    **BINARY_TEXT,
)

SYSTEM_STATS: Final = Table(
    "system_stats",
    METADATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("stat_date", Date, nullable=False),
    Column("total_tasks", Integer, nullable=False),
    Column("completed_tasks", Integer, nullable=False),
    Column("failed_tasks", Integer, nullable=False),
    Column("avg_processing_time_ms", Integer, nullable=False),
    Column("queue_length", Integer, nullable=False),
    Column("active_models", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("stat_date", name="uq_system_stats_date"),
    **BINARY_TEXT,
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(64), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("heartbeat_at", BigInteger, nullable=False),
    Column("alive", SmallInteger, nullable=False),
    Column("running", Integer, nullable=False),
    Column("cpu_percent", Double, nullable=False),
    Column("rss_bytes", BigInteger, nullable=False),
    Column("role", String(8), nullable=False, server_default="all"),
    **BINARY_TEXT,
)

ID_BLOCKS: Final = Table(
    "id_blocks",
    METADATA,
    Column("name", String(32), nullable=False),
    Column("next_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("name"),
    **CLUSTERED,
)

IDEMPOTENCY_KEYS: Final = Table(
    "idempotency_keys",
    METADATA,
    Column("tenant_id", BigInteger, nullable=False),
    Column("key", String(255), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("task_id", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("answer", LONG_TEXT),
    PrimaryKeyConstraint("tenant_id", "key"),
    **CLUSTERED,
)

ACTIONS: Final = Table(
    "actions",
    METADATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("action", String(32), nullable=False),
    Column("filter", LONG_TEXT, nullable=False),
    Column("priority", SmallInteger),
    Column("status", String(12), nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("error", Text),
    **BINARY_TEXT,
)

SCHEMA_FLOOR: Final = Table(
    "schema_floor",
    METADATA,
    # One row: programs that know this revision may use the schema, however new it is.
    Column("revision", String(32), nullable=False),
    PrimaryKeyConstraint("revision"),
    **CLUSTERED,
)

RESPONSE_CACHE: Final = Table(
    "response_cache",
    METADATA,
    Column("tenant_id", BigInteger, nullable=False),
    Column("cache_key", String(64), nullable=False),
    # The completed task that has the answer, or the one in flight that leads.
    Column("task_id", BigInteger, nullable=False),
    # None: in flight.
    Column("expires_at", BigInteger),
    PrimaryKeyConstraint("tenant_id", "cache_key"),
    Index("ix_response_cache_expires", "expires_at"),
    **CLUSTERED,
)

TASK_CACHE: Final = Table(
    "task_cache",
    METADATA,
    # Tasks that ask for the cache.
    Column("task_id", ID, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("cache_key", String(64), nullable=False),
    Column("ttl_s", Integer, nullable=False),
    # The task that it waits for, while it does.
    Column("leader_id", BigInteger),
    # The task whose answer it was given.
    Column("source_id", BigInteger),
    Index("ix_task_cache_leader", "leader_id"),
    **BINARY_TEXT,
)

ACCESS: Final = (API_KEYS, AUDIT_LOG, LOGINS, MEMBERSHIPS, SIGNING_KEYS, USERS)
STEERING: Final = (BUDGETS, PREDICTIONS, PRICES, RESERVATIONS, STATES)
"""Named here so that whoever knows the tables knows all of them."""
