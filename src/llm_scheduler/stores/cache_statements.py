"""Statement text about stored answers and those who wait for them; see `statements` for the marks."""
# ruff: noqa: S608 - every name that is put into a text is one of ours

from __future__ import annotations

from typing import Final

from llm_scheduler.stores.statements import NEXT_EXPIRY, NEXT_PROMOTION, TERMINAL, marks

KEYS_AT_ONCE: Final = 64

ENTRY: Final = ("tenant_id", "cache_key", "task_id", "expires_at")
SELECT_ENTRIES: Final = (
    "SELECT tenant_id, cache_key, task_id, expires_at FROM response_cache "
    f"WHERE tenant_id = ? AND cache_key IN ({marks(KEYS_AT_ONCE)})"  # names of our own, values are bound
)
HOLD_ENTRIES: Final = (
    "SELECT r.tenant_id, r.cache_key, r.task_id, r.expires_at FROM response_cache r "
    f"WHERE r.tenant_id = ? AND r.cache_key IN ({marks(KEYS_AT_ONCE)})"
)
NAMED: Final = ("id", "status", "result_id")
HOLD_NAMED: Final = (
    "SELECT t.id, t.status, a.task_id AS result_id FROM tasks t LEFT JOIN results a ON a.task_id = t.id "
    "WHERE t.id IN ({ids})"
)
TAKE_OVER: Final = (
    "UPDATE response_cache SET task_id = ?, expires_at = NULL WHERE tenant_id = ? AND cache_key = ? AND task_id = ?"
)
FORGET_ENTRY: Final = "DELETE FROM response_cache WHERE tenant_id = ? AND cache_key = ? AND task_id = ?"
SELECT_LAPSED: Final = (
    "SELECT tenant_id, cache_key FROM response_cache WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"
)
FORGET_LAPSED: Final = (
    f"DELETE FROM response_cache WHERE tenant_id = ? AND cache_key IN ({marks(KEYS_AT_ONCE)}) AND expires_at <= ?"
)
SELECT_LOST_LEADS: Final = (
    "SELECT r.tenant_id, r.cache_key, r.task_id FROM response_cache r LEFT JOIN tasks t ON t.id = r.task_id "
    f"WHERE r.expires_at IS NULL AND (t.id IS NULL OR t.status IN {TERMINAL}) LIMIT ?"
)

WISH: Final = ("task_id", "tenant_id", "cache_key", "ttl_s", "leader_id")
WISH_ROW: Final = (*WISH, "source_id")
SELECT_WISHES: Final = f"SELECT {', '.join(WISH)} FROM task_cache WHERE task_id IN ({{ids}})"
DROP_WISHES: Final = "DELETE FROM task_cache WHERE task_id IN ({ids})"
FOLLOW: Final = "UPDATE task_cache SET leader_id = ? WHERE task_id IN ({ids})"
ANSWERED_BY: Final = "UPDATE task_cache SET leader_id = NULL, source_id = ? WHERE task_id IN ({ids})"

FOLLOWER: Final = ("id", "tenant_id", "model_id", "status", "attempt", "leader_id", "cache_key", "priority")
SELECT_FOLLOWERS: Final = (
    "SELECT c.task_id AS id, c.tenant_id, t.model_id, t.status, t.attempt, c.leader_id, c.cache_key, t.priority "
    "FROM task_cache c LEFT JOIN tasks t ON t.id = c.task_id WHERE c.leader_id IN ({ids}) "
    "ORDER BY c.leader_id, c.task_id LIMIT ?"
)
SELECT_LOST_LEADERS: Final = (
    "SELECT d.leader_id FROM (SELECT DISTINCT leader_id FROM task_cache WHERE leader_id IS NOT NULL) d "
    f"LEFT JOIN tasks t ON t.id = d.leader_id WHERE t.id IS NULL OR t.status IN {TERMINAL} LIMIT ?"
)
NEXT_DUE: Final = (
    f"SELECT MIN(moment) FROM ({NEXT_PROMOTION} UNION ALL SELECT * FROM ({NEXT_EXPIRY}) e "
    f"UNION ALL SELECT 0 FROM ({SELECT_LOST_LEADERS.replace('LIMIT ?', 'LIMIT 1')}) l) m"
)
BLOCK: Final = "UPDATE tasks SET status = 'blocked', updated_at = ? WHERE id IN ({ids}) AND status = 'scheduled'"
LEAD: Final = (
    "UPDATE tasks SET status = 'queued', queued_at = eligible_at, updated_at = ? "
    "WHERE id IN ({ids}) AND status = 'blocked'"
)

SOURCE: Final = ("id", "output")
SELECT_SOURCES: Final = (
    "SELECT t.id, t.output FROM tasks t JOIN results r ON r.task_id = t.id "
    "WHERE t.id IN ({ids}) AND t.status = 'completed'"
)
ANSWER: Final = (
    "UPDATE tasks SET status = 'completed', completed_at = ?, updated_at = ?, output = ?, "
    "error_code = NULL, error_message = NULL, error_retryable = NULL, http_status = NULL "
    "WHERE id IN ({ids}) AND status = 'blocked'"
)
# Whole answers may be large: they are copied where they lie. A copy used no tokens and cost nothing.
COPY_RESULT: Final = (
    "INSERT INTO results (task_id, tenant_id, attempt, prompt_tokens, completion_tokens, total_tokens, "
    "cost_microusd, created_at, finish_reason, raw) "
    "SELECT t.id, t.tenant_id, t.attempt, 0, 0, 0, 0, ?, r.finish_reason, r.raw "
    "FROM tasks t CROSS JOIN results r WHERE t.id IN ({ids}) AND t.status = 'blocked' AND r.task_id = ?"
)
