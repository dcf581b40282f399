"""What is configured: models by name and id, tenants, and the strategies that place their tasks.

Held in memory so that submitting and running ask no database; `Models` keeps it in step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.errors import ModelNotFoundError
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.model import ModelStatus, Tenant
from llm_scheduler.ports.broker import Entry, LaneRules
from llm_scheduler.ports.strategy import PlacementContext
from llm_scheduler.scheduling.strategies.registry import find
from llm_scheduler.services.equality import config_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llm_scheduler.domain.ids import ModelId, TenantId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.provider import ProviderKind
    from llm_scheduler.ports.strategy import Strategy


class Catalogue:
    """Models and tenants in force."""

    def __init__(self, kinds: Mapping[str, ProviderKind], default_strategy: str) -> None:
        self.kinds = kinds
        self.default_strategy = find(default_strategy)
        self._by_id: dict[ModelId, Model] = {}
        self._by_name: dict[tuple[TenantId, str], Model] = {}
        self._strategies: dict[ModelId, Strategy] = {}
        self._tenants: dict[TenantId, Tenant] = {DEFAULT_TENANT: Tenant(DEFAULT_TENANT, "default")}
        self._contexts: dict[TenantId, PlacementContext] = {}
        self._digests: dict[ModelId, tuple[int, str]] = {}
        self.limit_of: Callable[[Model], int] = configured_limit
        """Calls at once of a model: that which `services.concurrency` finds, where it does."""

    def replace(self, models: Iterable[Model], tenants: Iterable[Tenant]) -> None:
        """Take over what the record says."""
        self._by_id.clear()
        self._by_name.clear()
        self._strategies.clear()
        for model in models:
            self.put(model)
        self._tenants = {tenant.id: tenant for tenant in tenants}
        self._contexts.clear()

    def put(self, model: Model) -> None:
        """Add a model or its new version."""
        before = self._by_id.get(model.id)
        if before is not None:
            self._by_name.pop((before.tenant_id, before.name), None)
        self._by_id[model.id] = model
        self._by_name[model.tenant_id, model.name] = model
        self._strategies[model.id] = find(model.strategy) if model.strategy else self.default_strategy

    def forget(self, model_id: ModelId) -> None:
        """Take a model out."""
        model = self._by_id.pop(model_id, None)
        if model is not None:
            self._by_name.pop((model.tenant_id, model.name), None)
            self._strategies.pop(model_id, None)
            self._digests.pop(model_id, None)

    def models(self) -> list[Model]:
        """All models, by name."""
        return sorted(self._by_id.values(), key=lambda model: model.name)

    def tenants(self) -> list[Tenant]:
        """All tenants, by id."""
        return [self._tenants[key] for key in sorted(self._tenants)]

    def lanes(self) -> list[ModelId]:
        """Every model's lane."""
        return list(self._by_id)

    def named(self, name: str, tenant_id: TenantId) -> Model:
        """The tenant's model of that name, or the installation's.

        Raises:
            ModelNotFoundError: there is none; the error lists those there are.
        """
        model = self._by_name.get((tenant_id, name)) or self._by_name.get((DEFAULT_TENANT, name))
        if model is None:
            known = sorted({key[1] for key in self._by_name if key[0] in (tenant_id, DEFAULT_TENANT)})
            raise ModelNotFoundError(name, tuple(known[:20]))
        return model

    def by_id(self, model_id: ModelId) -> Model | None:
        """The model, if it still exists."""
        return self._by_id.get(model_id)

    def name_of(self, model_id: ModelId) -> str:
        """Its name, also for one that is gone."""
        model = self._by_id.get(model_id)
        return model.name if model else f"#{model_id}"

    def digest(self, model: Model) -> str:
        """Of the model's config (see `equality.config_digest`), computed once for each version."""
        known = self._digests.get(model.id)
        if known is None or known[0] != model.version:
            kind = self.kinds.get(model.type)
            known = model.version, config_digest(model, kind.secret_fields if kind else frozenset())
            self._digests[model.id] = known
        return known[1]

    def entry(self, task: WaitingTask) -> Entry:
        """The task as the index knows it, placed by its model's strategy."""
        tenant_id = task.tenant_id
        context = self._contexts.get(tenant_id)
        if context is None:
            tenant = self._tenants.get(tenant_id)
            context = self._contexts[tenant_id] = PlacementContext(tenant.weight if tenant else 1.0)
        strategy = self._strategies.get(task.model_id, self.default_strategy)
        return Entry(
            task.task_id,
            task.model_id,
            tenant_id,
            task.attempt,
            task.est_tokens,
            task.queued_at,
            strategy.place(task, context),
        )

    def entries(self, tasks: Sequence[WaitingTask]) -> list[Entry]:
        """Placed entries, in the same order."""
        return [self.entry(task) for task in tasks]

    def rules(self, model: Model) -> LaneRules:
        """The model's limits for the broker."""
        strategy = self._strategies[model.id]
        return LaneRules(
            lane=model.id,
            max_workers=self.limit_of(model),
            rpm=model.rpm,
            tpm=model.tpm,
            is_paused=model.status is ModelStatus.PAUSED,
            share_rule=strategy.share_rule,
            starve_after_ms=None if model.starve_after_s is None else int(model.starve_after_s * 1000),
            version=model.version,
        )


def configured_limit(model: Model) -> int:
    """As it stands in the record."""
    return model.max_workers
