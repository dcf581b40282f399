"""What waits for a model that is down moves on to its fallback models: a sweep of the leader's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.model import ModelStatus
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.diverting import Diversion
from llm_scheduler.ports.feed import TaskChanged
from llm_scheduler.services.fallback import CIRCUIT_OPEN, UNHEALTHY, onward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import Millis, ModelId, TaskId, TenantId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.broker import Broker, LaneState
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.diverting import Divertible
    from llm_scheduler.ports.feed import Feed
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.catalogue import Catalogue

_log = structlog.get_logger(__name__)
DOWN_FOR_S: Final = 10.0
"""A circuit that closes again within this time moves nobody."""
PAGE: Final = 500
MOST_PAGES: Final = 4
"""Of one tenant's queue of one model, at each look; the next look goes on."""
EVERY_S: Final = 2.0


class Diverting:
    """Remembers since when circuits are open, and how far each long queue was looked through."""

    def __init__(self, store: Store, broker: Broker, catalogue: Catalogue, feed: Feed, clock: Clock) -> None:
        self._store, self._broker, self._catalogue = store, broker, catalogue
        self._feed, self._clock = feed, clock
        self._down_since_s: dict[ModelId, float] = {}
        self._walked_to: dict[tuple[ModelId, TenantId], tuple[Millis, TaskId]] = {}

    async def step(self) -> int:
        """Move what waits for models that are down; how many tasks."""
        total = 0
        for model in self._catalogue.models():
            reason = await self._reason(model)
            if reason is None:
                continue
            for tenant in self._catalogue.tenants():
                total += await self._divert(model, tenant.id, reason)
        return total

    async def _reason(self, model: Model) -> str | None:
        """Why tasks are to leave the model, if they are."""
        if not self._broker.waiting(model.id):
            self._down_since_s.pop(model.id, None)
            return None
        if model.status is ModelStatus.UNHEALTHY:
            return UNHEALTHY
        now_s = self._clock.monotonic_s()
        if not is_down(await self._broker.state(model.id)):
            self._down_since_s.pop(model.id, None)
            return None
        return CIRCUIT_OPEN if now_s - self._down_since_s.setdefault(model.id, now_s) >= DOWN_FOR_S else None

    async def _divert(self, model: Model, tenant_id: TenantId, reason: str) -> int:
        place = (model.id, tenant_id)
        total = 0
        for _ in range(MOST_PAGES):
            page = await self._store.divertible(model.id, tenant_id, self._walked_to.pop(place, None), PAGE)
            found = [self._diversion(model, task, reason) for task in page]
            total += await self._move(model, [one for one in found if one is not None])
            if len(page) < PAGE:
                break
            self._walked_to[place] = (page[-1].created_at, page[-1].task_id)
        if total:
            _log.warning("tasks_diverted", model=model.name, reason=reason, tasks=total)
        return total

    def _diversion(self, model: Model, task: Divertible, reason: str) -> Diversion | None:
        found = onward(self._catalogue, task, reason)
        if found is None:
            return None
        why = "it is out of order" if reason == UNHEALTHY else "too many of its calls failed"
        return Diversion(
            task, found.model.id, found.options, f"moved from '{model.name}' to '{found.model.name}': {why}"
        )

    async def _move(self, model: Model, diversions: Sequence[Diversion]) -> int:
        if not diversions:
            return 0
        queued = await self._store.divert(diversions)
        wanted = {one.task.task_id for one in diversions}
        moved = [task for task in queued if task.task_id in wanted]
        await self._broker.remove(model.id, [task.task_id for task in moved])
        await self._broker.enqueue(self._catalogue.entries(queued))
        self._tell(queued)
        return len(moved)

    def _tell(self, tasks: Sequence[WaitingTask]) -> None:
        if not self._feed.is_watched:
            return
        now = self._clock.now()
        for task in tasks:
            self._feed.publish(
                TaskChanged(task.task_id, task.tenant_id, task.model_id, Status.QUEUED, task.attempt, now)
            )


def is_down(state: LaneState) -> bool:
    """Whether every way to the model has an open circuit; drained ones do not count, but one must be left."""
    held = [{hold.reason for hold in gate.holds} for gate in state.gates]
    in_use = [reasons for reasons in held if "drained" not in reasons]
    return bool(in_use) and all("circuit" in reasons for reasons in in_use)
