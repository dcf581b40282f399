"""Answers of completed tasks for equal ones."""

import sqlalchemy as sa
from alembic import op

from llm_scheduler.stores.columns import BINARY_TEXT, CLUSTERED, ID

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade():
    # MySQL commits each change of the schema by itself: an upgrade that was cut off finds its own traces.
    found = sa.inspect(op.get_bind())
    if not found.has_table("response_cache"):
        _add_response_cache()
    if not _has_index("response_cache"):
        op.create_index("ix_response_cache_expires", "response_cache", ["expires_at"])
    if not found.has_table("task_cache"):
        _add_task_cache()
    if not _has_index("task_cache"):
        op.create_index("ix_task_cache_leader", "task_cache", ["leader_id"])


def _has_index(table):
    return bool(sa.inspect(op.get_bind()).get_indexes(table))


def _add_response_cache():
    op.create_table(
        "response_cache",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("cache_key", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant_id", "cache_key"),
        **CLUSTERED,
    )


def _add_task_cache():
    op.create_table(
        "task_cache",
        sa.Column("task_id", ID, autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("cache_key", sa.String(length=64), nullable=False),
        sa.Column("ttl_s", sa.Integer(), nullable=False),
        sa.Column("leader_id", sa.BigInteger()),
        sa.Column("source_id", sa.BigInteger()),
        sa.PrimaryKeyConstraint("task_id"),
        **BINARY_TEXT,
    )
