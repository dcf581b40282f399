"""Statement text about tasks that move to another model; see `statements` for the marks."""
# ruff: noqa: S608 - every name that is put into a text is one of ours

from __future__ import annotations

from typing import Final

_ANEW: Final = (
    "failures = 0, retry_count = 0, error_code = NULL, error_message = NULL, error_retryable = NULL, "
    "http_status = NULL, model_id = CASE id {cases} END, options = CASE id {cases} END "
)
MOVE_ON: Final = (
    "UPDATE tasks SET status = 'queued', owner = NULL, updated_at = ?, "
    + _ANEW  # names of our own, values are bound
    + "WHERE id IN ({ids}) AND status = 'running' AND attempt = ? AND owner = ?"
)
DIVERT: Final = "UPDATE tasks SET updated_at = ?, " + _ANEW + "WHERE id IN ({ids}) AND status = 'queued'"
HELD: Final = ("id", "tenant_id", "model_id")
HOLD_WAITING: Final = "SELECT id, tenant_id, model_id FROM tasks WHERE id IN ({ids}) AND status = 'queued'"
SERVED_BY: Final = "UPDATE tasks SET model_id = ? WHERE id IN ({ids}) AND status = 'completed'"

DIVERTIBLE: Final = ("id", "tenant_id", "model_id", "type", "created_at", "options")
SELECT_DIVERTIBLE: Final = (
    "SELECT id, tenant_id, model_id, type, created_at, options FROM tasks "
    "WHERE tenant_id = ? AND status = 'queued' AND model_id = ? AND created_at >= ? AND (created_at > ? OR id > ?) "
    "ORDER BY created_at, id LIMIT ?"
)
