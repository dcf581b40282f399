"""A model: where calls go, and the limits they go within."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.ids import EPOCH
from llm_scheduler.domain.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.ids import Millis, ModelId, TenantId

DEFAULT_TIMEOUT_S: Final = 120.0
DEFAULT_STARVE_AFTER_S: Final = 300.0


class ModelStatus(StrEnum):
    """Whether calls go out."""

    ACTIVE = "active"
    PAUSED = "paused"
    UNHEALTHY = "unhealthy"


class Pacing(StrEnum):
    """What a model's limits per minute are."""

    HEADERS = "headers"
    """Where to start: as soon as the provider's answers say what is left, that is what counts."""
    CONFIGURED = "configured"
    """The truth: never exceeded, whatever the provider says."""


class UnknownPrice(StrEnum):
    """What becomes of a task whose model has no known price while a budget covers it."""

    DENY = "deny"
    FREE = "free"
    ASSUME = "assume"
    """Priced like `ModelOptions.assume_price_of`."""


@dataclass(frozen=True, slots=True)
class AutoWorkers:
    """The bounds between which concurrency is found by itself."""

    min: int = 1
    max: int = 64


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way to reach a model (a key, a region, a host), with limits of its own.

    `config` stands over the model's, key by key. `weight` is its share of the calls while several have room.
    Limits are per minute; None means none beyond the model's own.
    """

    name: str
    config: Mapping[str, object] = field(default_factory=dict[str, object])
    weight: float = 1.0
    max_workers: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    input_tpm: int | None = None
    output_tpm: int | None = None
    is_drained: bool = False
    """Starts nothing more; what runs ends."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What is configured of a model beyond its columns.

    `auto_workers`: `max_workers` is found by itself between these. `strategy_options`: numbers that the strategy
    knows by name. `fallback_models`: where a task goes when this model is down or refuses, in this order.
    `retry_share`: retries among the calls of the last minute, at most; None = no bound.
    `max_wait_s`: by class (`high`, `medium`, `low`); a submit that is expected to wait longer is refused.
    `max_output_tokens`: of one answer, sent with calls that a budget covers and that name no bound of their own.
    """

    auto_workers: AutoWorkers | None = None
    input_tpm: int | None = None
    output_tpm: int | None = None
    pacing: Pacing = Pacing.HEADERS
    strategy_options: Mapping[str, float] = field(default_factory=dict[str, float])
    fallback_models: tuple[str, ...] = ()
    retry_share: float | None = 0.1
    max_wait_s: Mapping[str, float] = field(default_factory=dict[str, float])
    max_output_tokens: int | None = None
    price_model: str | None = None
    """Its name in price lists, if that is another one."""
    unknown_price: UnknownPrice = UnknownPrice.DENY
    assume_price_of: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A configured LLM; its queue is a lane of the broker.

    `config` is what the provider needs; its secrets are sealed (see `ports.vault`). `rpm` and
    `tpm` are per minute, over all endpoints; None means no limit. `strategy` None takes the installation's;
    `starve_after_s` None switches the reserve for lower bands off. Without `endpoints` there is one
    way to reach it: its config.
    """

    id: ModelId
    tenant_id: TenantId
    name: str
    type: str
    config: Mapping[str, object]
    status: ModelStatus = ModelStatus.ACTIVE
    max_workers: int = 4
    rpm: int | None = None
    tpm: int | None = None
    strategy: str | None = None
    starve_after_s: float | None = DEFAULT_STARVE_AFTER_S
    max_queue_length: int | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    current_workers: int = 0
    total_requests: int = 0
    success_requests: int = 0
    created_at: Millis = EPOCH
    updated_at: Millis = EPOCH
    version: int = 1
    """Grows with every change, so that pools notice."""
    options: ModelOptions = field(default_factory=ModelOptions)
    endpoints: tuple[Endpoint, ...] = ()


def model_options(fields: Mapping[str, Any]) -> ModelOptions:
    """From the plain values that JSON has."""
    auto = fields.get("auto_workers")
    typed: dict[str, Any] = {
        **fields,
        "auto_workers": None if auto is None else AutoWorkers(**auto),
        "pacing": Pacing(fields.get("pacing", Pacing.HEADERS)),
        "fallback_models": tuple(fields.get("fallback_models", ())),
        "unknown_price": UnknownPrice(fields.get("unknown_price", UnknownPrice.DENY)),
    }
    return ModelOptions(**typed)
