"""Models: what is configured, and how it looks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from llm_scheduler.api.answers import stamp
from llm_scheduler.api.fields import Body, Shown
from llm_scheduler.api.schemas.endpoints import EndpointBody, EndpointConfigured
from llm_scheduler.api.schemas.options import OptionsBody, OptionsPatch, OptionsShown, options_json
from llm_scheduler.api.schemas.tasks import ErrorShown, RetryBody, UsageShown
from llm_scheduler.api.showing import error_json, usage_json
from llm_scheduler.domain.model import DEFAULT_STARVE_AFTER_S, AutoWorkers

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.domain.model import Model
    from llm_scheduler.services.trial import Trial

MOST_WORKERS: Final = 10_000
NewName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")]
Workers = Annotated[int, Field(strict=True, ge=1, le=MOST_WORKERS)]
WorkersOrAuto = Workers | Literal["auto"]
PerMinute = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
Starve = Annotated[float, Field(strict=True, ge=1, le=604_800)]
Length = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]

_EXAMPLE = {
    "name": "gpt-4o-mini",
    "type": "openai",
    "max_workers": 8,
    "rpm": 600,
    "tpm": 600000,
    "config": {"base_url": "https://api.openai.com/v1", "api_key": "sk-…", "model": "gpt-4o-mini", "timeout_s": 120},
    "strategy": "fair",
    "retry": {"max_retries": 3, "initial_delay_s": 1, "max_delay_s": 60, "backoff_factor": 2},
}


class AutoBody(Body):
    """Between what the concurrency is found."""

    min: Workers = 1
    max: Workers = 64

    @model_validator(mode="after")
    def _is_a_range(self) -> AutoBody:
        if self.min > self.max:
            raise ValueError("min is larger than max; give min the smaller number.")
        return self

    def bounds(self) -> AutoWorkers:
        """For the model."""
        return AutoWorkers(self.min, self.max)


class ModelBody(OptionsBody):
    """A model to add."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: NewName
    """What tasks call it by: letters, digits and `._:/@-`, beginning with a letter or digit."""
    type: Word
    """`openai` (and everything compatible), `anthropic`, `local`, `scripted`, or what a plugin adds."""
    config: dict[str, Any] = Field(default_factory=dict[str, Any])
    """What the provider needs; secrets in it are sealed and come back masked."""
    max_workers: WorkersOrAuto = 4
    """Calls at once; `auto` has it found, by how long the provider lets calls wait."""
    auto_workers: AutoBody | None = None
    """The bounds of `auto`: 1 and 64 without."""
    rpm: PerMinute | None = None
    """Requests per minute; null means no limit."""
    tpm: PerMinute | None = None
    """Tokens per minute; null means no limit."""
    strategy: Word | None = None
    """Order of its queue: `fair`, `priority` or `fifo`; the installation's without."""
    starve_after_s: Starve | None = DEFAULT_STARVE_AFTER_S
    """A task that waits longer gets the next free slot of a small reserve; null switches that off."""
    max_queue_length: Length | None = None
    """More waiting tasks are refused with 429 `queue_full`."""
    retry: RetryBody = Field(default_factory=RetryBody)
    endpoints: list[EndpointBody] = Field(default_factory=list[EndpointBody])
    """Several ways to reach it, each with limits of its own; without, its config is the one way."""

    @model_validator(mode="after")
    def _name_is_no_path(self) -> ModelBody:
        if "/endpoints" in self.name:
            raise ValueError("A name cannot hold '/endpoints': that is the path to a model's endpoints.")
        return self

    @model_validator(mode="after")
    def _bounds_are_for_auto(self) -> ModelBody:
        _check_workers(self, self.max_workers, self.auto_workers)
        return self


