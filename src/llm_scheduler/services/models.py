"""Models: add, change, pause, scale, try and remove them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.access_errors import SharedModelError
from llm_scheduler.domain.errors import EndpointNotFoundError, InvalidInputError, ModelChangedError, NameTakenError
from llm_scheduler.domain.ids import EPOCH, ModelId
from llm_scheduler.domain.model import DEFAULT_TIMEOUT_S, Model, ModelStatus, UnknownPrice
from llm_scheduler.ports.provider import BoundedKind
from llm_scheduler.scheduling.strategies.registry import checked_options
from llm_scheduler.services.auto_workers import with_workers
from llm_scheduler.services.configured import ConfiguredSource
from llm_scheduler.services.effective import checked
from llm_scheduler.services.fallback import check_names
from llm_scheduler.services.opened import OpenProviders, Way
from llm_scheduler.services.secrets import Secrets, check_kept, given_in, merged
from llm_scheduler.services.tenant_limits import TenantLimits
from llm_scheduler.services.trial import tried

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.domain.model import Endpoint
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.ports.cache import ReadThrough
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.provider import Provider, ProviderKind
    from llm_scheduler.ports.store import Store
    from llm_scheduler.ports.vault import Vault
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.outbound import OutboundRules
    from llm_scheduler.services.trial import Trial

_MOST_COLLISIONS: Final = 10


class Models:
    """The one place that changes models; keeps record, catalogue, broker and open providers in step."""

    def __init__(
        self,
        store: Store,
        broker: Broker,
        catalogue: Catalogue,
        vault: Vault,
        clock: Clock,
        cache: ReadThrough | None = None,
    ) -> None:
        self.outbound: OutboundRules | None = None
        """Where models may call; None = anywhere."""
        self._store, self._broker, self._catalogue = store, broker, catalogue
        self._clock = clock
        self._secrets = Secrets(vault, catalogue)
        self._source = ConfiguredSource(store, cache, self._secrets)
        self._open = OpenProviders()
        self._limits = TenantLimits(broker, catalogue)
        # A change is read, merged and written: two at once would lose one. And what a `load` has read must not
        # undo a change that was made while it read.
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Take models and tenants over, from the nearest cache or the record, and tell the broker their limits.

        May be called again at any time: what was removed elsewhere goes, and what is known here in a
        newer version than the cache has stays.
        """
        async with self._changing:
            found = await self._source.read()
            newest = [self._newer(model) for model in found.models]
            self._catalogue.replace(newest, found.tenants)
            self._open.keep(self._ways())
        await self._broker.set_rules([self._catalogue.rules(model) for model in self._catalogue.models()])
        await self._limits.send()

    def _newer(self, model: Model) -> Model:
        known = self._catalogue.by_id(model.id)
        return known if known is not None and known.version > model.version else model

    async def changed(self) -> None:
        """The record has other models or tenants than before: every copy of them, here or elsewhere, is to go."""
        await self._source.changed()

    async def renew(self) -> None:
        """Take over what the record says, past caches that may have gone back in time with their server."""
        await self.changed()
        await self.load()

    def list(self) -> list[Model]:
        """All, by name; secrets in their configs are sealed."""
        return self._catalogue.models()

    def get(self, name: str, tenant_id: TenantId) -> Model:
        """One.

        Raises:
            ModelNotFoundError: there is none of that name.
        """
        return self._catalogue.named(name, tenant_id)

    def owned(self, name: str, tenant_id: TenantId) -> Model:
        """One that the tenant may change: its own, not the installation's.

        Raises:
            ModelNotFoundError, SharedModelError: as their names say.
        """
        model = self.get(name, tenant_id)
        if model.tenant_id != tenant_id:
            raise SharedModelError(name)
        return model

    def queued(self, model: Model) -> int:
        """Tasks that wait in its lane now."""
        return self._broker.waiting(model.id)

    async def counted(self, models: Sequence[Model]) -> Sequence[Model]:
        """The same models with what they count: requests by the record, current workers by the broker."""
        stored = {model.id: model for model in await self._store.models()}
        running = {depth.lane: depth.running for depth in await self._broker.depths()}
        return [
            replace(
                model,
                max_workers=self._catalogue.limit_of(model),
                current_workers=running.get(model.id, 0),
                total_requests=stored.get(model.id, model).total_requests,
                success_requests=stored.get(model.id, model).success_requests,
            )
            for model in models
        ]

    async def add(self, model: Model) -> Model:
        """Record a new model; `config` holds plain secrets, `id` and times are given here.

        Raises:
            InvalidInputError: unknown type or strategy, or a bad config.
            ServerModelError: it reaches into the server, and is not the installation's own.
            NameTakenError: the name is in use.
        """
        if self.outbound is not None:
            self.outbound.check_files(model)
        whole = checked(self._kind(model.type), model)
        checked_options(self._catalogue.strategy_of(whole), whole.options.strategy_options)
        self._check_rules(whole)
        if self.outbound is not None:
            await self.outbound.check(whole)
        try:
            async with self._changing:
                stored = await self._store.add_model(self._sealed(whole))
                await self._adopt(stored)
                return stored
        except NameTakenError:
            # Perhaps by somebody who ended before telling the others.
            await self.renew()
            raise

    async def change(self, name: str, tenant_id: TenantId, changes: Mapping[str, Any]) -> Model:
        """Change some fields.

        `config` is merged: a key set to None goes, a masked or absent secret stays. `options` (plain values by
        name) is merged, too. `endpoints` replaces them all; a masked secret stays that of the endpoint of this name.

        Raises:
            ModelNotFoundError, SharedModelError, ServerModelError, InvalidInputError, NameTakenError: as they say.
            ModelChangedError: other processes changed it again and again meanwhile.
        """
        return await self.edit(name, tenant_id, lambda _: changes)

    async def edit(self, name: str, tenant_id: TenantId, edited: Callable[[Model], Mapping[str, Any]]) -> Model:
        """Change what `edited` says of the model as it is; nobody changes it in between. Else as `change`."""
        await self._check_outbound(self.get(name, tenant_id), edited)
        for _ in range(_MOST_COLLISIONS):
            try:
                return await self._change(name, tenant_id, edited)
            except ModelChangedError:
                await self.renew()
        return await self._change(name, tenant_id, edited)

    async def _check_outbound(self, before: Model, edited: Callable[[Model], Mapping[str, Any]]) -> None:
        """Look at new addresses before anything is locked: names are asked for, and that may take its time."""
        if self.outbound is not None:
            fields = edited(before)
            given = {key: fields[key] for key in ("config", "endpoints") if fields.get(key) is not None}
            if given:
                await self.outbound.check(replace(before, **given), before)

    async def _change(self, name: str, tenant_id: TenantId, edited: Callable[[Model], Mapping[str, Any]]) -> Model:
        """Merge into what is known here and write it, unless the record knows better."""
        async with self._changing:
            before = self.owned(name, tenant_id)
            before = replace(before, max_workers=self._catalogue.limit_of(before))
            fields = dict(edited(before))
            if "options" in fields:
                fields["options"] = replace(before.options, **fields["options"])
            fields = with_workers(before.options, fields, before.max_workers)
            if "config" in fields or "endpoints" in fields:
                fields |= self._rewired(before, fields)
            after = self._well_placed(before, replace(before, **fields))
            self._check_rules(after)
            stored = await self._store.save_model(after)
            await self._adopt(stored)
            if _orders(stored) != _orders(before):
                await self.replace_lane(stored)
            return stored

    def _well_placed(self, before: Model, after: Model) -> Model:
        """The model with options that its strategy knows; those of a former strategy go with it."""
        if _orders(after) == _orders(before):
            return after  # also one whose strategy is gone with its package: it can still be paused
        strategy, given = self._catalogue.strategy_of(after), after.options.strategy_options
        if after.strategy != before.strategy and given == before.options.strategy_options:
            given = {name: value for name, value in given.items() if name in strategy.options}
            after = replace(after, options=replace(after.options, strategy_options=given))
        checked_options(strategy, given)
        return after

    def _rewired(self, before: Model, fields: Mapping[str, Any]) -> dict[str, object]:
        """Config and endpoints with the changes in them, checked and sealed."""
        secrets, opened = self._secrets.fields(before.type), self._opened_model(before)
        config = merged(opened.config, fields.get("config", {}), secrets)
        known = {one.name: one.config for one in opened.endpoints}
        endpoints: list[Endpoint] = []
        for one in fields.get("endpoints", before.endpoints):
            given = self._secrets.opened(before, one)
            kept = {key: value for key, value in known.get(one.name, {}).items() if key in secrets & given.keys()}
            endpoints.append(replace(one, config=merged(kept, given, secrets)))
        whole = checked(self._kind(before.type), replace(before, config=config, endpoints=tuple(endpoints)))
        configs = (fields.get("config", {}), *(one.config for one in fields.get("endpoints", ())))
        check_kept(opened, whole, secrets, given_in(configs, secrets))
        sealed = self._sealed(whole)
        return {"config": sealed.config, "endpoints": sealed.endpoints}

    def _opened_model(self, model: Model) -> Model:
        endpoints = tuple(replace(one, config=self._secrets.opened(model, one)) for one in model.endpoints)
        return replace(model, config=self._secrets.opened(model), endpoints=endpoints)

    def _sealed(self, model: Model) -> Model:
        endpoints = tuple(replace(one, config=self._secrets.sealed(model, one)) for one in model.endpoints)
        return replace(model, config=self._secrets.sealed(model), endpoints=endpoints)

    def _check_rules(self, model: Model) -> None:
        """Refuse what the fields say together, or of others.

        Raises:
            InvalidInputError: with where and what to do.
        """
        if not self._catalogue.allows(model.tenant_id, model.name):
            raise InvalidInputError(f"The tenant's quotas allow no model named '{model.name}'.", "name")
        options = model.options
        check_names(self._catalogue, model.tenant_id, model.name, options.fallback_models)
        if options.unknown_price is UnknownPrice.ASSUME and not options.assume_price_of:
            raise InvalidInputError("'assume' needs the name of a priced model here.", "assume_price_of")

    async def pause(self, name: str, tenant_id: TenantId, *, is_unhealthy: bool = False) -> Model:
        """Start nothing more; what runs goes on. If it is unhealthy, tasks with fallback models move on."""
        status = ModelStatus.UNHEALTHY if is_unhealthy else ModelStatus.PAUSED
        return await self.change(name, tenant_id, {"status": status})

    async def resume(self, name: str, tenant_id: TenantId) -> Model:
        """Start again, also where a provider's word (a Retry-After, a used-up account) holds a way to it up."""
        model = await self.change(name, tenant_id, {"status": ModelStatus.ACTIVE})
        for endpoint in (None, *(one.name for one in model.endpoints)):
            await self._broker.end_pause(model.id, endpoint)
        return model

    async def scale(self, name: str, tenant_id: TenantId, max_workers: int | str) -> Model:
        """Set how many tasks run at once, or have it found ("auto"); shrinking lets running calls finish."""
        return await self.change(name, tenant_id, {"max_workers": max_workers})

    async def remove(self, name: str, tenant_id: TenantId) -> None:
        """Delete a model that has no unfinished tasks.

        Raises:
            ModelInUseError: it has some.
            ModelNotFoundError, SharedModelError: as their names say.
        """
        async with self._changing:
            model = self.owned(name, tenant_id)
            await self._store.remove_model(model.id)
            await self.changed()
            self._catalogue.forget(model.id)
            await self._broker.drop_lane(model.id)
        self._open.keep(self._ways())

    async def try_out(self, name: str, tenant_id: TenantId, endpoint: str | None = None) -> Trial:
        """One small real call, outside the queue and its limits.

        Through the named endpoint; if none is named, through the first that is not drained.

        Raises:
            ModelNotFoundError, SharedModelError, EndpointNotFoundError: as their names say.
        """
        model = self.owned(name, tenant_id)
        if endpoint is None and model.endpoints:
            endpoint = next((one for one in model.endpoints if not one.is_drained), model.endpoints[0]).name
        task_types, timeout_s = self._kind(model.type).task_types, self.timeout_s(model, endpoint)
        return await tried(self.provider(model, endpoint), task_types, timeout_s, self._clock)

    def timeout_s(self, model: Model, endpoint: str | None = None) -> float:
        """The limit for one call that is configured of the model, or of this way to it."""
        value = model.config.get("timeout_s")
        if endpoint is not None:
            value = endpoint_of(model, endpoint).config.get("timeout_s", value)
        return float(value) if isinstance(value, int | float) else DEFAULT_TIMEOUT_S

    def provider(self, model: Model, endpoint: str | None = None) -> Provider:
        """The open provider of the model's current version; of one endpoint, if it has any.

        Raises:
            EndpointNotFoundError: the model has no such endpoint (any more).
            UnsealError: its secret cannot be read with the key in force.
            InvalidInputError: its type is not known to this installation.
        """
        way = (model.id, endpoint)
        known = self._open.current(way, model.version)
        if known is not None:
            return known
        kind, config = self._kind(model.type), self.plain_config(model, endpoint)
        return self._open.renewed(way, model.version, config, lambda config: self._opened(kind, model, config))

    def _opened(self, kind: ProviderKind, model: Model, config: Mapping[str, object]) -> Provider:
        if self.outbound is not None and isinstance(kind, BoundedKind):
            return kind.open_within(model.name, config, self.outbound.of(model.tenant_id))
        return kind.open(model.name, config)

    def _ways(self) -> set[Way]:
        return {
            (model.id, name)
            for model in self._catalogue.models()
            for name in (None, *(one.name for one in model.endpoints))
        }

    def masked_config(self, model: Model, endpoint: Endpoint | None = None) -> dict[str, object]:
        """The model's config, or what an endpoint has of its own, as answers show it: secrets as `sk-…1234`."""
        return self._secrets.masked(model, endpoint)

    def plain_config(self, model: Model, endpoint: str | None = None) -> dict[str, object]:
        """The config with its secrets opened, that of the endpoint over the model's: only for the provider.

        Raises:
            EndpointNotFoundError: there is no such endpoint.
            UnsealError: one of the secrets cannot be read with the key in force.
        """
        return self._secrets.plain(model, None if endpoint is None else endpoint_of(model, endpoint))

    def _kind(self, name: str) -> ProviderKind:
        kind = self._catalogue.kinds.get(name)
        if kind is None:
            raise InvalidInputError(
                f"There is no model type '{name[:50]}'. Known: {', '.join(sorted(self._catalogue.kinds))}.", "type"
            )
        return kind

    async def _adopt(self, model: Model) -> None:
        self._catalogue.put(model)
        self._open.keep(self._ways())
        await self.changed()
        await self._broker.set_rules([self._catalogue.rules(model)])
        await self._limits.send()

    async def replace_lane(self, model: Model) -> None:
        """Place everything that waits in the model's lane anew, after a change of strategy."""
        after = None
        with self._catalogue.counting_anew(model.id):
            while page := await self._store.waiting_page(after, 10_000):
                ours = [task for task in page if task.model_id == model.id]
                # Each entry moves to its new place; slots, pauses and rate limits stay as they are.
                await self._broker.reconcile(await self._catalogue.placed(ours), [], [])
                after = (page[-1].queued_at, page[-1].task_id)

    async def close(self) -> None:
        """Close every provider."""
        await self._open.close()


def endpoint_of(model: Model, name: str) -> Endpoint:
    """The endpoint of that name.

    Raises:
        EndpointNotFoundError: the model has none of that name.
    """
    for one in model.endpoints:
        if one.name == name:
            return one
    raise EndpointNotFoundError(model.name, name, tuple(one.name for one in model.endpoints))


def new_model(**fields: Any) -> Model:
    """A model that is not stored yet."""
    return Model(id=ModelId(0), created_at=EPOCH, updated_at=EPOCH, **fields)


def _orders(model: Model) -> tuple[str | None, Mapping[str, float]]:
    """What decides the order of its queue."""
    return model.strategy, model.options.strategy_options
