"""A tenant: who tasks belong to, and what it may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from llm_scheduler.domain.ids import EPOCH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.ids import Millis, TenantId


class TenantState(StrEnum):
    """Whether a tenant may work."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    """Nobody of it gets in, nothing of it starts; what it has is kept."""


class StorePayloads(StrEnum):
    """What is kept of requests and answers after a task is over."""

    FULL = "full"
    NONE = "none"
    """Neither, once the answer was had (see docs/secrets.md)."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """What a tenant may use; None = as much as there is.

    `max_queued`: tasks that are not over. `rpm`: requests to the API a minute. `model_workers`: calls at once by
    model name, beside `Tenant.max_workers` for every model. `allowed_models`: names.
    """

    max_queued: int | None = None
    rpm: int | None = None
    model_workers: Mapping[str, int] = field(default_factory=dict[str, int])
    allowed_models: tuple[str, ...] | None = None


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
    state: TenantState = TenantState.ACTIVE
    quotas: Quotas = field(default_factory=Quotas)
    store_payloads: StorePayloads | None = None
    """None: as the installation has it."""
    created_at: Millis = EPOCH
    updated_at: Millis = EPOCH


def tenant_options(fields: Mapping[str, Any]) -> tuple[Quotas, StorePayloads | None]:
    """From the plain values that JSON has."""
    quotas = dict(fields.get("quotas") or {})
    if quotas.get("allowed_models") is not None:
        quotas["allowed_models"] = tuple(quotas["allowed_models"])
    kept = fields.get("store_payloads")
    return Quotas(**quotas), None if kept is None else StorePayloads(kept)
