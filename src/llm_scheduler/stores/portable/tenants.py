"""Tenants as rows, and the steps in which one is removed with everything it has.

Each move begins with `access_changed`: its row is locked until the commit, so that changes wait for each other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.access_errors import TenantNameTakenError, TenantNotFoundError
from llm_scheduler.domain.ids import ModelId, TaskId, TenantId
from llm_scheduler.domain.status import TERMINAL, Status
from llm_scheduler.ports.people import Erased
from llm_scheduler.stores.portable import moves
from llm_scheduler.stores.portable.access_version import access_changed
from llm_scheduler.stores.portable.users import DROP_USER, IDS
from llm_scheduler.stores.rows import TENANT_COLUMNS, named, tenant_of, tenant_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.tenant import Tenant
    from llm_scheduler.stores.portable.access import Transaction

TENANT: Final = f"SELECT {named(TENANT_COLUMNS)} FROM tenants WHERE id = ? LIMIT ?"  # noqa: S608 - our names
TENANT_NAMED: Final = "SELECT id FROM tenants WHERE name = ?"
TENANT_THERE: Final = "SELECT id FROM tenants WHERE id = ?"
NOT_OVER: Final = "('blocked', 'scheduled', 'queued', 'held', 'running')"
UNFINISHED_OF: Final = f"SELECT COUNT(*) FROM tasks WHERE tenant_id = ? AND status IN {NOT_OVER}"  # noqa: S608
TASK: Final = ("id", "tenant_id", "created_at", "metadata", "status", "model_id")
TASKS_OF: Final = (
    f"SELECT {named(TASK)} FROM tasks WHERE tenant_id = ? AND status <> 'running' ORDER BY created_at LIMIT ?"  # noqa: S608
)
ANY_TASK: Final = "SELECT id FROM tasks WHERE tenant_id = ? LIMIT 1"
KEYED: Final = (("idempotency_keys", "key"), ("response_cache", "cache_key"))
"""Tables whose rows are many and whose keys begin with the tenant."""
SMALL: Final = (
    "DELETE FROM reservations WHERE budget_id IN (SELECT id FROM budgets WHERE tenant_id = ?)",
    "DELETE FROM budgets WHERE tenant_id = ?",
    "DELETE FROM prices WHERE tenant_id = ?",
    "DELETE FROM api_keys WHERE tenant_id = ?",
    "DELETE FROM task_cache WHERE tenant_id = ?",
)
MODELS_OF: Final = "SELECT id FROM models WHERE tenant_id = ? ORDER BY id LIMIT ?"
EVERY_MODEL: Final = "SELECT id FROM models ORDER BY id LIMIT ?"
SERVICES_OF: Final = (
    "SELECT u.id FROM users u JOIN memberships m ON m.user_id = u.id "
    "WHERE m.tenant_id = ? AND u.kind = 'service' ORDER BY u.id LIMIT ?"
)
FORGET_LEARNED: Final = "DELETE FROM predictions WHERE scope >= ? AND scope < ?"
DROP_MODELS: Final = "DELETE FROM models WHERE tenant_id = ?"
DROP_MEMBERS: Final = "DELETE FROM memberships WHERE tenant_id = ?"
END_LOGINS_THERE: Final = "DELETE FROM logins WHERE tenant_id = ?"
DROP_TENANT: Final = "DELETE FROM tenants WHERE id = ?"
ALL: Final = 2**31


def add_tenant(transaction: Transaction, tenant: Tenant) -> Tenant:
    """A new row, with id and times."""
    access_changed(transaction)
    _check_name(transaction, tenant.name, None)
    tenant_id, now = transaction.new_id(IDS), transaction.now
    while transaction.value(TENANT_THERE, (tenant_id,)) is not None:  # the first one was made with the tables
        tenant_id = transaction.new_id(IDS)
    added = replace(tenant, id=TenantId(tenant_id), created_at=now, updated_at=now)
    transaction.insert("tenants", TENANT_COLUMNS, [tenant_row(added)])
    return added


def change_tenant(transaction: Transaction, tenant_id: TenantId, changes: Mapping[str, Any]) -> Tenant:
    """Set some columns."""
    access_changed(transaction)
    rows = transaction.rows(TENANT_COLUMNS, TENANT, (tenant_id, 1))
    if not rows:
        raise TenantNotFoundError(f"#{tenant_id}")
    before = tenant_of(rows[0])
    after = replace(before, **changes, updated_at=transaction.now)
    if after.name != before.name:
        _check_name(transaction, after.name, tenant_id)
    transaction.upsert("tenants", TENANT_COLUMNS, TENANT_COLUMNS[1:], [tenant_row(after)])
    return after


def _check_name(transaction: Transaction, name: str, own: TenantId | None) -> None:
    holder = transaction.value(TENANT_NAMED, (name,))
    if holder is not None and holder != own:
        raise TenantNameTakenError(name)


def erase(transaction: Transaction, tenant_id: TenantId, limit: int) -> Erased:
    """One step of a removal; each may be repeated, and finds what the ones before it have left."""
    if transaction.value(TENANT_THERE, (tenant_id,)) is None:
        return Erased(0, (), is_over=True)
    tasks = transaction.rows(TASK, TASKS_OF, (tenant_id, limit))
    if tasks:
        return _erase_tasks(transaction, tasks)
    if transaction.value(ANY_TASK, (tenant_id,)) is not None:
        return Erased(0, (), is_over=False, is_waiting=True)
    for table, key in KEYED:
        gone = _erase_keyed(transaction, table, key, tenant_id, limit)
        if gone:
            return Erased(gone, (), is_over=False)
    return Erased(_erase_rest(transaction, tenant_id), (), is_over=True)


def _erase_tasks(transaction: Transaction, tasks: list[list[Any]]) -> Erased:
    """Tasks that are not over are cancelled first, so that nobody else starts or ends them meanwhile."""
    waiting = [row for row in tasks if row[4] not in TERMINAL]
    if waiting:
        moves.cancel(transaction, [TaskId(row[0]) for row in waiting])
    gone = moves.remove(transaction, [row[:4] for row in tasks])
    queued = [(ModelId(row[5]), TaskId(row[0])) for row in waiting if row[4] == Status.QUEUED.value]
    return Erased(gone, queued, is_over=False)


def _erase_keyed(transaction: Transaction, table: str, key: str, tenant_id: TenantId, limit: int) -> int:
    query = f"SELECT `{key}` FROM {table} WHERE tenant_id = ? ORDER BY `{key}` LIMIT ?"  # noqa: S608 - of KEYED
    keys = transaction.rows((key,), query, (tenant_id, limit))
    if not keys:
        return 0
    statement = f"DELETE FROM {table} WHERE tenant_id = ? AND `{key}` <= ?"  # noqa: S608 - of KEYED
    transaction.do(statement, (tenant_id, keys[-1][0]))
    return len(keys)


def _erase_rest(transaction: Transaction, tenant_id: TenantId) -> int:
    """Everything that is few, the tenant's own row last."""
    access_changed(transaction)
    gone = 0
    for statement in SMALL:
        gone += transaction.run(statement, (tenant_id,))
    for (model_id,) in transaction.rows(("id",), EVERY_MODEL, (ALL,)):
        # What is learned of one tenant's calls to a model lies between these names, see `scheduling.prediction`.
        gone += transaction.run(FORGET_LEARNED, (f"{model_id}/{tenant_id}/", f"{model_id}/{tenant_id}0"))
    for (model_id,) in transaction.rows(("id",), MODELS_OF, (tenant_id, ALL)):
        gone += transaction.run("DELETE FROM predictions WHERE scope = ?", (str(model_id),))
        gone += transaction.run(FORGET_LEARNED, (f"{model_id}/", f"{model_id}0"))
    gone += transaction.run(DROP_MODELS, (tenant_id,))
    for (user_id,) in transaction.rows(("id",), SERVICES_OF, (tenant_id, ALL)):
        for statement in DROP_USER:
            gone += transaction.run(statement, (user_id,))
    gone += transaction.run(END_LOGINS_THERE, (tenant_id,))
    gone += transaction.run(DROP_MEMBERS, (tenant_id,))
    return gone + transaction.run(DROP_TENANT, (tenant_id,))
