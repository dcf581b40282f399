"""The keys that seal secrets at rest, and sealing anew. No answer holds a key or a secret."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import no_query
from llm_scheduler.api.schemas.secret_keys import (
    RotationAnswer,
    RotationShown,
    SecretsShown,
    rotation_json,
    secrets_json,
)

router: Final = APIRouter(route_class=DirectRoute)
_ROTATE: Final = "/api/v1/system/secrets/rotate"


@router.get(
    "/api/v1/system/secrets",
    **operation(Tag.SYSTEM, "List secret keys", answers={200: SecretsShown}, problems=(503,)),
)
async def list_keys(request: Request) -> Answer:
    """Ids of the keys that seal and open stored secrets, and how many each has sealed; never the keys."""
    caller = caller_of(request)
    no_query(request)
    return json_answer(secrets_json(await caller.parts.access.rotation.state()))


@router.post(_ROTATE, **operation(Tag.SYSTEM, "Rotate secrets", answers={202: RotationShown}, problems=(409, 503)))
async def rotate(request: Request) -> Answer:
    """Seal every stored secret anew with the key in force, in the background and over restarts.

    Asked again while one runs, it joins that one. 409 when a process that runs has another key in force: what is
    sealed anew it could not open. When it is completed, the old key may be taken away.
    """
    caller = caller_of(request)
    no_query(request)
    shown = rotation_json(await caller.parts.access.rotation.begin())
    caller.audit(after=shown)
    return json_answer(shown, 202, _ROTATE)


@router.get(
    _ROTATE, **operation(Tag.SYSTEM, "Get the rotation's progress", answers={200: RotationAnswer}, problems=(503,))
)
async def progress(request: Request) -> Answer:
    """How far the last rotation is."""
    caller = caller_of(request)
    no_query(request)
    found = await caller.parts.access.rotation.progress()
    return json_answer({"rotation": None if found is None else rotation_json(found)})
