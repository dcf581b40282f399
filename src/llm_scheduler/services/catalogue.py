"""What is configured: models by name and id, tenants, and the strategies that place their tasks.

Held in memory so that submitting and running ask no database; `Models` keeps it in step.
"""

from __future__ import annotations

import contextlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.errors import InvalidInputError, ModelNotFoundError
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.model import ModelStatus
from llm_scheduler.domain.tenant import StorePayloads, Tenant
from llm_scheduler.ports.broker import Entry, GateRules, LaneRules
from llm_scheduler.ports.strategy import PlacementContext
from llm_scheduler.ports.task_type import WIRE_TYPES
from llm_scheduler.scheduling.strategies.registry import DEFAULT, STRATEGIES, checked_options, find
from llm_scheduler.services.equality import config_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from llm_scheduler.domain.ids import ModelId, TenantId
    from llm_scheduler.domain.model import Endpoint, Model
    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.provider import ProviderKind
    from llm_scheduler.ports.strategy import Strategy
    from llm_scheduler.ports.task_type import TaskType
    from llm_scheduler.services.backlogs import Backlogs

_log = structlog.get_logger(__name__)
_MOST_NAMED: Final = 20
"""Models that an error lists."""
_SERVICE_DRIFT: Final = 0.1
"""An expected service time that has moved by less than this share leaves contexts as they are."""


