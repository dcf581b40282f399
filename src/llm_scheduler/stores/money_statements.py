"""Statement text about prices, budgets and reservations; see `statements` for the marks.

A row of `reservations` with attempt 0 is no reservation but what a HELD task waits for: attempts count from 1.
"""
# ruff: noqa: S608 - every name that is put into a text is one of ours

from __future__ import annotations

from typing import Final

BUDGET: Final = (
    "id",
    "tenant_id",
    "name",
    "model_id",
    "key_id",
    "period",
    "limit_microusd",
    "spent_microusd",
    "reserved_microusd",
    "period_start",
    "told_percent",
    "created_at",
    "updated_at",
    "imposed",
)
_BUDGET: Final = ", ".join(BUDGET)
ALL_BUDGETS: Final = f"SELECT {_BUDGET} FROM budgets ORDER BY tenant_id, name LIMIT ?"
BUDGETS_OF: Final = f"SELECT {_BUDGET} FROM budgets WHERE tenant_id IN ({{ids}})"
# By the primary key, so that rows are locked in its order: two transactions never wait for each other.
HOLD_BUDGETS: Final = f"SELECT {_BUDGET} FROM budgets WHERE id IN ({{ids}}) ORDER BY id"
HOLD_EVERY_BUDGET: Final = f"SELECT {_BUDGET} FROM budgets WHERE id > ? ORDER BY id LIMIT ?"
BUDGET_NAMED: Final = "SELECT id FROM budgets WHERE tenant_id = ? AND name = ?"

ROLL_OVER: Final = (
    "UPDATE budgets SET spent_microusd = 0, told_percent = 0, period_start = ?, updated_at = ? "
    "WHERE id = ? AND period_start < ?"
)
RESERVE: Final = (
    "UPDATE budgets SET reserved_microusd = reserved_microusd + ?, updated_at = ? "
    "WHERE id = ? AND spent_microusd + reserved_microusd + ? <= limit_microusd"
)
SETTLE: Final = (
    "UPDATE budgets SET spent_microusd = spent_microusd + ?, reserved_microusd = reserved_microusd - ?, "
    "updated_at = ? WHERE id = ?"
)
TELL: Final = "UPDATE budgets SET told_percent = ? WHERE id = ?"
SET_RESERVED: Final = "UPDATE budgets SET reserved_microusd = ?, updated_at = ? WHERE id = ?"
TOP_UP: Final = "UPDATE budgets SET limit_microusd = ?, told_percent = ?, updated_at = ? WHERE id = ?"
DROP_BUDGET: Final = "DELETE FROM budgets WHERE id = ?"
DROP_ITS_RESERVATIONS: Final = "DELETE FROM reservations WHERE budget_id = ?"

RESERVATION: Final = ("task_id", "attempt", "budget_id", "amount_microusd")
_RESERVATION: Final = ", ".join(RESERVATION)
HOLD_RESERVATIONS: Final = f"SELECT {_RESERVATION} FROM reservations WHERE task_id IN ({{ids}}) AND attempt > 0"
SELECT_NEEDS: Final = f"SELECT {_RESERVATION} FROM reservations WHERE task_id IN ({{ids}}) AND attempt = 0"
DROP_NEEDS: Final = "DELETE FROM reservations WHERE attempt = 0"
NEEDS_OF: Final = f"SELECT {_RESERVATION} FROM reservations WHERE task_id = ? AND attempt = 0"
DROP_RESERVATIONS: Final = "DELETE FROM reservations WHERE task_id IN ({ids}) AND attempt = ?"
DROP_STALE_NEEDS: Final = (
    "DELETE FROM reservations WHERE attempt = 0 "
    "AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = reservations.task_id AND t.status = 'held')"
)
SELECT_LEAKED: Final = (
    "SELECT r.task_id, r.attempt, r.budget_id, r.amount_microusd FROM reservations r "
    "LEFT JOIN attempts a ON a.task_id = r.task_id AND a.attempt = r.attempt "
    "WHERE r.attempt > 0 AND (a.task_id IS NULL OR a.ended_at IS NOT NULL OR "
    # Of a lost worker, unless the task is still to be rescued: that settles it.
    "(NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = a.session_id AND s.alive = 1) AND NOT EXISTS "
    "(SELECT 1 FROM tasks t WHERE t.id = r.task_id AND t.status = 'running' AND t.attempt = r.attempt))) LIMIT ?"
)
SUMS: Final = (
    "SELECT budget_id, SUM(amount_microusd) AS amount FROM reservations WHERE attempt > 0 "
    "AND budget_id IN ({ids}) GROUP BY budget_id"
)
BALANCE: Final = (
    "SELECT (SELECT COALESCE(SUM(reserved_microusd), 0) FROM budgets) AS reserved, "
    "(SELECT COALESCE(SUM(r.amount_microusd), 0) FROM reservations r JOIN attempts a "
    "ON a.task_id = r.task_id AND a.attempt = r.attempt WHERE r.attempt > 0 AND a.ended_at IS NULL) AS open"
)

HOLD_TASKS: Final = (
    "UPDATE tasks SET status = 'held', updated_at = ?, error_code = 'budget_exhausted', error_retryable = 1, "
    "http_status = NULL, error_message = CASE id {cases} END WHERE id IN ({ids}) AND status = 'queued'"
)
HELD: Final = ("id", "tenant_id", "eligible_at")
SELECT_HELD: Final = (
    "SELECT id, tenant_id, eligible_at FROM tasks WHERE status = 'held' AND eligible_at >= ? "
    "AND (eligible_at > ? OR id > ?) ORDER BY eligible_at, id LIMIT ?"
)
RELEASE: Final = (
    "UPDATE tasks SET status = 'queued', updated_at = ?, error_code = NULL, error_message = NULL, "
    "error_retryable = NULL WHERE id IN ({ids}) AND status = 'held'"
)

PRICE: Final = (
    "id",
    "tenant_id",
    "provider",
    "model",
    "tier",
    "valid_from",
    "input_nanousd",
    "output_nanousd",
    "cached_input_nanousd",
    "cache_write_nanousd",
    "request_nanousd",
    "source",
    "created_at",
)
ALL_PRICES: Final = f"SELECT {', '.join(PRICE)} FROM prices ORDER BY id LIMIT ?"
SAME_PRICE: Final = (
    "SELECT id FROM prices WHERE model = ? AND valid_from = ? AND provider = ? AND tier = ? "
    "AND COALESCE(tenant_id, 0) = ?"
)
DROP_PRICE: Final = "DELETE FROM prices WHERE id = ? AND COALESCE(tenant_id, 0) = ?"
IMPOSED_ON_MODEL: Final = "SELECT MIN(name) FROM budgets WHERE model_id = ? AND imposed = 1"