class ModelPatch(OptionsPatch):
    """What to change of a model; what is absent stays.

    `config` is merged: a key set to null goes. `endpoints` replaces them all.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"max_workers": 16, "config": {"timeout_s": 60}}]})

    config: dict[str, Any] | None = None
    max_workers: WorkersOrAuto | None = None
    """A number ends `auto`."""
    auto_workers: AutoBody | None = None
    """Bounds of `auto`, which they begin; null ends it, and keeps what was found."""
    rpm: PerMinute | None = None
    tpm: PerMinute | None = None
    strategy: Word | None = None
    starve_after_s: Starve | None = None
    max_queue_length: Length | None = None
    retry: RetryBody | None = None
    endpoints: list[EndpointBody] | None = None

    @model_validator(mode="after")
    def _nulls_mean_something(self) -> ModelPatch:
        for name in ("config", "max_workers", "retry", "endpoints"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null; leave it out to keep it as it is.")
        _check_workers(self, self.max_workers, self.auto_workers)
        return self


class PauseBody(Body):
    """How to pause."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"is_unhealthy": True}]})

    is_unhealthy: Annotated[bool, Field(strict=True)] = False
    """Out of order, not only paused: tasks that have fallback models move on."""


class ScaleBody(Body):
    """How many calls at once; `auto` has it found."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"max_workers": 16}]})

    max_workers: WorkersOrAuto


def _check_workers(body: Body, max_workers: int | str | None, auto_workers: AutoBody | None) -> None:
    is_number = "max_workers" in body.model_fields_set and isinstance(max_workers, int)
    if is_number and auto_workers is not None:
        raise ValueError("auto_workers are bounds for 'auto'; leave it out, or give max_workers 'auto'.")


class ModelShown(OptionsShown):
    """A model. Secrets in `config` are masked."""

    id: int
    name: str
    type: str
    status: Literal["active", "paused", "unhealthy"]
    shared: bool
    """The installation's: it may be called, not changed, and its configs are not shown."""
    config: dict[str, Any] | None
    max_workers: int
    """Calls at once, configured or as found now."""
    auto_workers: AutoBody | None
    """Set while `max_workers` is found."""
    current_workers: int
    queued: int
    """Tasks that wait; of a shared model only your own."""
    rpm: int | None
    tpm: int | None
    strategy: str | None
    """Its own; null takes the installation's."""
    starve_after_s: float | None
    max_queue_length: int | None
    retry: RetryBody
    endpoints: list[EndpointConfigured]
    total_requests: int | None
    """Null for a shared model, as the next one: others' calls are among them."""
    success_requests: int | None
    version: int
    created_at: str
    updated_at: str


class ModelList(Shown):
    """Every model, by name."""

    items: list[ModelShown]
    next_cursor: str | None


class TrialShown(Shown):
    """One real call, timed."""

    ok: bool
    latency_ms: int
    ttft_ms: int | None
    text: str | None
    usage: UsageShown | None
    error: ErrorShown | None


def model_json(
    model: Model, config: dict[str, object] | None, endpoints: list[dict[str, object]], queued: int
) -> dict[str, object]:
    """A model for an answer; secrets in `config` and `endpoints` are masked. No config: it is shared."""
    is_shared = config is None
    auto = model.options.auto_workers
    return {
        "id": model.id,
        "name": model.name,
        "type": model.type,
        "status": model.status,
        "shared": is_shared,
        "config": config,
        "max_workers": model.max_workers,
        "auto_workers": None if auto is None else {"min": auto.min, "max": auto.max},
        "current_workers": model.current_workers,
        "queued": queued,
        "rpm": model.rpm,
        "tpm": model.tpm,
        "strategy": model.strategy,
        "starve_after_s": model.starve_after_s,
        "max_queue_length": model.max_queue_length,
        "retry": {
            "max_retries": model.retry.max_retries,
            "initial_delay_s": model.retry.initial_delay_s,
            "max_delay_s": model.retry.max_delay_s,
            "backoff_factor": model.retry.backoff_factor,
        },
        **options_json(model.options),
        "endpoints": endpoints,
        "total_requests": None if is_shared else model.total_requests,
        "success_requests": None if is_shared else model.success_requests,
        "version": model.version,
        "created_at": stamp(model.created_at),
        "updated_at": stamp(model.updated_at),
    }


def trial_json(trial: Trial, redact: Callable[[str], str]) -> dict[str, object]:
    """A trial for an answer; what the provider said is masked."""
    error = None if trial.error is None else replace(trial.error, message=redact(trial.error.message))
    return {
        "ok": trial.error is None,
        "latency_ms": trial.latency_ms,
        "ttft_ms": trial.ttft_ms,
        "text": None if trial.text is None else redact(trial.text),
        "usage": None if trial.usage is None else usage_json(trial.usage),
        "error": error_json(error),
    }
