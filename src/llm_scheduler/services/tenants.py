"""Tenants: add, change, suspend, remove; and what one uses now."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from llm_scheduler.domain.access_errors import TenantInUseError, TenantNotFoundError
from llm_scheduler.domain.errors import ConflictError
from llm_scheduler.domain.ids import DEFAULT_TENANT, TenantId
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.tenant import Tenant, TenantState
from llm_scheduler.ports.store import TaskFilter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.ports.promises import ActionProgress
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.directory import Directory
    from llm_scheduler.services.models import Models

REMOVAL: Final = "remove_tenant"
"""The action's name in the record."""
SLICE: Final = 256
"""Tasks, or rows, of one transaction of a removal."""
_LOOK_AGAIN_S: Final = 1.0
_RUNNING_SHOWN: Final = 1_000


class Use(NamedTuple):
    """What a tenant uses now of what it may: tasks that are not over, those that run, and these by model."""

    unfinished: int
    running: int
    running_by_model: Mapping[ModelId, int]


class Tenants:
    """The one place that changes tenants; keeps record, catalogue and the broker's limits in step."""

    def __init__(
        self, store: Store, catalogue: Catalogue, directory: Directory, models: Models, broker: Broker
    ) -> None:
        self._store, self._catalogue, self._directory = store, catalogue, directory
        self._models, self._broker = models, broker

    def get(self, name: str) -> Tenant:
        """One.

        Raises:
            TenantNotFoundError: there is none of that name.
        """
        tenant = self._catalogue.tenant_named(name)
        if tenant is None:
            raise TenantNotFoundError(name)
        return tenant

    def of(self, tenant_id: TenantId) -> Tenant:
        """The tenant of an id.

        Raises:
            TenantNotFoundError: it is gone.
        """
        tenant = self._catalogue.tenants_by_id.get(tenant_id)
        if tenant is None:
            raise TenantNotFoundError(f"#{tenant_id}")
        return tenant

    async def add(self, tenant: Tenant) -> Tenant:
        """Record a new one; `id` and times are given here.

        Raises:
            TenantNameTakenError: as its name says.
        """
        added = await self._store.add_tenant(tenant)
        await self._changed()
        return added

    async def change(self, name: str, changes: Mapping[str, Any]) -> Tenant:
        """Set some fields. The first tenant keeps its name and stays active: all others share its models.

        Raises:
            TenantNotFoundError, TenantNameTakenError: as their names say.
            TenantInUseError: it is the first one, or is being removed.
        """
        tenant = self.get(name)
        touched = changes.keys() & {"name", "state"}
        if tenant.id == DEFAULT_TENANT and any(changes[key] != getattr(tenant, key) for key in touched):
            raise TenantInUseError(
                "The tenant 'default' is the installation's own; it is neither renamed nor suspended."
            )
        if touched and await self._removal(tenant.id) is not None:
            raise TenantInUseError(f"The tenant '{name}' is being removed.")
        changed = await self._store.change_tenant(tenant.id, changes)
        await self._changed()
        return changed

    async def use(self, tenant_id: TenantId) -> Use:
        """What it uses now, by the record."""
        counts = await self._store.counts(TaskFilter(tenant_id=tenant_id, statuses=(Status.RUNNING,)))
        running = counts.get(Status.RUNNING, 0)
        by_model: Counter[ModelId] = Counter()
        if running:
            where = TaskFilter(tenant_id=tenant_id, statuses=(Status.RUNNING,))
            page = await self._store.tasks(where, limit=_RUNNING_SHOWN)
            by_model.update(task.model_id for task in page.items)
        return Use(await self._store.unfinished(tenant_id), running, by_model)

    async def removable(self, name: str) -> str:
        """What `Actions.begin` needs to remove the tenant, as text.

        Raises:
            TenantNotFoundError: there is none of that name.
            TenantInUseError: it is the first one, is not suspended, or tasks of it run.
        """
        tenant = self.get(name)
        if tenant.id == DEFAULT_TENANT:
            raise TenantInUseError("The tenant 'default' is the installation's own; it cannot be removed.")
        if tenant.state is not TenantState.SUSPENDED:
            raise TenantInUseError(
                f"Suspend it first: llms tenants suspend {name}, POST /api/v1/tenants/{name}/suspend."
            )
        if await self._removal(tenant.id) is not None:
            raise TenantInUseError(f"The tenant '{name}' is being removed already.")
        running = (await self.use(tenant.id)).running
        if running:
            raise TenantInUseError(f"{running} tasks of '{name}' still run; cancel them, or wait until they end.")
        return orjson.dumps({"tenant": tenant.id, "name": name}).decode()

    async def removed(self, progress: ActionProgress) -> AsyncIterator[int]:
        """Remove the tenant step by step: how many tasks and rows went in each. Goes on where it was cut off."""
        tenant_id, _ = removal_of(progress)
        while True:
            step = await self._store.erase_tenant(tenant_id, SLICE)
            lanes: dict[ModelId, list[Any]] = {}
            for lane, task_id in step.tasks:
                lanes.setdefault(lane, []).append(task_id)
            for lane, ids in lanes.items():
                await self._broker.remove(lane, ids)
            yield step.rows
            if step.is_over:
                break
            if step.is_waiting:
                await asyncio.sleep(_LOOK_AGAIN_S)
        for model in self._catalogue.models():
            if model.tenant_id == tenant_id:
                await self._broker.drop_lane(model.id)
        await self._changed()

    async def _removal(self, tenant_id: TenantId) -> ActionProgress | None:
        for progress in await self._store.unfinished_actions():
            if progress.action == REMOVAL and removal_of(progress)[0] == tenant_id:
                return progress
        return None

    async def _changed(self) -> None:
        await self._models.renew()
        await self._directory.load()


def removal_of(progress: ActionProgress) -> tuple[TenantId, str]:
    """Which tenant an action removes: its id and name.

    Raises:
        ConflictError: it is an action of another kind.
    """
    if progress.action != REMOVAL:
        raise ConflictError(f"Action {progress.id} removes no tenant.")
    found = orjson.loads(progress.filter)
    return TenantId(found["tenant"]), found["name"]


def new_tenant(**fields: Any) -> Tenant:
    """A tenant that is not stored yet."""
    return Tenant(id=TenantId(0), **fields)
