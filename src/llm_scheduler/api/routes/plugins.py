"""What installed packages add to this server."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import no_query
from llm_scheduler.api.schemas.plugins import PluginList, plugin_json

router: Final = APIRouter(route_class=DirectRoute)


@router.get("/api/v1/plugins", **operation(Tag.SYSTEM, "List plugins", answers={200: PluginList}))
async def list_plugins(request: Request) -> Answer:
    """Strategies, task types and providers of other packages, also those that cannot be used and why.

    Faults are those that the process which answers has seen.
    """
    caller = caller_of(request)
    no_query(request)
    return json_answer({"items": [plugin_json(state, caller.parts.redact) for state in caller.parts.plugins()]})
