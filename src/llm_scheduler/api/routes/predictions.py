"""What is expected of calls to a model."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import query_of
from llm_scheduler.api.schemas.predictions import PredictionQuery, PredictionsShown, expected_json, learned_json

router: Final = APIRouter(route_class=DirectRoute)
_MOST_LISTED: Final = 100


@router.get(
    "/api/v1/models/{name:path}/predictions",
    **operation(
        Tag.MODELS,
        "Expect a call",
        query=PredictionQuery,
        answers={200: PredictionsShown},
        problems=(404, 503),
    ),
)
async def predictions(request: Request) -> Answer:
    """What a call is expected to bring, learned from the caller's earlier calls and from those of others."""
    caller = caller_of(request)
    query = query_of(request, PredictionQuery)
    learning = caller.parts.learning
    model = caller.parts.models.get(request.path_params["name"], caller.tenant_id)
    expected = learning.predict(model.id, caller.tenant_id, query.template, query.input_tokens)
    known = learning.known(model.id, caller.tenant_id)[:_MOST_LISTED]
    return json_answer(
        {
            "model": model.name,
            "template": query.template,
            "input_tokens": query.input_tokens,
            "expected": expected_json(expected),
            "learned": [learned_json(case, each) for case, each in known],
        }
    )
