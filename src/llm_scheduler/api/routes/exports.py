"""Everything that a tenant has, as lines: for taking it elsewhere, or before it is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import maybe_stamp, stamp
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import no_query
from llm_scheduler.api.schemas.endpoints import endpoint_json
from llm_scheduler.api.schemas.models import model_json
from llm_scheduler.api.schemas.money import budget_json, override_json
from llm_scheduler.api.schemas.people import member_json
from llm_scheduler.api.schemas.tenants import tenant_json
from llm_scheduler.api.showing import attempt_json, log_json, sees_payloads, task_json
from llm_scheduler.api.streams import RowStream
from llm_scheduler.ports.store import TaskFilter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.access import ApiKey
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.tenant import Tenant
    from llm_scheduler.ports.retention import WholeTask

    Lines = AsyncIterator[tuple[str, dict[str, Any]]]

router: Final = APIRouter(route_class=DirectRoute)
_PAGE_BYTES: Final = 500_000
"""So much of tasks is read at once, about: a row is a few copies in memory while it passes."""
_FIRST_PAGE: Final = 5
_MOST_TASKS: Final = 200
_AUDIT_PAGE: Final = 500
_NDJSON: Final = "application/x-ndjson"


@router.get(
    "/api/v1/tenant/export",
    **operation(Tag.ACCESS, "Export your tenant", answers={200: "Lines."}, media=_NDJSON, problems=(404, 503)),
)
async def export_own(request: Request) -> RowStream:
    """Everything that your tenant has, an object on each line: `{"kind": …, "row": {…}}`.

    Kinds: `tenant`, `member`, `key` (never the key itself), `model` (secrets masked), `budget`, `price`, `task` (with
    its attempts and log lines), `audit`. The last line is `{"rows": N}`: without it the answer was cut off.
    """
    caller = caller_of(request)
    no_query(request)
    tenant = caller.parts.access.tenants.of(caller.tenant_id)
    caller.audit(target=tenant.name)
    return RowStream(_written(_lines(caller, tenant)))


@router.get(
    "/api/v1/tenants/{tenant}/export",
    **operation(Tag.ACCESS, "Export a tenant", answers={200: "Lines."}, media=_NDJSON, problems=(404, 503)),
)
async def export(request: Request) -> RowStream:
    """Everything that a tenant has, as `GET /api/v1/tenant/export` gives it; also of one that is suspended."""
    caller = caller_of(request)
    no_query(request)
    return RowStream(_written(_lines(caller, caller.parts.access.tenants.get(request.path_params["tenant"]))))


async def _written(lines: Lines) -> AsyncGenerator[bytes, None]:
    rows = 0
    async for kind, values in lines:
        rows += 1
        yield orjson.dumps({"kind": kind, "row": values}, option=orjson.OPT_APPEND_NEWLINE)
    yield orjson.dumps({"rows": rows}, option=orjson.OPT_APPEND_NEWLINE)


async def _lines(caller: Caller, tenant: Tenant) -> Lines:
    parts = caller.parts
    yield "tenant", tenant_json(tenant)
    for member in parts.access.users.members(tenant.id):
        yield "member", member_json(member)
    for key in parts.access.directory.keys(tenant.id):
        yield "key", _key_json(caller, key)
    for model in parts.models.list():
        if model.tenant_id == tenant.id:
            yield "model", _model_json(caller, model)
    for budget in await parts.budgets.list(tenant.id):
        yield "budget", budget_json(budget, parts.catalogue.name_of, parts.clock.now())
    for price in await parts.budgets.prices(tenant.id):
        if price.tenant_id == tenant.id:
            yield "price", override_json(price)
    async for task in _tasks(caller, tenant):
        yield "task", _task_json(caller, task)
    async for row in _audit(caller, tenant):
        yield "audit", row


async def _tasks(caller: Caller, tenant: Tenant) -> AsyncIterator[WholeTask]:
    """All, oldest first, a page at a time; the next one has as many as will be about as large as one should be."""
    cursor: str | None = None
    limit = _FIRST_PAGE
    while True:
        where = TaskFilter(tenant_id=tenant.id)
        found = await caller.parts.store.tasks(where, limit=limit, cursor=cursor, is_ascending=True)
        size = sum(len(task.input) + len(task.raw or task.output or "") for task in found.items)
        cursor, ids = found.next_cursor, [task.id for task in found.items]
        limit = max(1, min(2 * limit, _MOST_TASKS, _PAGE_BYTES * len(ids) // (size + 1)))
        del found
        for whole in await caller.parts.store.whole(ids):
            yield whole
        if cursor is None:
            return


async def _audit(caller: Caller, tenant: Tenant) -> AsyncIterator[dict[str, Any]]:
    after = 0
    while rows := await caller.parts.store.rows_of("audit_log", tenant.id, after, _AUDIT_PAGE):
        for row in rows:
            yield dict(row)
        after = rows[-1]["id"]


def _task_json(caller: Caller, whole: WholeTask) -> dict[str, Any]:
    is_hidden = not sees_payloads(caller)
    shown: dict[str, Any] = task_json(whole.task, caller.parts.catalogue.name_of, is_hidden=is_hidden)
    shown["attempts"] = [attempt_json(attempt, is_hidden=is_hidden) for attempt in whole.attempts]
    shown["logs"] = [] if is_hidden else [log_json(line) for line in whole.logs]
    return shown


def _model_json(caller: Caller, model: Model) -> dict[str, Any]:
    models = caller.parts.models
    endpoints = [endpoint_json(one, models.masked_config(model, one)) for one in model.endpoints]
    return model_json(model, models.masked_config(model), endpoints, models.queued(model))


def _key_json(caller: Caller, key: ApiKey) -> dict[str, Any]:
    """What is known of an API key but its hash."""
    user = caller.parts.access.directory.user(key.user_id)
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "username": None if user is None else user.username,
        "scopes": None if key.scopes is None else sorted(key.scopes),
        "rpm": key.limits.rpm,
        "allowed_models": None if key.limits.allowed_models is None else list(key.limits.allowed_models),
        "networks": list(key.limits.networks),
        "created_at": stamp(key.created_at),
        "expires_at": maybe_stamp(key.expires_at),
        "last_used_at": maybe_stamp(key.last_used_at),
    }