class Catalogue:
    """Models and tenants in force."""

    def __init__(
        self,
        kinds: Mapping[str, ProviderKind],
        default_strategy: str,
        strategies: Mapping[str, Strategy] = MappingProxyType({}),
        task_types: Mapping[str, TaskType] = MappingProxyType({}),
    ) -> None:
        self.kinds, self.task_types = kinds, task_types
        """`task_types`: those of plugins."""
        self._plugged = strategies
        self.default_strategy = self._named_or(default_strategy, STRATEGIES[DEFAULT])
        self._by_id: dict[ModelId, Model] = {}
        self._by_name: dict[tuple[TenantId, str], Model] = {}
        self._strategies: dict[ModelId, Strategy] = {}
        self._tenants: dict[TenantId, Tenant] = {DEFAULT_TENANT: Tenant(DEFAULT_TENANT, "default")}
        self._allowed: dict[TenantId, frozenset[str]] = {}
        """Names of models, of tenants that may not call every one."""
        self._contexts: dict[ModelId, dict[TenantId, PlacementContext]] = {}
        self.backlogs: Backlogs | None = None
        """Without them every tenant counts as one that has nothing waiting."""
        self.service_s: Callable[[ModelId], float] = _nothing_known
        """Expected seconds of one call of a model, 0 = unknown."""
        self.output_tokens: Callable[[ModelId], float] = _nothing_known
        """Expected output of such a call, 0 = unknown."""
        self.store_payloads = StorePayloads.FULL
        """Of tenants that do not say otherwise."""
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
        bounded = ((tenant.id, tenant.quotas.allowed_models) for tenant in self._tenants.values())
        self._allowed = {tenant_id: frozenset(names) for tenant_id, names in bounded if names is not None}
        self._contexts.clear()

    def put(self, model: Model) -> None:
        """Add a model or its new version."""
        before = self._by_id.get(model.id)
        if before is not None:
            self._by_name.pop((before.tenant_id, before.name), None)
        self._by_id[model.id] = model
        self._by_name[model.tenant_id, model.name] = model
        default = self.default_strategy
        self._strategies[model.id] = self._named_or(model.strategy, default) if model.strategy else default
        self._contexts.pop(model.id, None)

    def strategy_of(self, model: Model) -> Strategy:
        """What places the model's tasks.

        Raises:
            InvalidInputError: there is no strategy of that name.
        """
        return find(model.strategy, self._plugged) if model.strategy else self.default_strategy

    def _named_or(self, name: str, fallback: Strategy) -> Strategy:
        """A strategy that was there when it was chosen may be gone with its package, or broken now."""
        try:
            return find(name, self._plugged)
        except InvalidInputError:
            _log.error("strategy_missing", strategy=name, instead=fallback.name, next_step="llms plugins list")
            return fallback

    @property
    def wires(self) -> dict[str, Callable[[Mapping[str, object]], tuple[str, dict[str, object]]]]:
        """What turns a task of a plugin's type into a call, by type."""
        return {name: one.to_call for name, one in self.task_types.items()}

    def takes(self, model: Model, task_type: str) -> bool:
        """Whether the model takes tasks of the type; one of a plugin's goes to whoever takes some type of call."""
        kind = self.kinds.get(model.type)
        taken = kind.task_types if kind is not None else frozenset[str]()
        return task_type in taken or (task_type in self.task_types and bool(taken & WIRE_TYPES))

    def limit_changed(self, model_id: ModelId) -> None:
        """Another number of calls runs at once from now on: tasks cost the lane another time."""
        self._contexts.pop(model_id, None)

    def forget(self, model_id: ModelId) -> None:
        """Take a model out."""
        model = self._by_id.pop(model_id, None)
        if model is not None:
            self._by_name.pop((model.tenant_id, model.name), None)
            self._strategies.pop(model_id, None)
            self._contexts.pop(model_id, None)
            self._digests.pop(model_id, None)

    def models(self) -> list[Model]:
        """All models, by name."""
        return sorted(self._by_id.values(), key=lambda model: model.name)

    @property
    def tenants_by_id(self) -> dict[TenantId, Tenant]:
        """All tenants; not to be changed."""
        return self._tenants

    def tenant_named(self, name: str) -> Tenant | None:
        """The tenant of that name."""
        return next((tenant for tenant in self._tenants.values() if tenant.name == name), None)

    def tenants(self) -> list[Tenant]:
        """All tenants, by id."""
        return [self._tenants[key] for key in sorted(self._tenants)]

    def drops_payloads(self, tenant_id: TenantId) -> bool:
        """Whether inputs and outputs of its tasks go as soon as nobody needs them."""
        tenant = self._tenants.get(tenant_id)
        chosen = None if tenant is None else tenant.store_payloads
        return (chosen or self.store_payloads) is StorePayloads.NONE

    def lanes(self) -> list[ModelId]:
        """Every model's lane."""
        return list(self._by_id)

    def named(self, name: str, tenant_id: TenantId) -> Model:
        """The tenant's model of that name, or the installation's.

        Raises:
            ModelNotFoundError: there is none; the error lists those there are.
        """
        model = self._by_name.get((tenant_id, name)) or self._by_name.get((DEFAULT_TENANT, name))
        if model is None or not self.allows(tenant_id, name):
            raise self.not_found(name, tenant_id)
        return model

    def not_found(self, name: str, tenant_id: TenantId, allowed: frozenset[str] | None = None) -> ModelNotFoundError:
        """What to say instead, with names of some that there are."""
        known = tuple(model.name for model in self.visible(tenant_id, allowed))
        return ModelNotFoundError(name, known[:_MOST_NAMED])

    def visible(self, tenant_id: TenantId, allowed: frozenset[str] | None = None) -> list[Model]:
        """What `named` gives for all names, or for those that are allowed, by name."""
        return [
            model
            for model in self.models()
            if (allowed is None or model.name in allowed)
            and self.allows(tenant_id, model.name)
            and (
                model.tenant_id == tenant_id
                or (model.tenant_id == DEFAULT_TENANT and (tenant_id, model.name) not in self._by_name)
            )
        ]

    def allows(self, tenant_id: TenantId, name: str) -> bool:
        """Whether the tenant's quotas let it call models of that name."""
        allowed = self._allowed.get(tenant_id)
        return allowed is None or name in allowed

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
        model_id, tenant_id = task.model_id, task.tenant_id
        contexts = self._contexts.get(model_id)
        context = None if contexts is None else contexts.get(tenant_id)
        service_s = self.service_s(model_id)
        if context is None or abs(service_s - context.service_s) > _SERVICE_DRIFT * context.service_s:
            context = self._context(model_id, tenant_id, service_s)
        strategy = self._strategies.get(model_id, self.default_strategy)
        if strategy.reads_backlog and self.backlogs is not None:
            behind = self.backlogs.behind(model_id, tenant_id)
            context = context._replace(tenant_backlog_ms=behind.tenant_ms, active_tenants=behind.tenants)
        return Entry(
            task.task_id,
            model_id,
            tenant_id,
            task.attempt,
            task.est_tokens,
            task.queued_at,
            strategy.place(task, context),
            task.est_output,
        )

    def entries(self, tasks: Sequence[WaitingTask]) -> list[Entry]:
        """Placed entries, in the same order; for strategies that read backlogs as if each came alone."""
        return [self.entry(task) for task in tasks]

    async def placed(self, tasks: Sequence[WaitingTask]) -> list[Entry]:
        """Entries on their way into the index, in the same order: each stands behind those before it."""
        backlogs = self.backlogs
        readers = {
            task.model_id for task in tasks if self._strategies.get(task.model_id, self.default_strategy).reads_backlog
        }
        if not readers or backlogs is None:
            return self.entries(tasks)
        await backlogs.freshen(readers)
        entries: list[Entry] = []
        for task in tasks:
            entry = self.entry(task)
            entries.append(entry)
            if task.model_id in readers:
                backlogs.placed(task.model_id, task.tenant_id, entry.placement.cost)
        return entries

    @contextlib.contextmanager
    def counting_anew(self, model_id: ModelId) -> Iterator[None]:
        """While all that waits in the lane is placed again, oldest first, only what is placed counts as backlog."""
        backlogs = self.backlogs
        if backlogs is None:
            yield
            return
        backlogs.count_anew(model_id)
        try:
            yield
        finally:
            backlogs.counted(model_id)

    def _context(self, model_id: ModelId, tenant_id: TenantId, service_s: float) -> PlacementContext:
        tenant, model = self._tenants.get(tenant_id), self._by_id.get(model_id)
        weight = tenant.weight if tenant else 1.0
        if model is None:
            return PlacementContext(weight)
        options = model.options
        context = PlacementContext(
            weight,
            rpm=_in_force(model.rpm, [endpoint.rpm for endpoint in model.endpoints]),
            tpm=_in_force(model.tpm, [endpoint.tpm for endpoint in model.endpoints]),
            concurrency=self.limit_of(model),
            service_s=service_s,
            options=self._options(model),
            input_tpm=_in_force(options.input_tpm, [endpoint.input_tpm for endpoint in model.endpoints]),
            output_tpm=_in_force(options.output_tpm, [endpoint.output_tpm for endpoint in model.endpoints]),
            output_tokens=self.output_tokens(model_id),
        )
        self._contexts.setdefault(model_id, {})[tenant_id] = context
        return context

    def placing(self, model_id: ModelId) -> Strategy:
        """What places tasks of the model now; the installation's for one that is gone."""
        return self._strategies.get(model_id, self.default_strategy)

    def _options(self, model: Model) -> Mapping[str, float]:
        """The model's for its strategy; those that it does not know (any more) are as if not given."""
        strategy, given = self.placing(model.id), model.options.strategy_options
        known: dict[str, float] = {}
        for name, value in given.items():
            with contextlib.suppress(InvalidInputError):
                known |= checked_options(strategy, {name: value})
        return MappingProxyType(known)

    def rules(self, model: Model) -> LaneRules:
        """The model's limits for the broker."""
        strategy = self._strategies[model.id]
        return LaneRules(
            lane=model.id,
            max_workers=self.limit_of(model),
            rpm=model.rpm,
            tpm=model.tpm,
            is_paused=model.status is not ModelStatus.ACTIVE,
            share_rule=strategy.share_rule,
            starve_after_ms=None if model.starve_after_s is None else int(model.starve_after_s * 1000),
            version=model.version,
            keeps_backlog=strategy.reads_backlog,
            input_tpm=model.options.input_tpm,
            output_tpm=model.options.output_tpm,
            gates=tuple(_gate(endpoint) for endpoint in model.endpoints),
        )


def _nothing_known(_model_id: ModelId) -> float:
    return 0.0


def _in_force(own: int | None, of_endpoints: Sequence[int | None]) -> int | None:
    """The lane's limit: its own, or the sum of its endpoints' where each has one and they are together less."""
    given = [limit for limit in of_endpoints if limit is not None]
    if not given or len(given) < len(of_endpoints):
        return own
    return sum(given) if own is None else min(own, sum(given))


def _gate(endpoint: Endpoint) -> GateRules:
    return GateRules(
        endpoint.name,
        endpoint.weight,
        endpoint.max_workers,
        endpoint.rpm,
        endpoint.tpm,
        endpoint.input_tpm,
        endpoint.output_tpm,
        endpoint.is_drained,
    )


def configured_limit(model: Model) -> int:
    """As it stands in the record."""
    return model.max_workers
