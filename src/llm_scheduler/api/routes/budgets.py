"""Budgets: add, look, change, top up, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, Nothing, json_answer
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import checked, no_query, parsed, read_body, read_json_bytes
from llm_scheduler.api.replies import once
from llm_scheduler.api.schemas.money import BudgetBody, BudgetList, BudgetPatch, BudgetShown, TopUpBody, budget_json
from llm_scheduler.domain.budget import Period
from llm_scheduler.services.budgets import new_budget

if TYPE_CHECKING:
    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.budget import Budget

router: Final = APIRouter(route_class=DirectRoute)
_PATH: Final = "/api/v1/budgets/{budget}"


@router.post(
    "/api/v1/budgets",
    **operation(
        Tag.MONEY,
        "Add a budget",
        body=BudgetBody,
        answers={201: BudgetShown, 200: BudgetShown},
        problems=(404, 409, 413, 415, 503),
        headers=("Idempotency-Key",),
    ),
)
async def add(request: Request) -> Answer:
    """Bound what the tenant's calls may cost. It counts the calls that start from now on."""
    caller = caller_of(request)
    no_query(request)
    raw = await read_json_bytes(request)
    body = checked(parsed(raw), BudgetBody, "body")
    caller.audit(target=body.name)

    async def make() -> Answer:
        budget = new_budget(
            caller.tenant_id,
            body.name,
            Period(body.period),
            body.limit_microusd,
            key_id=body.key_id,
            model_id=None if body.model is None else caller.parts.models.get(body.model, caller.tenant_id).id,
            imposed=caller.principal.is_admin,
        )
        added = await caller.parts.budgets.add(budget)
        caller.audit(after=_shown(caller, added))
        return json_answer(_shown(caller, added), 201, f"/api/v1/budgets/{added.name}")

    return await once(request, raw, make)


@router.get("/api/v1/budgets", **operation(Tag.MONEY, "List budgets", answers={200: BudgetList}, problems=(503,)))
async def list_budgets(request: Request) -> Answer:
    """Every budget of the tenant, by name."""
    caller = caller_of(request)
    no_query(request)
    found = await caller.parts.budgets.list(caller.tenant_id)
    return json_answer({"items": [_shown(caller, budget) for budget in found], "next_cursor": None})


@router.get(_PATH, **operation(Tag.MONEY, "Get a budget", answers={200: BudgetShown}, problems=(404, 503)))
async def get_budget(request: Request) -> Answer:
    """One budget: limit, spent, reserved."""
    caller = caller_of(request)
    no_query(request)
    return json_answer(_shown(caller, await caller.parts.budgets.get(_name(request), caller.tenant_id)))


@router.patch(
    _PATH,
    **operation(
        Tag.MONEY,
        "Change a budget",
        body=BudgetPatch,
        answers={200: BudgetShown},
        problems=(404, 409, 413, 415, 503),
    ),
)
async def change(request: Request) -> Answer:
    """Change what is given. Tasks that are held go on, as far as there is room."""
    caller = caller_of(request)
    no_query(request)
    body = await read_body(request, BudgetPatch)
    await _check_changeable(caller, request)
    changes: dict[str, Any] = {field: getattr(body, field) for field in body.model_fields_set}
    if "model" in changes:
        name = changes.pop("model")
        changes["model_id"] = None if name is None else caller.parts.models.get(name, caller.tenant_id).id
    if "period" in changes:
        changes["period"] = Period(changes["period"])
    await _note_before(request, caller)
    changed = _shown(caller, await caller.parts.budgets.change(_name(request), caller.tenant_id, changes))
    caller.audit(after=changed)
    return json_answer(changed)


@router.post(
    _PATH + "/top-up",
    **operation(
        Tag.MONEY,
        "Top a budget up",
        body=TopUpBody,
        answers={200: BudgetShown},
        problems=(404, 409, 413, 415, 503),
        headers=("Idempotency-Key",),
    ),
)
async def top_up(request: Request) -> Answer:
    """Raise the limit. Tasks that are held go on at once, oldest first, as far as there is room."""
    caller = caller_of(request)
    no_query(request)
    raw = await read_json_bytes(request)
    body = checked(parsed(raw), TopUpBody, "body")

    async def make() -> Answer:
        await _check_changeable(caller, request)
        await _note_before(request, caller)
        changed = _shown(caller, await caller.parts.budgets.top_up(_name(request), caller.tenant_id, body.microusd))
        caller.audit(after=changed)
        return json_answer(changed)

    return await once(request, raw, make)


@router.delete(
    _PATH,
    **operation(Tag.MONEY, "Remove a budget", answers={204: "It is gone."}, problems=(404, 503)),
)
async def remove(request: Request) -> Nothing:
    """Delete a budget; tasks that it held go on."""
    caller = caller_of(request)
    no_query(request)
    await _check_changeable(caller, request)
    await _note_before(request, caller)
    await caller.parts.budgets.remove(_name(request), caller.tenant_id)
    return Nothing()


def _name(request: Request) -> str:
    return request.path_params["budget"]


async def _check_changeable(caller: Caller, request: Request) -> None:
    await caller.parts.budgets.changeable(_name(request), caller.tenant_id, is_admin=caller.principal.is_admin)


async def _note_before(request: Request, caller: Caller) -> None:
    caller.audit(before=_shown(caller, await caller.parts.budgets.get(_name(request), caller.tenant_id)))


def _shown(caller: Caller, budget: Budget) -> dict[str, object]:
    return budget_json(budget, caller.parts.catalogue.name_of, caller.parts.clock.now())
