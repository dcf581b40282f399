"""Endpoints: the ways to a model, changed while it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, Nothing, json_answer
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reaching import check_reach
from llm_scheduler.api.reading import checked, no_query, parsed, read_body, read_json_bytes
from llm_scheduler.api.replies import once
from llm_scheduler.api.schemas.endpoints import (
    EndpointBody,
    EndpointList,
    EndpointPatch,
    EndpointShown,
    endpoint_json,
    health_json,
)
from llm_scheduler.api.schemas.models import TrialShown, trial_json
from llm_scheduler.services.models import endpoint_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.model import Endpoint, Model
    from llm_scheduler.services.endpoints import Health

router: Final = APIRouter(route_class=DirectRoute)
_PATH: Final = "/api/v1/models/{name:path}/endpoints"
_ONE: Final = _PATH + "/{endpoint}"


@router.get(
    _PATH, **operation(Tag.MODELS, "List a model's endpoints", answers={200: EndpointList}, problems=(404, 503))
)
async def list_endpoints(request: Request) -> Answer:
    """Every way to the model, and how it is: its status, what runs, what failed within the last 30 s."""
    caller = caller_of(request)
    no_query(request)
    model, health = await caller.parts.endpoints.list(_name(request), caller.tenant_id)
    items = [_shown(caller, model, one, health) for one in model.endpoints]
    return json_answer({"items": items, "next_cursor": None})


@router.post(
    _PATH,
    **operation(
        Tag.MODELS,
        "Add an endpoint",
        body=EndpointBody,
        answers={201: EndpointShown, 200: EndpointShown},
        problems=(404, 409, 413, 415, 503),
        headers=("Idempotency-Key",),
    ),
)
async def add(request: Request) -> Answer:
    """One more way to the model; it takes calls at once. The first one takes the place of the model's own config."""
    caller = caller_of(request)
    no_query(request)
    raw = await read_json_bytes(request)
    body = checked(parsed(raw), EndpointBody, "body")
    caller.audit(target=f"{_name(request)}/{body.name}")
    check_reach(caller, caller.parts.models.get(_name(request), caller.tenant_id).type, (body.config,))

    async def make() -> Answer:
        name = _name(request)
        model = await caller.parts.endpoints.add(name, caller.tenant_id, body.endpoint())
        location = f"/api/v1/models/{name}/endpoints/{body.name}"
        return await _answer(caller, model, body.name, status=201, location=location)

    return await once(request, raw, make)


@router.patch(
    _ONE,
    **operation(
        Tag.MODELS,
        "Change an endpoint",
        body=EndpointPatch,
        answers={200: EndpointShown},
        problems=(404, 413, 415, 503),
    ),
)
async def change(request: Request) -> Answer:
    """Change what is given. `config` is merged; a masked secret is left as it is."""
    caller = caller_of(request)
    no_query(request)
    body = await read_body(request, EndpointPatch)
    changes: dict[str, Any] = {field: getattr(body, field) for field in body.model_fields_set}
    _note_before(request, caller)
    caller.audit(given=[*body.model_fields_set, *(f"config.{field}" for field in body.config or ())])
    check_reach(caller, caller.parts.models.get(_name(request), caller.tenant_id).type, (body.config,))
    model = await caller.parts.endpoints.change(_name(request), caller.tenant_id, _endpoint(request), changes)
    return await _answer(caller, model, _endpoint(request))


@router.delete(
    _ONE,
    **operation(Tag.MODELS, "Remove an endpoint", answers={204: "It is gone."}, problems=(404, 503)),
)
async def remove(request: Request) -> Nothing:
    """Take an endpoint out; what runs through it ends. Without the last one the model's own config is the way."""
    caller = caller_of(request)
    no_query(request)
    _note_before(request, caller)
    await caller.parts.endpoints.remove(_name(request), caller.tenant_id, _endpoint(request))
    return Nothing()


@router.post(
    _ONE + "/drain",
    **operation(Tag.MODELS, "Drain an endpoint", answers={200: EndpointShown}, problems=(404, 503)),
)
async def drain(request: Request) -> Answer:
    """Start nothing more through it; what runs ends, what waits goes through the others."""
    caller = caller_of(request)
    no_query(request)
    _note_before(request, caller)
    model = await caller.parts.endpoints.drain(_name(request), caller.tenant_id, _endpoint(request))
    return await _answer(caller, model, _endpoint(request))


@router.post(
    _ONE + "/resume",
    **operation(Tag.MODELS, "Resume an endpoint", answers={200: EndpointShown}, problems=(404, 503)),
)
async def resume(request: Request) -> Answer:
    """Start calls through it again; a pause that the provider asked for ends with a single call."""
    caller = caller_of(request)
    no_query(request)
    _note_before(request, caller)
    model = await caller.parts.endpoints.resume(_name(request), caller.tenant_id, _endpoint(request))
    return await _answer(caller, model, _endpoint(request))


@router.post(
    _ONE + "/test",
    **operation(Tag.MODELS, "Try an endpoint", answers={200: TrialShown}, problems=(404, 503)),
)
async def try_out(request: Request) -> Answer:
    """Make one small real call through it, outside the queue, and time it; also while it is drained."""
    caller = caller_of(request)
    no_query(request)
    models = caller.parts.models
    trial = await models.try_out(_name(request), caller.tenant_id, _endpoint(request))
    caller.audit(after={"ok": trial.error is None})
    return json_answer(trial_json(trial, caller.parts.redact))


def _name(request: Request) -> str:
    return request.path_params["name"]


def _endpoint(request: Request) -> str:
    return request.path_params["endpoint"]


def _note_before(request: Request, caller: Caller) -> None:
    model = caller.parts.models.get(_name(request), caller.tenant_id)
    found = endpoint_of(model, _endpoint(request))
    caller.audit(before=endpoint_json(found, caller.parts.models.masked_config(model, found)))


def _shown(caller: Caller, model: Model, endpoint: Endpoint, health: Mapping[str, Health]) -> dict[str, object]:
    is_own = model.tenant_id == caller.tenant_id
    config = caller.parts.models.masked_config(model, endpoint) if is_own else None
    return endpoint_json(endpoint, config) | health_json(health[endpoint.name])


async def _answer(
    caller: Caller, model: Model, endpoint: str, status: int = 200, location: str | None = None
) -> Answer:
    health = await caller.parts.endpoints.health(model)
    found = endpoint_of(model, endpoint)
    caller.audit(after=endpoint_json(found, caller.parts.models.masked_config(model, found)))
    return json_answer(_shown(caller, model, found, health), status, location)
