"""Endpoints, what was learned, prices, budgets and reservations."""

import sqlalchemy as sa
from alembic import op

from llm_scheduler.stores.columns import BINARY_TEXT, CLUSTERED, ID, LONG_TEXT

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade():
    # MySQL commits each change of the schema by itself: an upgrade that was cut off finds its own traces.
    _add_columns("models", sa.Column("options", sa.Text()), sa.Column("endpoints", LONG_TEXT))
    _add_columns(
        "tasks",
        sa.Column("est_output", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("key_id", sa.BigInteger()),
        sa.Column("options", sa.Text()),
    )
    _add_columns("attempts", sa.Column("endpoint", sa.String(length=64)))
    found = sa.inspect(op.get_bind())
    for name, add in (
        ("predictions", _add_predictions),
        ("states", _add_states),
        ("prices", _add_prices),
        ("budgets", _add_budgets),
        ("reservations", _add_reservations),
    ):
        if not found.has_table(name):
            add()
    _add_index("predictions", "ix_predictions_updated", "updated_at")
    _add_index("prices", "ix_prices_model", "model", "valid_from")
    _add_index("reservations", "ix_reservations_budget", "budget_id")


def _add_columns(table, *columns):
    known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    with op.batch_alter_table(table, recreate="never") as changed:
        for column in columns:
            if column.name not in known:
                changed.add_column(column)


def _add_index(table, name, *columns):
    if all(index["name"] != name for index in sa.inspect(op.get_bind()).get_indexes(table)):
        op.create_index(name, table, list(columns))


def _add_predictions():
    op.create_table(
        "predictions",
        sa.Column("scope", sa.String(length=191), nullable=False),
        sa.Column("samples", sa.Double(), nullable=False),
        sa.Column("output_tokens", sa.Double(), nullable=False),
        sa.Column("service_ms", sa.Double(), nullable=False),
        sa.Column("input_tokens", sa.Double(), nullable=False),
        sa.Column("input_estimate", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
        **CLUSTERED,
    )


def _add_states():
    op.create_table(
        "states",
        sa.Column("name", sa.String(length=191), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        **CLUSTERED,
    )


def _add_prices():
    op.create_table(
        "prices",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger()),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("tier", sa.String(length=32), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("input_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("output_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("cached_input_nanousd", sa.BigInteger()),
        sa.Column("cache_write_nanousd", sa.BigInteger()),
        sa.Column("request_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **BINARY_TEXT,
    )


def _add_budgets():
    op.create_table(
        "budgets",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("model_id", sa.BigInteger()),
        sa.Column("key_id", sa.BigInteger()),
        sa.Column("period", sa.String(length=8), nullable=False),
        sa.Column("limit_microusd", sa.BigInteger(), nullable=False),
        sa.Column("spent_microusd", sa.BigInteger(), nullable=False),
        sa.Column("reserved_microusd", sa.BigInteger(), nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("told_percent", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_budgets_tenant_name"),
        **BINARY_TEXT,
    )


def _add_reservations():
    op.create_table(
        "reservations",
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("budget_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_microusd", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "attempt", "budget_id"),
        **CLUSTERED,
    )
