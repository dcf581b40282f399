"""Tables of what steers the queue beyond the seed: what was learned, prices, budgets."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
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

from llm_scheduler.stores.columns import BINARY_TEXT, CLUSTERED, ID, METADATA

PREDICTIONS: Final = Table(
    "predictions",
    METADATA,
    # Sums from which running means are made; every process adds to them. `scope` names what they are of.
    Column("scope", String(191), nullable=False),
    Column("samples", Double, nullable=False),
    Column("output_tokens", Double, nullable=False),
    Column("service_ms", Double, nullable=False),
    # What was used and what the plain estimate had said, of inputs: their ratio is the learned factor.
    Column("input_tokens", Double, nullable=False),
    Column("input_estimate", Double, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("scope"),
    Index("ix_predictions_updated", "updated_at"),
    **CLUSTERED,
)

STATES: Final = Table(
    "states",
    METADATA,
    # What a controller has learned, by its name; JSON. The version grows with every change.
    Column("name", String(191), nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("data", Text, nullable=False),
    PrimaryKeyConstraint("name"),
    **CLUSTERED,
)

PRICES: Final = Table(
    "prices",
    METADATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    # None: for every tenant that has none of its own.
    Column("tenant_id", BigInteger),
    Column("provider", String(64), nullable=False),
    Column("model", String(128), nullable=False),
    Column("tier", String(32), nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    # Thousand-millionths of a dollar for one token, or for one request.
    Column("input_nanousd", BigInteger, nullable=False),
    Column("output_nanousd", BigInteger, nullable=False),
    Column("cached_input_nanousd", BigInteger),
    Column("cache_write_nanousd", BigInteger),
    Column("request_nanousd", BigInteger, nullable=False),
    Column("source", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_prices_model", "model", "valid_from"),
    **BINARY_TEXT,
)

BUDGETS: Final = Table(
    "budgets",
    METADATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("name", String(100), nullable=False),
    # None: of every model, of every key.
    Column("model_id", BigInteger),
    Column("key_id", BigInteger),
    Column("period", String(8), nullable=False),
    Column("limit_microusd", BigInteger, nullable=False),
    Column("spent_microusd", BigInteger, nullable=False),
    # The sum of its rows in `reservations`.
    Column("reserved_microusd", BigInteger, nullable=False),
    Column("period_start", BigInteger, nullable=False),
    # Per cent of the limit that were told of in this period: 0, 80 or 100.
    Column("told_percent", SmallInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    # 1: set by an administrator; the tenant's owner cannot change it.
    Column("imposed", SmallInteger, nullable=False, server_default="0"),
    UniqueConstraint("tenant_id", "name", name="uq_budgets_tenant_name"),
    **BINARY_TEXT,
)

RESERVATIONS: Final = Table(
    "reservations",
    METADATA,
    # What an open attempt may cost at most. It goes with the attempt.
    Column("task_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("budget_id", BigInteger, nullable=False),
    Column("amount_microusd", BigInteger, nullable=False),
    PrimaryKeyConstraint("task_id", "attempt", "budget_id"),
    Index("ix_reservations_budget", "budget_id"),
    **CLUSTERED,
)
