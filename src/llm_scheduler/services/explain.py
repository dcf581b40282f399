"""Why a task waits, what ends that, and when it will start, as a range."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.model import ModelStatus
from llm_scheduler.domain.money import no_room
from llm_scheduler.domain.placement import ShareRule
from llm_scheduler.domain.status import TERMINAL, Status
from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.domain.tenant import TenantState
from llm_scheduler.domain.waiting import WaitReason
from llm_scheduler.scheduling.eta import Ahead, Wait, expected_wait, first_end_ms
from llm_scheduler.services.call_times import CallTimes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.task import Task
    from llm_scheduler.domain.tenant import Tenant
    from llm_scheduler.ports.broker import Broker, Hold, LaneDepth, LaneState
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.catalogue import Catalogue

Fact: TypeAlias = "str | int | bool"
MOST_POSITIONS: Final = 1000
"""A place further back is not told exactly."""


class Reason(NamedTuple):
    """One thing that a task waits for.

    `until` None: only an event ends it. `facts`: what `detail` names, for those who word it in another language.
    """

    code: WaitReason
    detail: str
    until: Millis | None = None
    endpoint: str | None = None
    facts: Mapping[str, Fact] = MappingProxyType({})


class Explanation(NamedTuple):
    """What a task waits for, the weightiest first. `ahead` None: not known, or more than 1 000 in its band."""

    task: Task
    strategy: str
    ahead: int | None
    ahead_in_earlier_bands: int | None
    reasons: tuple[Reason, ...]
    earliest_at: Millis | None
    likely_at: Millis | None
    latest_at: Millis | None


class Explaining:
    """Reads record and index; decides nothing.

    `higher_load(lane, band)` is the share of the lane that arrivals in earlier bands take; `service_s(lane)` what one
    call takes, 0 = not known.
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        catalogue: Catalogue,
        clock: Clock,
        higher_load: Callable[[ModelId, int], float],
        service_s: Callable[[ModelId], float],
    ) -> None:
        self._store, self._broker, self._catalogue, self._clock = store, broker, catalogue, clock
        self._higher_load, self._service_s = higher_load, service_s
        self._times = CallTimes(store, clock)

    async def explain(self, task: Task) -> Explanation:
        """Why this task is not over yet."""
        model = self._catalogue.by_id(task.model_id)
        strategy = self._catalogue.placing(task.model_id)
        nothing = Explanation(task, strategy.name, None, None, (), None, None, None)
        if task.status in TERMINAL or task.status is Status.RUNNING or model is None:
            return nothing
        own = _own_reason(task)
        if task.status is Status.HELD:
            return nothing._replace(reasons=(await self._held_for(task),))
        if task.status is Status.BLOCKED:
            return nothing._replace(reasons=own)
        try:
            return await self._queued(task, model, own, nothing)
        except BrokerUnavailableError:
            away = Reason(
                WaitReason.INDEX_AWAY, "The index does not answer; nothing starts until it is back. Nothing is lost."
            )
            return nothing._replace(reasons=(*own, away))

    async def _held_for(self, task: Task) -> Reason:
        """By the budgets as they are now: since it was held there may have been a top-up, or other prices."""
        needs = await self._store.needs(task.id)
        if not needs:
            said = "What it may cost is reckoned anew; within seconds it goes on, or is held again."
            return Reason(WaitReason.BUDGET, said, facts={"is_reckoned_anew": True})
        now = self._clock.now()
        budgets = [one for one in await self._store.budgets() if one.id in needs]
        lacking = [one.name for one in budgets if one.room_at(now) < needs[one.id]]
        if not lacking:
            said = "There is room for it in its budgets by now; within seconds it goes on, unless older ones take it."
            return Reason(WaitReason.BUDGET, said, facts={"has_room": True})
        most = max(needs.values())
        facts = {"cost_microusd": most, "budgets": ", ".join(lacking)}
        return Reason(WaitReason.BUDGET, no_room(most, lacking), facts=facts)

    async def expected(self, model: Model, band_task: WaitingTask) -> Wait:
        """What a task submitted now would have to wait, as far as is known."""
        if not self._has_pace(model):
            return Wait(0.0, 0.0, 0.0)
        entry = self._catalogue.entry(band_task)
        depth = await self._depth(model.id)
        state = await self._broker.state(model.id)
        band = entry.placement.band
        return self._wait(model, band, await self._ahead(model, band, depth, 1.0, state), 0.0)

    async def _queued(self, task: Task, model: Model, own: tuple[Reason, ...], blank: Explanation) -> Explanation:
        band = self._catalogue.entry(_waiting(task)).placement.band
        state, depth = await self._broker.state(model.id), await self._depth(model.id)
        now = self._clock.now()
        is_queued = task.status is Status.QUEUED
        ahead = await self._broker.position(model.id, task.id) if is_queued else None
        earlier = 0 if depth is None else sum(count for other, count in depth.by_band if other < band)
        reasons = [*own, *self._state_reasons(model, state, now)]
        reasons += await self._people_reasons(task, model, blank.strategy, ahead, earlier)
        if is_queued and await self._is_unserved():
            reasons.insert(0, Reason(WaitReason.NO_WORKER, "No worker is alive; start one with `llms worker`."))
        starts_at = now if is_queued else max(now, task.eligible_at)
        in_band = 0 if depth is None else dict(depth.by_band).get(band, 0)
        part = 1.0 if ahead is None or not in_band else min(1.0, ahead / in_band)
        waited_s = max(0, now - task.queued_at) / 1000 if is_queued and task.queued_at is not None else 0.0
        wait = self._wait(model, band, await self._ahead(model, band, depth, part, state), waited_s)
        is_closed = bool(state.gates) and all(
            any(one.reason == "drained" for one in gate.holds) for gate in state.gates
        )
        said = {one.code for one in reasons}
        must_wait = bool(ahead or earlier) or WaitReason.CONCURRENCY in said
        is_open_ended = (
            model.status is not ModelStatus.ACTIVE
            or is_closed
            or WaitReason.TENANT_SUSPENDED in said
            or WaitReason.NO_WORKER in said
            or (must_wait and not self._has_pace(model))
        )
        times = (None, None, None) if is_open_ended else tuple(Millis(starts_at + round(s * 1000)) for s in wait)
        return Explanation(task, blank.strategy, ahead, earlier if is_queued else None, tuple(reasons), *times)

    def _has_pace(self, model: Model) -> bool:
        """Whether it is known how fast the lane goes: by a limit, or by calls that were seen."""
        options = model.options
        ways = [model, options, *model.endpoints]
        limits = [getattr(way, name, None) for way in ways for name in ("rpm", "tpm", "input_tpm", "output_tpm")]
        return self._service_s(model.id) > 0 or any(limit is not None for limit in limits)

    async def _depth(self, lane: ModelId) -> LaneDepth | None:
        return next((one for one in await self._broker.depths() if one.lane == lane), None)

    async def _running_ms(self, model: Model, state: LaneState) -> float:
        """By how much the running calls keep the lane longer than in the mean, where they are what holds it."""
        if not _lacks_slots(state):
            return 0.0
        durations = await self._times.of(model.id)
        slots = await self._broker.slots(model.id)
        now = self._clock.now()
        surplus_s = durations.surplus_s([max(0, now - one.claimed_at) / 1000 for one in slots])
        return surplus_s * 1000 / max(1, len(slots))

    async def _ahead(self, model: Model, band: int, depth: LaneDepth | None, part: float, state: LaneState) -> Ahead:
        """`part` of what waits in the band stands before it."""
        costs = {} if depth is None else dict(depth.cost_by_band)
        band_ms = costs.get(band, 0.0) * part
        earlier_ms = sum(cost for other, cost in costs.items() if other < band)
        own_ms = band_ms if self._catalogue.placing(model.id).share_rule is ShareRule.HEAD_ORDER else 0.0
        return Ahead(
            earlier_ms, band_ms, own_ms, self._next_ms(model, depth, state), await self._running_ms(model, state)
        )

    def _wait(self, model: Model, band: int, ahead: Ahead, waited_s: float) -> Wait:
        rule = self._catalogue.placing(model.id).share_rule
        return expected_wait(ahead, self._higher_load(model.id, band), rule, model.starve_after_s, waited_s)

    def _next_ms(self, model: Model, depth: LaneDepth | None, state: LaneState) -> float:
        """Until anything of the lane may start."""
        holds = [*state.holds, *_gate_holds(state)]
        waits = [float(one.wait_ms) for one in holds if one.wait_ms is not None]
        if _lacks_slots(state) and depth is not None:
            waits.append(first_end_ms(self._service_s(model.id), depth.running))
        return max(waits, default=0.0)

    def _state_reasons(self, model: Model, state: LaneState, now: Millis) -> list[Reason]:
        return [
            Reason(
                WaitReason(one.reason),
                _said(one, model),
                None if one.wait_ms is None else Millis(now + one.wait_ms),
                one.endpoint,
            )
            for one in (*state.holds, *_gate_holds(state))
        ]

    async def _people_reasons(
        self, task: Task, model: Model, strategy: str, ahead: int | None, earlier: int
    ) -> list[Reason]:
        """What other tasks and the tenant's own bound have to do with it."""
        found: list[Reason] = []
        tenant = next((one for one in self._catalogue.tenants() if one.id == task.tenant_id), None)
        if tenant is not None and tenant.state is TenantState.SUSPENDED:
            said = "Tenant suspended: nothing of it starts until an administrator resumes it."
            found.append(Reason(WaitReason.TENANT_SUSPENDED, said))
        most = None if tenant is None else _most_running(tenant, model.name)
        if most is not None:
            running = sum(one.tenant_id == task.tenant_id for one in await self._broker.slots(model.id))
            if running >= most:
                said = f"The tenant runs {running} of at most {most} calls of this model."
                found.append(Reason(WaitReason.TENANT_LIMIT, said, facts={"running": running, "most": most}))
        if earlier:
            said = f"{earlier} {_tasks(earlier)} of higher priority before it."
            found.append(Reason(WaitReason.PRIORITY, said, facts={"tasks": earlier}))
        if ahead:
            if self._catalogue.placing(model.id).share_rule is ShareRule.VIRTUAL_TIME:
                said = (
                    f"{ahead} older {_tasks(ahead)} of its class before it; tenants take turns by weight ({strategy})."
                )
                found.append(Reason(WaitReason.TENANT_SHARE, said, facts={"tasks": ahead, "strategy": strategy}))
            else:
                said = f"{ahead} {_tasks(ahead)} of its class before it ({strategy})."
                found.append(Reason(WaitReason.ORDER, said, facts={"tasks": ahead, "strategy": strategy}))
        elif ahead is None and task.status is Status.QUEUED:
            said = f"More than {MOST_POSITIONS} tasks come before it ({strategy})."
            facts = {"more_than": MOST_POSITIONS, "strategy": strategy}
            found.append(Reason(WaitReason.ORDER, said, facts=facts))
        return found

    async def _is_unserved(self) -> bool:
        return all(session.role == "api" for session in await self._store.sessions())


