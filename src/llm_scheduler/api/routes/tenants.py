"""Tenants: for administrators all of them, for everybody their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.errors import invalid
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.paging import PageQuery, page
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import checked, no_query, parsed, path_id, query_of, read_body, read_json_bytes
from llm_scheduler.api.replies import once
from llm_scheduler.api.schemas.tenants import (
    OwnTenantShown,
    RemovalShown,
    RemoveQuery,
    TenantBody,
    TenantList,
    TenantPatch,
    TenantShown,
    removal_json,
    tenant_json,
    use_json,
)
from llm_scheduler.domain.errors import ActionNotFoundError
from llm_scheduler.domain.tenant import TenantState
from llm_scheduler.services.tenants import REMOVAL, new_tenant, removal_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.ports.promises import ActionProgress

router: Final = APIRouter(route_class=DirectRoute)
_PATH: Final = "/api/v1/tenants"
_ONE: Final = _PATH + "/{tenant}"


@router.get(
    "/api/v1/tenant", **operation(Tag.ACCESS, "Get your tenant", answers={200: OwnTenantShown}, problems=(404, 503))
)
async def own(request: Request) -> Answer:
    """The tenant that you act in, its quotas, and what it uses of them now."""
    caller = caller_of(request)
    no_query(request)
    tenants = caller.parts.access.tenants
    tenant = tenants.of(caller.tenant_id)
    use = await tenants.use(tenant.id)
    return json_answer(tenant_json(tenant) | {"use": use_json(use, caller.parts.catalogue.name_of)})


@router.get(_PATH, **operation(Tag.ACCESS, "List tenants", query=PageQuery, answers={200: TenantList}, problems=(503,)))
async def list_tenants(request: Request) -> Answer:
    """All tenants, by name."""
    caller = caller_of(request)
    query = query_of(request, PageQuery)
    known = sorted(caller.parts.catalogue.tenants(), key=lambda tenant: tenant.name)
    found, cursor = page(known, lambda tenant: tenant.name, query)
    return json_answer({"items": [tenant_json(tenant) for tenant in found], "next_cursor": cursor})


@router.post(
    _PATH,
    **operation(
        Tag.ACCESS,
        "Add a tenant",
        body=TenantBody,
        answers={201: TenantShown, 200: TenantShown},
        problems=(409, 413, 415, 503),
        headers=("Idempotency-Key",),
    ),
)
async def add(request: Request) -> Answer:
    """A team of its own: it sees and spends only what is its own, and shares the installation's models."""
    caller = caller_of(request)
    no_query(request)
    raw = await read_json_bytes(request)
    body = checked(parsed(raw), TenantBody, "body")
    caller.audit(target=body.name)

    async def make() -> Answer:
        tenant = await caller.parts.access.tenants.add(new_tenant(**body.fields()))
        shown = tenant_json(tenant)
        caller.audit(after=shown)
        return json_answer(shown, 201, f"{_PATH}/{tenant.name}")

    return await once(request, raw, make)


@router.get(
    _PATH + "/removals/{action_id}",
    **operation(Tag.ACCESS, "Get a removal's progress", answers={200: RemovalShown}, problems=(404, 503)),
)
async def removal(request: Request) -> Answer:
    """How far the removal of a tenant is."""
    caller = caller_of(request)
    no_query(request)
    action_id = path_id(request, "action_id")
    found = await caller.parts.actions.progress(action_id)
    if found.action != REMOVAL:
        raise ActionNotFoundError(action_id)
    return json_answer(_removal(found))


@router.get(_ONE, **operation(Tag.ACCESS, "Get a tenant", answers={200: TenantShown}, problems=(404, 503)))
async def get_tenant(request: Request) -> Answer:
    """One tenant."""
    caller = caller_of(request)
    no_query(request)
    return json_answer(tenant_json(caller.parts.access.tenants.get(_name(request))))


@router.patch(
    _ONE,
    **operation(
        Tag.ACCESS,
        "Change a tenant",
        body=TenantPatch,
        answers={200: TenantShown},
        problems=(404, 409, 413, 415, 503),
    ),
)
async def change(request: Request) -> Answer:
    """Change what is given, from the next call and the next start on. `quotas` are merged; null lifts one."""
    caller = caller_of(request)
    no_query(request)
    body = await read_body(request, TenantPatch)
    changes: dict[str, Any] = body.changes()
    if body.quotas is not None:
        changes["quotas"] = replace(caller.parts.access.tenants.get(_name(request)).quotas, **body.quotas.given())
    return await _changed(request, changes)


@router.post(
    _ONE + "/suspend",
    **operation(Tag.ACCESS, "Suspend a tenant", answers={200: TenantShown}, problems=(404, 409, 503)),
)
async def suspend(request: Request) -> Answer:
    """Let nobody of it in and start nothing of it. What runs ends; what waits keeps its place."""
    return await _stated(request, TenantState.SUSPENDED)


@router.post(
    _ONE + "/resume",
    **operation(Tag.ACCESS, "Resume a tenant", answers={200: TenantShown}, problems=(404, 409, 503)),
)
async def resume(request: Request) -> Answer:
    """Let it go on where it was."""
    return await _stated(request, TenantState.ACTIVE)


@router.delete(
    _ONE,
    **operation(
        Tag.ACCESS, "Remove a tenant", query=RemoveQuery, answers={202: RemovalShown}, problems=(404, 409, 503)
    ),
)
async def remove(request: Request) -> Answer:
    """Delete a suspended tenant, of which nothing runs, with everything it has. The audit log keeps its lines.

    It goes on in the background, over restarts; ask for its progress with the id.
    """
    caller = caller_of(request)
    name = _name(request)
    if query_of(request, RemoveQuery).confirm != name:
        raise invalid("Give the tenant's name once more, so that nothing is deleted by mistake.", "query", "confirm")
    text = await caller.parts.access.tenants.removable(name)
    caller.audit(before=tenant_json(caller.parts.access.tenants.get(name)))
    begun = await caller.parts.actions.begin(REMOVAL, text)
    return json_answer(_removal(begun), 202, f"{_PATH}/removals/{begun.id}")


def _name(request: Request) -> str:
    return request.path_params["tenant"]


def _removal(progress: ActionProgress) -> dict[str, object]:
    return removal_json(progress, removal_of(progress)[1])


async def _stated(request: Request, state: TenantState) -> Answer:
    no_query(request)
    return await _changed(request, {"state": state})


async def _changed(request: Request, changes: Mapping[str, Any]) -> Answer:
    caller, name = caller_of(request), _name(request)
    tenants = caller.parts.access.tenants
    caller.audit(before=tenant_json(tenants.get(name)))
    shown = tenant_json(await tenants.change(name, changes))
    caller.audit(after=shown)
    return json_answer(shown)
