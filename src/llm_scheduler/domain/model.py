"""A model: where calls go, and the limits they go within."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

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


@dataclass(frozen=True, slots=True)
class Model:
    """A configured LLM; its queue is a lane of the broker.

    `config` is what the provider needs; its secrets are sealed (see `ports.vault`). `rpm` and
    `tpm` are per minute; None means no limit. `strategy` None takes the installation's;
    `starve_after_s` None switches the reserve for lower bands off.
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


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who tasks belong to.

    `weight` is its share under fair strategies; `max_workers` bounds its running tasks in each
    model, None meaning no bound.
    """

    id: TenantId
    name: str
    weight: float = 1.0
    max_workers: int | None = None
