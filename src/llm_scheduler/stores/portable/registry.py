"""Sessions, models, tenants, bulk actions and kept replies: the small tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llm_scheduler.domain.errors import (
    ConflictError,
    ModelChangedError,
    ModelInUseError,
    ModelNotFoundError,
    NameTakenError,
)
from llm_scheduler.domain.ids import Millis, ModelId, SessionId
from llm_scheduler.domain.session import BeatAnswer
from llm_scheduler.ports.promises import KEY_TAKEN_MS, ActionProgress, Taken
from llm_scheduler.stores import money_statements, reply_statements, statements
from llm_scheduler.stores.portable import moves
from llm_scheduler.stores.rows import (
    ACTION_COLUMNS,
    MODEL_COLUMNS,
    SESSION_COLUMNS,
    TENANT_COLUMNS,
    model_row,
    tenant_row,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.session import Vitals
    from llm_scheduler.domain.tenant import Tenant
    from llm_scheduler.stores.portable.access import Transaction

COUNTERS = ("current_workers", "total_requests", "success_requests")
DELETE_SLICE = 256
KEPT_DEAD_MS = 7 * 86_400_000
"""Dead sessions are kept for a week, so that attempts can be traced to their hosts."""


def open_session(transaction: Transaction, process: tuple[str, int, str], role: str) -> SessionId:
    """A new row for this start of a process: (host, pid, version)."""
    host, pid, version = process
    session_id, now = transaction.new_id("sessions"), transaction.now
    row = (session_id, host[:255], pid, version[:64], now, now, 1, 0, 0.0, 0, role)
    transaction.insert("sessions", SESSION_COLUMNS, [row])
    return SessionId(session_id)


def beat(transaction: Transaction, session_id: SessionId, vitals: Vitals) -> BeatAnswer:
    """Renew; which calls are to be aborted."""
    values = (transaction.now, vitals.running, vitals.cpu_percent, vitals.rss_bytes, session_id)
    if transaction.run(statements.BEAT, values) == 0:
        return BeatAnswer(is_alive=False)
    if not vitals.running:
        return BeatAnswer(is_alive=True)
    stops = transaction.rows(("task_id",), statements.SELECT_STOPS, (session_id,))
    return BeatAnswer(is_alive=True, stop=tuple(row[0] for row in stops))


def close_session(transaction: Transaction, session_id: SessionId) -> None:
    """Not alive any more."""
    transaction.do(statements.CLOSE_SESSION, (transaction.now, session_id))


def bury(transaction: Transaction, ttl_s: float) -> int:
    """Sessions without a heartbeat for longer than the ttl are dead."""
    buried = transaction.run(statements.BURY, (transaction.now - round(ttl_s * 1000),))
    if buried:
        transaction.do(statements.FORGET_SESSIONS, (transaction.now - KEPT_DEAD_MS,))
    return buried


def add_model(transaction: Transaction, model: Model) -> Model:
    """A new row, with id and times."""
    _check_name(transaction, model)
    model_id, now = ModelId(transaction.new_id("models")), transaction.now
    added = replace(model, id=model_id, created_at=now, updated_at=now)
    transaction.insert("models", MODEL_COLUMNS, [model_row(added)])
    return added


def save_model(transaction: Transaction, model: Model) -> Model:
    """Every column but the counters, which belong to START and DONE."""
    found = transaction.rows(("version", "created_at", *COUNTERS), statements.MODEL_NOW, (model.id,))
    if not found:
        raise ModelNotFoundError(model.name)
    version, created_at, current, total, success = found[0]
    if version != model.version:
        raise ModelChangedError(model.name)
    _check_name(transaction, model)
    saved = replace(
        model,
        version=version + 1,
        created_at=created_at,
        updated_at=transaction.now,
        current_workers=current,
        total_requests=total,
        success_requests=success,
    )
    changed = tuple(name for name in MODEL_COLUMNS if name not in ("id", "created_at", *COUNTERS))
    transaction.upsert("models", MODEL_COLUMNS, changed, [model_row(saved)])
    return saved


def _check_name(transaction: Transaction, model: Model) -> None:
    query = "SELECT id FROM models WHERE tenant_id = ? AND name = ?"
    holder = transaction.value(query, (model.tenant_id, model.name))
    if holder is not None and holder != model.id:
        raise NameTakenError(model.name)


def remove_model(transaction: Transaction, model_id: ModelId) -> bool:
    """Delete a slice of the model's finished tasks, or, if there are none left, the model; whether more is to do.

    The model goes last: after a crash half-way it is still there, to be removed again.
    """
    transaction.guard("models", is_exclusive=True)
    name = transaction.value("SELECT name FROM models WHERE id = ?", (model_id,))
    if name is None:
        return False
    unfinished = transaction.value(statements.COUNT_UNFINISHED, (model_id,))
    if unfinished:
        raise ModelInUseError(name, unfinished)
    # The budget would bind nobody any more, and the model could be made anew without it.
    imposed = transaction.value(money_statements.IMPOSED_ON_MODEL, (model_id,))
    if imposed is not None:
        raise ConflictError(f"An administrator's budget '{imposed}' is over model '{name}': only without it can it go.")
    finished = transaction.rows(("id",), statements.SELECT_FINISHED, (model_id, DELETE_SLICE))
    if finished:
        moves.delete(transaction, [row[0] for row in finished])
        return True
    transaction.do("DELETE FROM models WHERE id = ?", (model_id,))
    return False


def save_tenant(transaction: Transaction, tenant: Tenant) -> None:
    """Insert or update."""
    changed = tuple(name for name in TENANT_COLUMNS if name not in ("id", "created_at"))
    transaction.upsert("tenants", TENANT_COLUMNS, changed, [tenant_row(tenant)])


def set_current_workers(transaction: Transaction, counts: Mapping[ModelId, int]) -> None:
    """What runs now, by model."""
    for model_id, count in counts.items():
        transaction.do("UPDATE models SET current_workers = ? WHERE id = ?", (count, model_id))


def add_action(transaction: Transaction, action: str, filter_json: str, priority: int | None) -> ActionProgress:
    """A bulk action begins."""
    now = transaction.now
    action_id = transaction.new_id("actions")
    progress = ActionProgress(action_id, action, filter_json, priority, "running", 0, 0, now, now, None)
    transaction.insert("actions", ACTION_COLUMNS, [progress])
    return progress


def save_action(
    transaction: Transaction, action_id: int, counts: tuple[int, int], status: str, error: str | None
) -> None:
    """How far it is: (seen, changed)."""
    statement = "UPDATE actions SET seen = ?, changed = ?, status = ?, error = ?, updated_at = ? WHERE id = ?"
    transaction.do(statement, (*counts, status, error, transaction.now, action_id))


def take_key(transaction: Transaction, key: tuple[TenantId, str], fingerprint: str) -> Taken | None:
    """Take an idempotency key, in two steps: an empty answer stands for one to come. Else who has it."""
    columns = ("fingerprint", "answer", "created_at", "task_id")
    for used, answer, created_at, task_id in transaction.rows(columns, reply_statements.HOLD_REPLY, key):
        if answer is None:
            is_free = transaction.value(reply_statements.TASK_THERE, (task_id,)) is None
        else:
            is_free = answer == "" and created_at <= transaction.now - KEY_TAKEN_MS
        if not is_free:
            return Taken(used, answer or None)
        transaction.do(statements.DROP_KEY, key)
    # Of two processes that take it at once the second is told by the primary key, and looks again.
    columns = ("tenant_id", "key", "fingerprint", "created_at", "answer")
    transaction.insert("idempotency_keys", columns, [(*key, fingerprint, Millis(transaction.now), "")])
    return None
