"""Why is it waiting?"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import no_query, task_id_of
from llm_scheduler.api.schemas.explain import ExplanationShown, explanation_json

router: Final = APIRouter(route_class=DirectRoute)


@router.get(
    "/api/v1/tasks/{task_id}/explain",
    **operation(Tag.TASKS, "Explain why a task waits", answers={200: ExplanationShown}, problems=(404, 503)),
)
async def explain(request: Request) -> Answer:
    """What holds a task, what is before it, and when it is expected to start, as a range.

    The times move with what arrives meanwhile: under `fair` and `wfq` the range spans from its tenant's turn
    coming at once to everybody's earlier tasks going first.
    """
    no_query(request)
    caller = caller_of(request)
    task = await caller.parts.tasks.get(task_id_of(request), caller.tenant_id)
    found = await caller.parts.explaining.explain(task)
    return json_answer(explanation_json(found, caller.parts.catalogue.name_of(task.model_id)))
