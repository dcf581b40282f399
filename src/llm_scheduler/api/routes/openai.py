"""What OpenAI's clients call: chat completions and models. They are the same tasks in the same queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.chat_answers import StreamedReply, WholeReply
from llm_scheduler.api.chat_asking import check_provider, read_chat
from llm_scheduler.api.operations import DirectRoute, openai_operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.schemas.openai import ChatBody, ChatCompletionShown, OpenAIModelList, OpenAIModelShown
from llm_scheduler.domain.ids import DEFAULT_TENANT

if TYPE_CHECKING:
    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.model import Model

_INSTALLATION: Final = "llm-scheduler"
router: Final = APIRouter(route_class=DirectRoute)


@router.post(
    "/v1/chat/completions",
    **openai_operation(
        "Chat, as OpenAI's clients do",
        body=ChatBody,
        answers={200: ChatCompletionShown},
        problems=(404, 409, 413, 415, 429, 500, 502, 503, 504),
        headers=("Idempotency-Key", "X-LLMS-Priority", "X-LLMS-Max-Wait", "X-LLMS-On-Disconnect"),
        is_streamed=True,
    ),
)
async def chat_completions(request: Request) -> WholeReply | StreamedReply:
    """Submit a task, wait for its turn and its end, and answer as OpenAI does, whole or streamed.

    Without `max_wait_s` a call waits in silence up to 540 s for its turn, then 429 `queue_timeout`. With it, blanks
    come before the body after 5 s, and a failure that comes later is a body with `error` under status 200. A stream
    gets comments meanwhile. Whoever hangs up cancels the task, unless they sent an Idempotency-Key.
    """
    caller = caller_of(request)
    draft, terms = await read_chat(request)
    check_provider(caller, draft)
    submissions, principal = caller.parts.submissions, caller.principal
    new_task = submissions.check(draft, caller.tenant_id, principal.allowed_models, principal.key_id)
    task, _ = await submissions.submit_one(new_task)
    return (StreamedReply if terms.is_stream else WholeReply)(caller, task, terms)


@router.get("/v1/models", **openai_operation("List models, as OpenAI's clients do", answers={200: OpenAIModelList}))
async def list_models(request: Request) -> Answer:
    """Every model that the caller may use, by name."""
    caller = caller_of(request)
    found = caller.parts.catalogue.visible(caller.tenant_id, caller.principal.allowed_models)
    return json_answer({"object": "list", "data": [model_json(caller, model) for model in found]})


@router.get(
    "/v1/models/{name:path}",
    **openai_operation("Get a model, as OpenAI's clients do", answers={200: OpenAIModelShown}, problems=(404,)),
)
async def get_model(request: Request) -> Answer:
    """One model."""
    caller = caller_of(request)
    found = caller.parts.catalogue.named(request.path_params["name"], caller.tenant_id)
    return json_answer(model_json(caller, found))


def model_json(caller: Caller, model: Model) -> dict[str, object]:
    """OpenAI's object; owned by the tenant, or by the installation."""
    tenant = caller.parts.catalogue.tenants_by_id.get(model.tenant_id)
    owner = _INSTALLATION if tenant is None or model.tenant_id == DEFAULT_TENANT else tenant.name
    return {"id": model.name, "object": "model", "created": model.created_at // 1000, "owned_by": owner}