def _most_running(tenant: Tenant, model: str) -> int | None:
    given = [most for most in (tenant.max_workers, tenant.quotas.model_workers.get(model)) if most is not None]
    return min(given, default=None)


def _waiting(task: Task) -> WaitingTask:
    return WaitingTask(
        task.id,
        task.model_id,
        task.tenant_id,
        task.type,
        task.priority,
        task.attempt,
        task.est_tokens,
        task.queued_at or task.eligible_at,
        task.deadline_at,
        task.est_output,
    )


def _own_reason(task: Task) -> tuple[Reason, ...]:
    """What the task's own status says."""
    if task.status is Status.BLOCKED:
        leader = None if task.cache is None else task.cache.leader_id
        said = f"It waits for the answer of task {leader}, which asks the same."
        return (Reason(WaitReason.DEPENDENCY, said, facts={} if leader is None else {"task": leader}),)
    if task.status is not Status.SCHEDULED:
        return ()
    if task.failures:
        said = f"Attempt {task.attempt} failed; it is tried again then."
        return (Reason(WaitReason.RETRY, said, task.eligible_at, facts={"attempt": task.attempt}),)
    return (Reason(WaitReason.RUN_AT, "It is not to run before then.", task.eligible_at),)


def _gate_holds(state: LaneState) -> tuple[Hold, ...]:
    """Holds of the gates, if there is none that is open."""
    if any(not gate.holds for gate in state.gates):
        return ()
    return tuple(hold for gate in state.gates for hold in gate.holds)


def _lacks_slots(state: LaneState) -> bool:
    return any(one.reason == "concurrency" for one in (*state.holds, *_gate_holds(state)))


def _said(hold: Hold, model: Model) -> str:
    where = f"endpoint {hold.endpoint}" if hold.endpoint is not None else f"model {model.name}"
    match hold.reason:
        case "paused":
            return f"The {where} is paused; `llms models resume {model.name}` starts it again."
        case "concurrency":
            return f"The {where} runs as many calls as it may."
        case "throttled":
            way = model.name if hold.endpoint is None else f"{model.name} {hold.endpoint}"
            resume = "models resume" if hold.endpoint is None else "models endpoints resume"
            return f"The {where} was refused for its limit and pauses; `llms {resume} {way}` ends it now."
        case "circuit":
            return f"Too many calls of the {where} failed; a probe decides."
        case "drained":
            return f"The {where} is drained; `llms models endpoints resume {model.name} {hold.endpoint}` opens it."
        case unit:
            return f"The {where} has used what its limit allows of {unit.replace('_', ' ')} for now."


def _tasks(count: int) -> str:
    return "task" if count == 1 else "tasks"
