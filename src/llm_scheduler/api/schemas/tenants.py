"""Tenants: what is configured, and how it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from llm_scheduler.api.answers import stamp
from llm_scheduler.api.fields import Body, Shown
from llm_scheduler.domain.people import TENANT_NAME
from llm_scheduler.domain.tenant import Quotas, StorePayloads, TenantState

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.domain.tenant import Tenant
    from llm_scheduler.ports.promises import ActionProgress
    from llm_scheduler.services.tenants import Use

MOST_TASKS: Final = 10**9
TenantName = Annotated[str, StringConstraints(pattern=TENANT_NAME)]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Workers = Annotated[int, Field(strict=True, ge=0, le=100_000)]
Weight = Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)]
_EXAMPLE: Final = {"name": "acme", "weight": 2, "max_workers": 16, "quotas": {"max_queued": 10_000, "rpm": 600}}


class QuotasBody(Body):
    """What a tenant may use; null = as much as there is."""

    max_queued: Annotated[int, Field(strict=True, ge=0, le=MOST_TASKS)] | None = None
    """Tasks that are not over."""
    rpm: Annotated[int, Field(strict=True, ge=1, le=10_000_000)] | None = None
    """Requests to the API a minute."""
    model_workers: Annotated[dict[ModelName, Workers], Field(max_length=200)] | None = None
    """Calls at once by model, beside `max_workers`, which bounds each model."""
    allowed_models: Annotated[list[ModelName], Field(max_length=1_000)] | None = None
    """Names of models; others are as if they were not there."""

    def given(self) -> dict[str, Any]:
        """What was sent, as fields of the domain."""
        found: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "model_workers" in found:
            found["model_workers"] = found["model_workers"] or {}
        if found.get("allowed_models") is not None:
            found["allowed_models"] = tuple(dict.fromkeys(found["allowed_models"]))
        return found


class TenantBody(Body):
    """A tenant to add."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: TenantName
    """Lower case letters, digits and `._-`, beginning with a letter or digit."""
    weight: Weight = 1.0
    """Its share under fair strategies: 2 gets twice what 1 gets."""
    max_workers: Workers | None = None
    """Calls at once in each model."""
    quotas: QuotasBody = Field(default_factory=QuotasBody)
    store_payloads: Literal["full", "none"] | None = None
    """What is kept of requests and answers; null: as the installation has it."""

    def fields(self) -> dict[str, Any]:
        """As the domain has them."""
        return {
            "name": self.name,
            "weight": self.weight,
            "max_workers": self.max_workers,
            "quotas": Quotas(**self.quotas.given()),
            "store_payloads": None if self.store_payloads is None else StorePayloads(self.store_payloads),
        }


class TenantPatch(Body):
    """Changes of a tenant: only what is given; `quotas` are merged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quotas": {"max_queued": 500}}]})

    name: TenantName | None = None
    weight: Weight | None = None
    max_workers: Workers | None = None
    quotas: QuotasBody | None = None
    state: Literal["active", "suspended"] | None = None
    store_payloads: Literal["full", "none"] | None = None

    @model_validator(mode="after")
    def _nulls_mean_something(self) -> TenantPatch:
        for name in ("name", "weight", "quotas", "state"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null; leave it out to keep it as it is.")
        return self

    def changes(self) -> dict[str, Any]:
        """As the domain has them, quotas aside."""
        found: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set - {"quotas"}}
        if "state" in found:
            found["state"] = TenantState(found["state"])
        if found.get("store_payloads") is not None:
            found["store_payloads"] = StorePayloads(found["store_payloads"])
        return found


class RemoveQuery(Body):
    """Whether it is meant."""

    confirm: Annotated[str, StringConstraints(max_length=100)]
    """The tenant's name once more."""


class QuotasShown(Shown):
    """What a tenant may use; null = as much as there is."""

    max_queued: int | None
    rpm: int | None
    model_workers: dict[str, int]
    allowed_models: list[str] | None


class TenantShown(Shown):
    """A tenant."""

    id: int
    name: str
    state: Literal["active", "suspended"]
    weight: float
    max_workers: int | None
    quotas: QuotasShown
    store_payloads: Literal["full", "none"] | None
    created_at: str
    updated_at: str


class TenantList(Shown):
    """Tenants, by name."""

    items: list[TenantShown]
    next_cursor: str | None


class UseShown(Shown):
    """What is used now."""

    unfinished: int
    """Tasks that are not over, which `max_queued` bounds."""
    running: int
    running_by_model: dict[str, int]


class OwnTenantShown(TenantShown):
    """The caller's tenant, and what it uses of what it may."""

    use: UseShown


class RemovalShown(Shown):
    """A tenant's removal, which goes on in the background."""

    id: int
    tenant: str
    status: Literal["running", "completed", "failed"]
    removed: int
    """Tasks and other rows that are gone."""
    error: str | None
    created_at: str
    updated_at: str


def tenant_json(tenant: Tenant) -> dict[str, object]:
    """A tenant for an answer."""
    quotas = tenant.quotas
    return {
        "id": tenant.id,
        "name": tenant.name,
        "state": tenant.state,
        "weight": tenant.weight,
        "max_workers": tenant.max_workers,
        "quotas": {
            "max_queued": quotas.max_queued,
            "rpm": quotas.rpm,
            "model_workers": dict(quotas.model_workers),
            "allowed_models": None if quotas.allowed_models is None else list(quotas.allowed_models),
        },
        "store_payloads": tenant.store_payloads,
        "created_at": stamp(tenant.created_at),
        "updated_at": stamp(tenant.updated_at),
    }


def use_json(use: Use, name_of: Callable[[ModelId], str]) -> dict[str, object]:
    """What is used, for an answer."""
    by_model = {name_of(model_id): count for model_id, count in use.running_by_model.items()}
    return {"unfinished": use.unfinished, "running": use.running, "running_by_model": by_model}


def removal_json(progress: ActionProgress, name: str) -> dict[str, object]:
    """How far a removal is."""
    return {
        "id": progress.id,
        "tenant": name,
        "status": progress.status,
        "removed": progress.changed,
        "error": progress.error,
        "created_at": stamp(progress.created_at),
        "updated_at": stamp(progress.updated_at),
    }
