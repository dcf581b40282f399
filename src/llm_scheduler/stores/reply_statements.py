"""Idempotency keys of requests that are not single tasks: taken, answered, freed. An empty answer is one to come."""

from __future__ import annotations

from typing import Final

HOLD_REPLY: Final = (
    "SELECT fingerprint, answer, created_at, task_id FROM idempotency_keys WHERE tenant_id = ? AND `key` = ?"
)
KEEP_REPLY: Final = "UPDATE idempotency_keys SET answer = ? WHERE tenant_id = ? AND `key` = ? AND answer = ''"
FREE_KEY: Final = "DELETE FROM idempotency_keys WHERE tenant_id = ? AND `key` = ? AND answer = ''"
TASK_THERE: Final = "SELECT id FROM tasks WHERE id = ?"
