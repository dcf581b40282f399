"""What is expected of calls to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from llm_scheduler.api.fields import Body, Shown
from llm_scheduler.api.schemas.tasks import Template

if TYPE_CHECKING:
    from llm_scheduler.scheduling.prediction import Case, Prediction


class PredictionQuery(Body):
    """Which call is meant."""

    template: Template = "chat"
    """The task's template; for one without, its type."""
    input_tokens: Annotated[int, Field(ge=0, le=100_000_000)] = 100
    """Length of the input by the plain estimate: bytes of its JSON text divided by four."""


class ExpectedShown(Shown):
    """What such a call brings."""

    output_tokens: float
    """256 before the model's first answer."""
    service_s: float | None
    """Seconds of the call; null before the model's first answer."""
    input_factor: float
    """By which the plain estimate of an input is multiplied."""
    samples: int
    """Calls of this very kind behind it. Of more than 2 000 the older ones count for less."""
    model_samples: int
    """Calls of the whole model behind it."""


class LearnedShown(ExpectedShown):
    """The same for one kind of calls that were seen."""

    template: str
    input_tokens_from: int
    input_tokens_to: int


class PredictionsShown(Shown):
    """What is expected of the call that was asked about, and what was learned of the caller's calls."""

    model: str
    template: str
    input_tokens: int
    expected: ExpectedShown
    learned: list[LearnedShown]
    """Those with most samples first; at most a hundred."""


def expected_json(expected: Prediction) -> dict[str, object]:
    """A prediction for an answer."""
    return {
        "output_tokens": round(expected.output_tokens, 1),
        "service_s": None if expected.service_ms is None else round(expected.service_ms / 1000, 3),
        "input_factor": round(expected.input_factor, 3),
        "samples": round(expected.samples),
        "model_samples": round(expected.model_samples),
    }


def learned_json(case: Case, expected: Prediction) -> dict[str, object]:
    """One kind of calls for an answer."""
    return {
        "template": case.template,
        "input_tokens_from": case.least_tokens,
        "input_tokens_to": max(0, 2 * case.least_tokens - 1),
        **expected_json(expected),
    }
