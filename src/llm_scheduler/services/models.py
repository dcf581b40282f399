"""Models: add, change, pause, scale, try and remove them."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from llm_scheduler.domain.errors import InvalidInputError, ModelChangedError, UnsealError
from llm_scheduler.domain.ids import EPOCH, ModelId, TaskId
from llm_scheduler.domain.model import DEFAULT_TIMEOUT_S, Model, ModelStatus
from llm_scheduler.ports.provider import Call, Provider, ProviderError
from llm_scheduler.scheduling.strategies.registry import checked_options
from llm_scheduler.services.configured import CATALOGUE_KEY, Configured, packed, unpacked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.domain.task import TaskError, Usage
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.ports.cache import ReadThrough
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.provider import ProviderKind
    from llm_scheduler.ports.store import Store
    from llm_scheduler.ports.vault import Vault
    from llm_scheduler.services.catalogue import Catalogue

SEALED: Final = "sealed:"
_MOST_COLLISIONS: Final = 10
_TRIAL: Final[Mapping[str, Mapping[str, object]]] = {
    "chat": {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16},
    "completion": {"prompt": "Hello", "max_tokens": 16},
    "embedding": {"input": "hello"},
}

_log = structlog.get_logger(__name__)


class Trial(NamedTuple):
    """One real call, timed. Exactly one of `text` and `error` is there."""

    latency_ms: int
    ttft_ms: int | None
    text: str | None
    usage: Usage | None
    error: TaskError | None


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
        self._store, self._broker, self._catalogue = store, broker, catalogue
        self._vault, self._clock, self._cache = vault, clock, cache
        self._open: dict[ModelId, tuple[int, Provider]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        # A change is read, merged and written: two at once would lose one. And what a `load` has read must not
        # undo a change that was made while it read.
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Take models and tenants over, from the nearest cache or the record, and tell the broker their limits.

        May be called again at any time: what was removed elsewhere goes, and what is known here in a
        newer version than the cache has stays.
        """
        async with self._changing:
            found = await self._configured()
            newest = [self._newer(model) for model in found.models]
            for model_id in self._open.keys() - {model.id for model in newest}:
                self._close_later(self._open.pop(model_id)[1])
            self._catalogue.replace(newest, found.tenants)
        await self._broker.set_rules([self._catalogue.rules(model) for model in self._catalogue.models()])
        for tenant in self._catalogue.tenants():
            await self._broker.set_tenant_limit(tenant.id, tenant.max_workers)

    async def _configured(self) -> Configured:
        if self._cache is None:
            return await self._recorded()
        kept = await self._cache.fetch(CATALOGUE_KEY, self._packed)
        if kept is not None:
            try:
                return unpacked(kept)
            except (ValueError, KeyError, TypeError) as error:
                _log.warning("cached_catalogue_unreadable", error=str(error))
                await self.changed()
        return await self._recorded()

    async def _recorded(self) -> Configured:
        return Configured(await self._store.models(), await self._store.tenants())

    async def _packed(self) -> bytes:
        return packed(await self._recorded())

    def _newer(self, model: Model) -> Model:
        known = self._catalogue.by_id(model.id)
        return known if known is not None and known.version > model.version else model

    async def changed(self) -> None:
        """The record has other models or tenants than before: every copy of them, here or elsewhere, is to go."""
        if self._cache is not None:
            await self._cache.drop([CATALOGUE_KEY])

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
            NameTakenError: the name is in use.
        """
        checked = replace(model, config=self._kind(model.type).check(model.config))
        checked_options(self._catalogue.strategy_of(model), model.options.strategy_options)
        async with self._changing:
            stored = await self._store.add_model(replace(checked, config=self._sealed(checked)))
            await self._adopt(stored)
            return stored

    async def change(self, name: str, tenant_id: TenantId, changes: Mapping[str, Any]) -> Model:
        """Change some fields. `config` is merged: a key set to None goes, a masked or absent secret stays.

        Raises:
            ModelNotFoundError, InvalidInputError, NameTakenError: as their names say.
            ModelChangedError: other processes changed it again and again meanwhile.
        """
        for _ in range(_MOST_COLLISIONS):
            try:
                return await self._change(name, tenant_id, changes)
            except ModelChangedError:
                await self.renew()
        return await self._change(name, tenant_id, changes)

    async def _change(self, name: str, tenant_id: TenantId, changes: Mapping[str, Any]) -> Model:
        """Merge into what is known here and write it, unless the record knows better."""
        async with self._changing:
            before = self.get(name, tenant_id)
            fields = dict(changes)
            if "config" in fields:
                kind = self._kind(before.type)
                merged = _merged(self._opened(before), fields["config"], kind.secret_fields)
                fields["config"] = self._sealed(replace(before, config=kind.check(merged)))
            stored = await self._store.save_model(self._well_placed(before, replace(before, **fields)))
            await self._adopt(stored)
            if _orders(stored) != _orders(before):
                await self.replace_lane(stored)
            return stored

    def _well_placed(self, before: Model, after: Model) -> Model:
        """The model with options that its strategy knows; those of a former strategy go with it."""
        strategy, given = self._catalogue.strategy_of(after), after.options.strategy_options
        if after.strategy != before.strategy and given == before.options.strategy_options:
            given = {name: value for name, value in given.items() if name in strategy.options}
            after = replace(after, options=replace(after.options, strategy_options=given))
        checked_options(strategy, given)
        return after

    async def pause(self, name: str, tenant_id: TenantId) -> Model:
        """Start nothing more; what runs goes on."""
        return await self.change(name, tenant_id, {"status": ModelStatus.PAUSED})

    async def resume(self, name: str, tenant_id: TenantId) -> Model:
        """Start again."""
        return await self.change(name, tenant_id, {"status": ModelStatus.ACTIVE})

    async def scale(self, name: str, tenant_id: TenantId, max_workers: int) -> Model:
        """Set how many tasks run at once; shrinking lets running calls finish."""
        return await self.change(name, tenant_id, {"max_workers": max_workers})

    async def remove(self, name: str, tenant_id: TenantId) -> None:
        """Delete a model that has no unfinished tasks.

        Raises:
            ModelInUseError: it has some.
        """
        async with self._changing:
            model = self.get(name, tenant_id)
            await self._store.remove_model(model.id)
            await self.changed()
            self._catalogue.forget(model.id)
            await self._broker.drop_lane(model.id)
        opened = self._open.pop(model.id, None)
        if opened is not None:
            await opened[1].close()

    async def try_out(self, name: str, tenant_id: TenantId) -> Trial:
        """One small real call, outside the queue and its limits."""
        model = self.get(name, tenant_id)
        kinds = self._kind(model.type).task_types
        task_type = next((kind for kind in _TRIAL if kind in kinds), "chat")
        call = Call(TaskId(0), 1, task_type, _TRIAL[task_type], min(self.timeout_s(model), 60.0))
        began = self._clock.monotonic_s()
        try:
            answer = await self.provider(model).call(call)
        except ProviderError as error:
            from llm_scheduler.services.outcomes import task_error

            return Trial(self._since_ms(began), None, None, None, task_error(error))
        return Trial(self._since_ms(began), answer.ttft_ms, answer.text, answer.usage, None)

    def _since_ms(self, began: float) -> int:
        return round((self._clock.monotonic_s() - began) * 1000)

    def timeout_s(self, model: Model) -> float:
        """The model's own limit for one call."""
        value = model.config.get("timeout_s")
        return float(value) if isinstance(value, int | float) else DEFAULT_TIMEOUT_S

    def provider(self, model: Model) -> Provider:
        """The open provider of the model's current version.

        Raises:
            UnsealError: its secret cannot be read with the key in force.
            InvalidInputError: its type is not known to this installation.
        """
        opened = self._open.get(model.id)
        if opened is not None:
            if opened[0] == model.version:
                return opened[1]
            self._close_later(opened[1])
        provider = self._kind(model.type).open(model.name, self.plain_config(model))
        self._open[model.id] = (model.version, provider)
        return provider

    def _close_later(self, provider: Provider) -> None:
        # Calls of the older version may still run on it; its own close lets them end.
        closing = asyncio.ensure_future(provider.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def masked_config(self, model: Model) -> dict[str, object]:
        """The config as answers show it: secrets as `sk-…1234`."""
        secrets = self._secret_fields(model.type)
        shown = dict(model.config)
        for key in secrets & shown.keys():
            if shown[key] is not None:
                try:
                    shown[key] = mask(str(self.plain_config(model).get(key, "")))
                except UnsealError:
                    shown[key] = mask("")
        return shown

    def plain_config(self, model: Model) -> dict[str, object]:
        """The config with its secrets opened: only for the provider."""
        plain = dict(model.config)
        for key in self._secret_fields(model.type) & plain.keys():
            value = plain[key]
            if isinstance(value, str) and value.startswith(SEALED):
                plain[key] = self._vault.open(value.removeprefix(SEALED), _context(model, key))
        return plain

    def _opened(self, model: Model) -> dict[str, object]:
        """The config with each secret opened where the key in force can; else it stays sealed, to be replaced."""
        opened = dict(model.config)
        for key in self._secret_fields(model.type) & opened.keys():
            with contextlib.suppress(UnsealError):
                opened[key] = self.plain_config(replace(model, config={key: opened[key]}))[key]
        return opened

    def _sealed(self, model: Model) -> dict[str, object]:
        sealed = dict(model.config)
        for key in self._kind(model.type).secret_fields & sealed.keys():
            value = sealed[key]
            if isinstance(value, str) and not value.startswith(SEALED):
                sealed[key] = SEALED + self._vault.seal(value, _context(model, key))
        return sealed

    def _kind(self, name: str) -> ProviderKind:
        kind = self._catalogue.kinds.get(name)
        if kind is None:
            raise InvalidInputError(
                f"There is no model type '{name[:50]}'. Known: {', '.join(sorted(self._catalogue.kinds))}.", "type"
            )
        return kind

    def _secret_fields(self, name: str) -> frozenset[str]:
        kind = self._catalogue.kinds.get(name)
        return kind.secret_fields if kind else frozenset()

    async def _adopt(self, model: Model) -> None:
        self._catalogue.put(model)
        await self.changed()
        await self._broker.set_rules([self._catalogue.rules(model)])

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
        opened = [provider for _, provider in self._open.values()]
        self._open.clear()
        for provider in opened:
            await provider.close()
        if self._closing:
            await asyncio.gather(*self._closing)


def new_model(**fields: Any) -> Model:
    """A model that is not stored yet."""
    return Model(id=ModelId(0), created_at=EPOCH, updated_at=EPOCH, **fields)


def _orders(model: Model) -> tuple[str | None, Mapping[str, float]]:
    """What decides the order of its queue."""
    return model.strategy, model.options.strategy_options


def mask(secret: str) -> str:
    """`sk-…1234`: enough to recognise, too little to use."""
    if len(secret) < 12:
        return "…"
    head = secret[:3] if secret.startswith("sk-") else ""
    return f"{head}…{secret[-4:]}"


def _context(model: Model, key: str) -> str:
    return f"model:{model.tenant_id}:{model.name}:{key}"


def _merged(before: Mapping[str, object], changes: Mapping[str, object], secrets: frozenset[str]) -> dict[str, object]:
    merged = dict(before)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif key in secrets and isinstance(value, str) and "…" in value:
            continue
        else:
            merged[key] = value
    return merged
