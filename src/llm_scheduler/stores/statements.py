"""Statement text that SQLite and MySQL both accept, built once and reused.

Lists are cut into a few fixed sizes, so that each text is prepared once and found again in the
statement cache. `{ids}` stands for a list of ids, `{cases}` for the arms of `CASE id`.
"""
# ruff: noqa: S608 - every name that is put into a text is one of ours

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from llm_scheduler.stores.tables import ATTEMPTS, METADATA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Dialect = Literal["sqlite", "mysql"]
Names = tuple[str, ...]

INSERT_SIZES: Final = (256, 64, 16, 4, 1)
LIST_SIZES: Final = (1, 4, 16, 64, 256)
CASE_SIZES: Final = (1, 4, 16, 64)
"""`CASE id WHEN` is searched from its first arm for each row: short lists are quicker."""


def marks(count: int) -> str:
    """`?,?,?`."""
    return ",".join("?" * count)


@lru_cache(maxsize=1024)
def with_ids(template: str, count: int) -> str:
    """The template with room for `count` ids, and as many arms where it has `{cases}`."""
    return template.replace("{ids}", marks(count)).replace("{cases}", "WHEN ? THEN ? " * count)


def padded(ids: Sequence[int], sizes: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut into lists of these sizes; the last id is repeated to fill one (IN does not mind)."""
    largest = sizes[-1]
    for first in range(0, len(ids), largest):
        part = ids[first : first + largest]
        size = next(size for size in sizes if size >= len(part))
        yield [*part, *[part[-1]] * (size - len(part))]


@lru_cache(maxsize=256)
def insert(table: str, columns: tuple[str, ...], rows: int) -> str:
    """INSERT of several rows."""
    row = f"({marks(len(columns))})"
    return insert_head(table, columns) + ",".join([row] * rows)


@lru_cache(maxsize=64)
def insert_head(table: str, columns: tuple[str, ...]) -> str:
    """INSERT up to its first row."""
    return f"INSERT INTO {_named(table, columns)} VALUES "  # names of our own, values are bound


def on_duplicate(changed: Names, added: Names = ()) -> str:
    """What MySQL shall do where a key is there already."""
    return f" ON DUPLICATE KEY UPDATE {_settings(changed, added, 'VALUES({})')}"


@lru_cache(maxsize=64)
def upsert(table: str, columns: Names, changed: Names, rows: int, dialect: Dialect, added: Names = ()) -> str:
    """INSERT of several rows; where a key is there already the new values of `changed`, and `added` to the old ones."""
    text = insert(table, columns, rows)
    if dialect == "mysql":
        return text + on_duplicate(changed, added)
    key = ", ".join(column.name for column in METADATA.tables[table].primary_key)
    return f"{text} ON CONFLICT ({key}) DO UPDATE SET {_settings(changed, added, 'excluded.{}')}"


def _settings(changed: Names, added: Names, new: str) -> str:
    written = [f"{name} = {new.format(name)}" for name in changed]
    return ", ".join(written + [f"{name} = {name} + {new.format(name)}" for name in added])


def _named(table: str, columns: tuple[str, ...]) -> str:
    known = METADATA.tables[table].columns
    unknown = [name for name in columns if name not in known]
    if unknown:
        raise KeyError(f"{table} has no column {unknown}")
    return f"{table} ({', '.join(_quoted(name) for name in columns)})"


def _quoted(name: str) -> str:
    return f"`{name}`" if name in RESERVED else name


RESERVED: Final = frozenset({"key"})
"""Our columns that MySQL reserves; SQLite takes backticks too."""

TASK_NEW: Final = (
    "id",
    "tenant_id",
    "model_id",
    "type",
    "status",
    "priority",
    "attempt",
    "failures",
    "crashes",
    "retry_count",
    "max_retries",
    "generation",
    "cancel",
    "est_tokens",
    "created_at",
    "updated_at",
    "queued_at",
    "eligible_at",
    "run_at",
    "deadline_at",
    "timeout_s",
    "retry",
    "metadata",
    "input",
    "est_output",
    "key_id",
    "options",
)
ATTEMPT_ROW: Final = tuple(column.name for column in ATTEMPTS.columns)
ATTEMPT_NEW: Final = (
    "task_id",
    "attempt",
    "tenant_id",
    "model_id",
    "session_id",
    "queued_at",
    "started_at",
    "is_accepted",
    "prompt_tokens",
    "completion_tokens",
    "cost_microusd",
    "endpoint",
)
METADATA_ROW: Final = ("tenant_id", "key", "value", "created_at", "task_id")
SELECT_KEYS: Final = (
    "SELECT k.tenant_id, k.`key`, k.fingerprint, k.task_id, t.status, t.eligible_at, "
    "k.answer IS NOT NULL AS is_reply "
    "FROM idempotency_keys k LEFT JOIN tasks t ON t.id = k.task_id "
    f"WHERE k.tenant_id = ? AND k.`key` IN ({marks(64)})"  # names of our own, values are bound
)
DROP_KEY: Final = "DELETE FROM idempotency_keys WHERE tenant_id = ? AND `key` = ?"
SELECT_MODELS: Final = "SELECT id FROM models WHERE id IN ({ids})"
MODEL_NOW: Final = (
    "SELECT version, created_at, current_workers, total_requests, success_requests FROM models WHERE id = ?"
)
RESULT_ROW: Final = (
    "task_id",
    "tenant_id",
    "attempt",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cost_microusd",
    "created_at",
    "finish_reason",
    "raw",
)

STARTABLE: Final = (
    "id",
    "tenant_id",
    "model_id",
    "type",
    "priority",
    "attempt",
    "generation",
    "failures",
    "max_retries",
    "est_tokens",
    "queued_at",
    "deadline_at",
    "timeout_s",
    "retry",
    "input",
    "est_output",
    "key_id",
    "options",
)
SELECT_STARTABLE: Final = (
    f"SELECT {', '.join(STARTABLE)} FROM tasks WHERE id IN ({{ids}}) AND status = 'queued' AND cancel = 0"
)
ALIVE_SESSIONS: Final = "SELECT id FROM sessions WHERE id IN ({ids}) AND alive = 1"
START: Final = (
    "UPDATE tasks SET status = 'running', attempt = attempt + 1, owner = ?, started_at = ?, updated_at = ? "
    "WHERE id IN ({ids}) AND status = 'queued' AND attempt = ? AND cancel = 0 "
    "AND EXISTS (SELECT 1 FROM sessions WHERE sessions.id = ? AND sessions.alive = 1)"
)
COUNT_REQUESTS: Final = (
    "UPDATE models SET total_requests = total_requests + ?, success_requests = success_requests + ? WHERE id = ?"
)

FENCE: Final = (
    "id",
    "status",
    "attempt",
    "owner",
    "generation",
    "cancel",
    "retry_count",
    "max_retries",
    "queued_at",
    "eligible_at",
    "deadline_at",
    "model_id",
)
SELECT_FENCE: Final = f"SELECT {', '.join(FENCE)} FROM tasks WHERE id IN ({{ids}})"
COMPLETE: Final = (
    "UPDATE tasks SET status = 'completed', owner = NULL, completed_at = ?, updated_at = ?, "
    "error_message = NULL, error_code = NULL, error_retryable = NULL, http_status = NULL, "
    "output = CASE id {cases} END "
    "WHERE id IN ({ids}) AND cancel = 0 AND status IN ('running', 'queued', 'scheduled', 'held', 'blocked')"
)
MOVE_ENDED: Final = (
    "UPDATE tasks SET status = ?, owner = NULL, updated_at = ?, completed_at = ?, "
    "failures = failures + ?, retry_count = retry_count + ?, dead_reason = ?, eligible_at = CASE id {cases} END, "
    "error_code = CASE id {cases} END, error_message = CASE id {cases} END, "
    "error_retryable = CASE id {cases} END, http_status = CASE id {cases} END "
    "WHERE id IN ({ids}) AND status = 'running' AND attempt = ? AND owner = ?"
)
PUT_BACK: Final = (
    "UPDATE tasks SET status = 'queued', owner = NULL, updated_at = ? "
    "WHERE id IN ({ids}) AND status = 'running' AND attempt = ? AND owner = ?"
)
OLD_ATTEMPT: Final = ("task_id", "attempt", "session_id", "is_accepted", "outcome")
SELECT_OLD_ATTEMPTS: Final = f"SELECT {', '.join(OLD_ATTEMPT)} FROM attempts WHERE task_id IN ({{ids}})"
DROP_DEADLINES: Final = "DELETE FROM task_deadlines WHERE task_id IN ({ids})"

ATTEMPT_END: Final = (
    "ended_at",
    "outcome",
    "is_accepted",
    "prompt_tokens",
    "completion_tokens",
    "cost_microusd",
    "ttft_ms",
    "error_code",
    "error_retryable",
    "http_status",
    "error_message",
)
END_ATTEMPT: Final = (
    "UPDATE attempts SET outcome = ?, ended_at = COALESCE(ended_at, ?), is_accepted = ?, prompt_tokens = ?, "
    "completion_tokens = ?, cost_microusd = ?, ttft_ms = ?, error_code = ?, error_message = ?, "
    "error_retryable = ?, http_status = ? WHERE task_id = ? AND attempt = ? AND session_id = ?"
)

UNFINISHED: Final = "('running', 'queued', 'scheduled', 'held', 'blocked')"
WAITING: Final = "('queued', 'scheduled', 'held', 'blocked')"
TERMINAL: Final = "('completed', 'failed', 'cancelled', 'expired')"

_MOVED: Final = "id, tenant_id, model_id, status, attempt"
_WAITING: Final = "id, model_id, tenant_id, type, priority, attempt, est_tokens, queued_at, deadline_at, est_output"

SELECT_UNFINISHED: Final = f"SELECT {_MOVED} FROM tasks WHERE id IN ({{ids}}) AND status IN {UNFINISHED}"
CANCEL_WAITING: Final = (
    "UPDATE tasks SET status = 'cancelled', cancel = 1, completed_at = ?, updated_at = ? "
    f"WHERE id IN ({{ids}}) AND status IN {WAITING}"  # names of our own, values are bound
)
MARK_RUNNING: Final = "UPDATE tasks SET cancel = 1, updated_at = ? WHERE id IN ({ids}) AND status = 'running'"

SELECT_REVIVABLE: Final = (
    "SELECT id, tenant_id, status, deadline_at FROM tasks WHERE id IN ({ids}) AND status IN ('failed', 'cancelled')"
)
REVIVE: Final = (
    "UPDATE tasks SET status = 'queued', cancel = 0, failures = 0, crashes = 0, retry_count = 0, owner = NULL, "
    "error_code = NULL, error_message = NULL, error_retryable = NULL, http_status = NULL, dead_reason = NULL, "
    "completed_at = NULL, queued_at = ?, eligible_at = ?, updated_at = ? "
    "WHERE id IN ({ids}) AND status IN ('failed', 'cancelled')"
)
EDIT_INPUT: Final = "UPDATE tasks SET input = ?, generation = generation + 1 WHERE id IN ({ids}) AND status = 'queued'"
EDIT_TOKENS: Final = "UPDATE tasks SET est_tokens = ?, est_output = ? WHERE id IN ({ids}) AND status = 'queued'"
CLEAR_DEADLINE: Final = "UPDATE tasks SET deadline_at = NULL WHERE id IN ({ids})"
SELECT_QUEUED: Final = f"SELECT {_WAITING} FROM tasks WHERE id IN ({{ids}}) AND status = 'queued'"
SET_PRIORITY: Final = f"UPDATE tasks SET priority = ?, updated_at = ? WHERE id IN ({{ids}}) AND status IN {WAITING}"

SELECT_TERMINAL: Final = (
    f"SELECT id, tenant_id, created_at, metadata FROM tasks WHERE id IN ({{ids}}) AND status IN {TERMINAL}"
)
SELECT_RETIRABLE: Final = (
    "SELECT id, tenant_id, created_at, metadata FROM tasks "
    f"WHERE id IN ({{ids}}) AND status IN {TERMINAL} AND completed_at < ?"
)
_PAIR: Final = "(tenant_id = ? AND `key` = ? AND value = ? AND created_at = ? AND task_id = ?)"
PAIR_SIZES: Final = (16, 4, 1)


@lru_cache(maxsize=8)
def delete_pairs(count: int) -> str:
    """DELETE of so many rows of metadata by their whole key."""
    return f"DELETE FROM task_metadata WHERE {' OR '.join([_PAIR] * count)}"


DELETE_TASKS: Final = (
    "DELETE FROM task_logs WHERE task_id IN ({ids})",
    "DELETE FROM attempts WHERE task_id IN ({ids})",
    "DELETE FROM results WHERE task_id IN ({ids})",
    "DELETE FROM task_deadlines WHERE task_id IN ({ids})",
    "DELETE FROM task_cache WHERE task_id IN ({ids})",
    f"DELETE FROM tasks WHERE id IN ({{ids}}) AND status IN {TERMINAL}",
)

SELECT_TENANTS: Final = "SELECT id, tenant_id FROM tasks WHERE id IN ({ids})"

SELECT_DUE: Final = (
    "SELECT id, tenant_id FROM tasks WHERE status = 'scheduled' AND eligible_at <= ? ORDER BY eligible_at, id LIMIT ?"
)
PROMOTE: Final = (
    "UPDATE tasks SET status = 'queued', queued_at = eligible_at, updated_at = ? "
    "WHERE id IN ({ids}) AND status = 'scheduled'"
)
SELECT_OVERDUE: Final = (
    "SELECT t.id, t.tenant_id, t.model_id, t.status, t.attempt FROM task_deadlines d CROSS JOIN tasks t "
    f"WHERE t.id = d.task_id AND d.deadline_at <= ? AND t.status IN {WAITING} ORDER BY d.deadline_at LIMIT ?"
)
EXPIRE: Final = (
    "UPDATE tasks SET status = 'expired', completed_at = ?, updated_at = ?, error_code = 'deadline_exceeded', "
    "error_message = 'The deadline passed before it could run.', error_retryable = 0 "
    f"WHERE id IN ({{ids}}) AND status IN {WAITING}"  # names of our own, values are bound
)
NEXT_PROMOTION: Final = "SELECT MIN(eligible_at) AS moment FROM tasks WHERE status = 'scheduled'"
NEXT_EXPIRY: Final = (
    "SELECT d.deadline_at FROM task_deadlines d CROSS JOIN tasks t "  # in this order: deadlines are few
    f"WHERE t.id = d.task_id AND t.status IN {WAITING} ORDER BY d.deadline_at LIMIT 1"
)

SELECT_ABANDONED: Final = (
    "SELECT id, tenant_id, attempt, crashes, cancel, deadline_at FROM tasks WHERE status = 'running' AND NOT EXISTS "
    "(SELECT 1 FROM sessions s WHERE s.id = tasks.owner AND s.alive = 1) ORDER BY eligible_at, id LIMIT ?"
)
_ABANDONED: Final = (
    "WHERE id IN ({ids}) AND status = 'running' "
    "AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = tasks.owner AND s.alive = 1)"
)
RESCUE: Final = "UPDATE tasks SET status = 'queued', owner = NULL, crashes = crashes + 1, updated_at = ? " + _ABANDONED
RESCUE_CANCELLED: Final = (
    "UPDATE tasks SET status = 'cancelled', owner = NULL, crashes = crashes + 1, updated_at = ?, completed_at = ? "
    + _ABANDONED  # names of our own, values are bound
)
RESCUE_DEAD: Final = (
    "UPDATE tasks SET status = 'failed', owner = NULL, crashes = crashes + 1, updated_at = ?, completed_at = ?, "
    "dead_reason = 'worker_crashes', error_code = 'worker_crashes', "
    "error_message = 'The worker was lost while it ran, too many times.', error_retryable = 0 " + _ABANDONED
)
CRASH_ATTEMPTS: Final = (
    "UPDATE attempts SET ended_at = ?, outcome = 'crashed', error_code = 'worker_lost', "
    "error_message = 'The worker that ran it was lost.', error_retryable = 1 "
    "WHERE task_id IN ({ids}) AND ended_at IS NULL"
)
SELECT_MOVED: Final = f"SELECT {_MOVED} FROM tasks WHERE id IN ({{ids}})"

BEAT: Final = (
    "UPDATE sessions SET heartbeat_at = ?, running = ?, cpu_percent = ?, rss_bytes = ? WHERE id = ? AND alive = 1"
)
# Through the open attempts: a task that an older attempt has completed meanwhile is no longer ours in `tasks`.
SELECT_STOPS: Final = (
    "SELECT a.task_id FROM attempts a JOIN tasks t ON t.id = a.task_id WHERE a.ended_at IS NULL AND a.session_id = ? "
    "AND (t.cancel = 1 OR t.status <> 'running' OR t.attempt <> a.attempt OR t.owner <> a.session_id)"
)
CLOSE_SESSION: Final = "UPDATE sessions SET alive = 0, running = 0, heartbeat_at = ? WHERE id = ? AND alive = 1"
FORGET_SESSIONS: Final = "DELETE FROM sessions WHERE alive = 0 AND heartbeat_at < ?"
BURY: Final = "UPDATE sessions SET alive = 0 WHERE alive = 1 AND heartbeat_at < ?"

WAITING_FIRST: Final = f"SELECT {_WAITING} FROM tasks WHERE status = 'queued' ORDER BY eligible_at, id LIMIT ?"
WAITING_AFTER: Final = (
    f"SELECT {_WAITING} FROM tasks WHERE status = 'queued' AND eligible_at >= ? "
    "AND (eligible_at > ? OR id > ?) ORDER BY eligible_at, id LIMIT ?"
)
SELECT_RUNNING: Final = (
    "SELECT t.id, t.model_id, t.tenant_id, t.owner, t.attempt, t.started_at, a.endpoint FROM tasks t "
    "LEFT JOIN attempts a ON a.task_id = t.id AND a.attempt = t.attempt WHERE t.status = 'running' LIMIT ?"
)
RECENT_START: Final = ("model_id", "started_at", "tokens", "output_tokens", "endpoint")
# What ran within the window ended within it, or has not ended: both ends of one index.
RECENT_STARTS: Final = (
    "SELECT model_id, started_at, prompt_tokens + completion_tokens AS tokens, completion_tokens AS output_tokens, "
    "endpoint FROM attempts "
    "WHERE ended_at >= ? AND started_at >= ? ORDER BY started_at LIMIT ?"
)
OPEN_STARTS: Final = (
    "SELECT a.model_id, a.started_at, t.est_tokens AS tokens, t.est_output AS output_tokens, a.endpoint "
    "FROM attempts a JOIN tasks t ON t.id = a.task_id "
    "WHERE a.ended_at IS NULL AND a.started_at >= ? ORDER BY a.started_at LIMIT ?"
)
COUNT_QUEUED: Final = "SELECT COUNT(*) FROM tasks WHERE status = 'queued'"

_OF_MODEL: Final = "FROM tasks WHERE tenant_id IN (SELECT id FROM tenants) AND model_id = ?"
COUNT_UNFINISHED: Final = f"SELECT COUNT(*) {_OF_MODEL} AND status IN {UNFINISHED}"
SELECT_FINISHED: Final = f"SELECT id {_OF_MODEL} AND status IN {TERMINAL} LIMIT ?"
OLD_ACTIONS: Final = "SELECT id FROM actions WHERE status <> 'running' AND updated_at < ? ORDER BY id LIMIT ?"
DROP_ACTIONS: Final = "DELETE FROM actions WHERE id IN ({ids}) AND status <> 'running' AND updated_at < ?"
