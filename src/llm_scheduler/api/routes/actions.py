"""One action on everything that matches a filter: begun here, finished in the background."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.beginning import begin, noted_filter
from llm_scheduler.api.filters import shown_filter
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import checked, no_query, parsed, path_id, read_json_bytes
from llm_scheduler.api.replies import once
from llm_scheduler.api.schemas.actions import ActionBody, ActionShown, action_json
from llm_scheduler.api.showing import sees_payloads
from llm_scheduler.domain.errors import ActionNotFoundError
from llm_scheduler.services.actions import TOUCHES

router: Final = APIRouter(route_class=DirectRoute)


@router.post(
    "/api/v1/tasks/actions",
    **operation(
        Tag.TASKS,
        "Act on many tasks",
        body=ActionBody,
        answers={202: ActionShown, 200: ActionShown},
        problems=(404, 409, 413, 415, 503),
        headers=("Idempotency-Key",),
    ),
)
async def begin_action(request: Request) -> Answer:
    """Cancel, retry, delete or change the priority of every task that matches the filter.

    Tasks that the action cannot change are passed over. It goes on in the background, over restarts; ask for its
    progress with the id.
    """
    caller = caller_of(request)
    no_query(request)
    raw = await read_json_bytes(request)
    value = parsed(raw)
    body = checked(value, ActionBody, "body")
    caller.audit(target=body.action, after={"filter": noted_filter(value), "priority": body.priority})
    return await once(request, raw, lambda: begin(caller, body.action, value, body.priority))


@router.get(
    "/api/v1/tasks/actions/{action_id}",
    **operation(Tag.TASKS, "Get an action's progress", answers={200: ActionShown}, problems=(404, 503)),
)
async def progress(request: Request) -> Answer:
    """How far a bulk action is."""
    caller = caller_of(request)
    no_query(request)
    action_id = path_id(request, "action_id")
    found = await caller.parts.actions.progress(action_id)
    # Other kinds (top-ups, removals of tenants) are not about a filter's tasks, and not a tenant's to see.
    if found.action not in TOUCHES:
        raise ActionNotFoundError(action_id)
    tenant_id, where = shown_filter(found.filter)
    # How many tasks have a word in them tells what is in them.
    is_hidden = where.get("q") is not None and not sees_payloads(caller)
    if tenant_id != caller.tenant_id or is_hidden:
        raise ActionNotFoundError(action_id)
    return json_answer(action_json(found))
