"""The settings in force. They are changed by restarting, so nothing here writes."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import no_query
from llm_scheduler.api.schemas.system import SettingsShown, setting_json

router: Final = APIRouter(prefix="/api/v1", route_class=DirectRoute)


@router.get("/system/settings", **operation(Tag.SYSTEM, "Settings in force", answers={200: SettingsShown}))
async def list_settings(request: Request) -> Answer:
    """Every setting of the process that answers, where it comes from and what it means; secrets are masked."""
    caller = caller_of(request)
    no_query(request)
    return json_answer({"items": [setting_json(state, caller.parts.redact) for state in caller.parts.settings()]})
