"""Models: add, look, change, pause, scale, try, remove."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, Nothing, json_answer
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reaching import check_reach
from llm_scheduler.api.reading import checked, no_query, parsed, read_body, read_json_bytes, read_optional_body
from llm_scheduler.api.replies import once
from llm_scheduler.api.schemas.endpoints import endpoint_json
from llm_scheduler.api.schemas.models import (
    ModelBody,
    ModelList,
    ModelPatch,
    ModelShown,
    PauseBody,
    ScaleBody,
    TrialShown,
    model_json,
    trial_json,
)
from llm_scheduler.api.schemas.options import OPTION_NAMES, options_of
from llm_scheduler.domain.model import ModelOptions
from llm_scheduler.services.auto_workers import with_workers
from llm_scheduler.services.models import new_model

if TYPE_CHECKING:
    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.model import Model

router: Final = APIRouter(route_class=DirectRoute)
_PATH: Final = "/api/v1/models/{name:path}"


@router.post(
    "/api/v1/models",
    **operation(
        Tag.MODELS,
        "Add a model",
        body=ModelBody,
        answers={201: ModelShown, 200: ModelShown},
        problems=(409, 413, 415, 503),
        headers=("Idempotency-Key",),
    ),
)
async def add(request: Request) -> Answer:
    """Register where calls go and the limits they go within. Tasks may name it at once."""
    caller = caller_of(request)
    no_query(request)
    raw = await read_json_bytes(request)
    body = checked(parsed(raw), ModelBody, "body")
    caller.audit(target=body.name)
    check_reach(caller, body.type, (body.config, *(one.config for one in body.endpoints)))

    async def make() -> Answer:
        given = {name: getattr(body, name) for name in ModelBody.model_fields}
        fields: dict[str, Any] = {name: value for name, value in given.items() if name not in OPTION_NAMES}
        fields["retry"] = body.retry.policy()
        fields["options"] = ModelOptions(**options_of(given))
        fields["endpoints"] = tuple(one.endpoint() for one in body.endpoints)
        _take_workers(fields, body)
        fields = with_workers(fields["options"], fields)
        model = await caller.parts.models.add(new_model(tenant_id=caller.tenant_id, **fields))
        caller.audit(after=await _shown(caller, model))
        return await _model_answer(caller, model, status=201, location=f"/api/v1/models/{model.name}")

    return await once(request, raw, make)


@router.get("/api/v1/models", **operation(Tag.MODELS, "List models", answers={200: ModelList}, problems=(503,)))
async def list_models(request: Request) -> Answer:
    """Every model that you may call, by name: your tenant's own, and the installation's (`shared`)."""
    caller = caller_of(request)
    no_query(request)
    visible = caller.parts.catalogue.visible(caller.tenant_id, caller.principal.allowed_models)
    counted = await caller.parts.models.counted(visible)
    return json_answer({"items": [await _shown(caller, model) for model in counted], "next_cursor": None})


@router.post(
    _PATH + "/test",
    **operation(Tag.MODELS, "Try a model", answers={200: TrialShown}, problems=(404, 503)),
)
async def try_out(request: Request) -> Answer:
    """Make one small real call, outside the queue, and time it. `ok` false says what went wrong."""
    caller = caller_of(request)
    no_query(request)
    trial = await caller.parts.models.try_out(_name(request), caller.tenant_id)
    caller.audit(after={"ok": trial.error is None})
    return json_answer(trial_json(trial, caller.parts.redact))


@router.post(
    _PATH + "/pause",
    **operation(
        Tag.MODELS,
        "Pause a model",
        body=PauseBody,
        needs_body=False,
        answers={200: ModelShown},
        problems=(404, 413, 415, 503),
    ),
)
async def pause(request: Request) -> Answer:
    """Start nothing more of it; what runs goes on, and tasks may still be submitted. A body is not needed."""
    caller = caller_of(request)
    no_query(request)
    body = await read_optional_body(request, PauseBody)
    is_unhealthy = body is not None and body.is_unhealthy
    await _note_before(caller, _name(request))
    model = await caller.parts.models.pause(_name(request), caller.tenant_id, is_unhealthy=is_unhealthy)
    return await _changed_answer(caller, model)


@router.post(
    _PATH + "/resume",
    **operation(Tag.MODELS, "Resume a model", answers={200: ModelShown}, problems=(404, 503)),
)
async def resume(request: Request) -> Answer:
    """Start its tasks again; a pause that a provider asked for, or for a used-up account, ends with a single call."""
    caller = caller_of(request)
    no_query(request)
    await _note_before(caller, _name(request))
    return await _changed_answer(caller, await caller.parts.models.resume(_name(request), caller.tenant_id))


@router.post(
    _PATH + "/scale",
    **operation(Tag.MODELS, "Scale a model", body=ScaleBody, answers={200: ModelShown}, problems=(404, 413, 415, 503)),
)
async def scale(request: Request) -> Answer:
    """Set how many calls run at once, from the next start on; running calls are not cut."""
    caller = caller_of(request)
    no_query(request)
    body = await read_body(request, ScaleBody)
    await _note_before(caller, _name(request))
    model = await caller.parts.models.scale(_name(request), caller.tenant_id, body.max_workers)
    return await _changed_answer(caller, model)


@router.get(_PATH, **operation(Tag.MODELS, "Get a model", answers={200: ModelShown}, problems=(404, 503)))
async def get_model(request: Request) -> Answer:
    """One model."""
    caller = caller_of(request)
    no_query(request)
    return await _model_answer(caller, caller.parts.models.get(_name(request), caller.tenant_id))


@router.patch(
    _PATH,
    **operation(
        Tag.MODELS, "Change a model", body=ModelPatch, answers={200: ModelShown}, problems=(404, 413, 415, 503)
    ),
)
async def change(request: Request) -> Answer:
    """Change what is given. `config` and `retry` are merged, `endpoints` replaces them all.

    A masked secret is left as it is.
    """
    caller = caller_of(request)
    no_query(request)
    name = _name(request)
    body = await read_body(request, ModelPatch)
    given = {field: getattr(body, field) for field in body.model_fields_set}
    changes: dict[str, Any] = {field: value for field, value in given.items() if field not in OPTION_NAMES}
    if options := options_of(given):
        changes["options"] = options
    if body.endpoints is not None:
        changes["endpoints"] = tuple(one.endpoint() for one in body.endpoints)
    if body.retry is not None:
        numbers = {field: getattr(body.retry, field) for field in body.retry.model_fields_set}
        changes["retry"] = replace(caller.parts.models.get(name, caller.tenant_id).retry, **numbers)
    _take_workers(changes, body)
    await _note_before(caller, name)
    check_reach(
        caller,
        caller.parts.models.get(name, caller.tenant_id).type,
        (body.config, *(one.config for one in body.endpoints or ())),
    )
    caller.audit(given=[*body.model_fields_set, *(f"config.{field}" for field in body.config or ())])
    return await _changed_answer(caller, await caller.parts.models.change(name, caller.tenant_id, changes))


@router.delete(
    _PATH,
    **operation(Tag.MODELS, "Remove a model", answers={204: "It is gone."}, problems=(404, 409, 503)),
)
async def remove(request: Request) -> Nothing:
    """Delete a model and its finished tasks. One with unfinished tasks stays: cancel them first."""
    caller = caller_of(request)
    no_query(request)
    await _note_before(caller, _name(request))
    await caller.parts.models.remove(_name(request), caller.tenant_id)
    return Nothing()


def _name(request: Request) -> str:
    return request.path_params["name"]


def _take_workers(fields: dict[str, Any], body: ModelBody | ModelPatch) -> None:
    """The bounds as the domain has them; a number that was not given leaves it to them."""
    if body.auto_workers is not None:
        fields["auto_workers"] = body.auto_workers.bounds()
        fields["max_workers"] = "auto"


async def _shown(caller: Caller, model: Model) -> dict[str, object]:
    """The model as its tenant sees it; to others without its configs, and with their own tasks only."""
    models = caller.parts.models
    if model.tenant_id != caller.tenant_id:
        depth = (await caller.parts.stats.queues(caller.tenant_id)).get(model.id)
        endpoints = [endpoint_json(one, None) for one in model.endpoints]
        return model_json(model, None, endpoints, 0 if depth is None else depth.waiting)
    endpoints = [endpoint_json(one, models.masked_config(model, one)) for one in model.endpoints]
    return model_json(model, models.masked_config(model), endpoints, models.queued(model))


async def _note_before(caller: Caller, name: str) -> None:
    caller.audit(before=await _shown(caller, caller.parts.models.get(name, caller.tenant_id)))


async def _changed_answer(caller: Caller, model: Model) -> Answer:
    caller.audit(after=await _shown(caller, model))
    return await _model_answer(caller, model)


async def _model_answer(caller: Caller, model: Model, status: int = 200, location: str | None = None) -> Answer:
    [counted] = await caller.parts.models.counted([model])
    return json_answer(await _shown(caller, counted), status, location)
