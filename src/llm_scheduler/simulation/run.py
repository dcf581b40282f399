"""The run loop: a load through a lane on a virtual clock.

Order and limits are nobody's but the server's own: the catalogue places each request with its strategy, the broker
decides what may start and when to ask again. This module only moves the time: to the next arrival, the next end of a
call, or the moment that the broker named.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import DEFAULT_TENANT, SessionId, TaskId, TenantId
from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.ports.broker import Release
from llm_scheduler.simulation.clock import VirtualClock
from llm_scheduler.simulation.dealing import weights_of
from llm_scheduler.simulation.expecting import Expecting
from llm_scheduler.simulation.setting import LANE, model_of, paces_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_scheduler.ports.broker import Broker, Claim, Entry, LaneDepth
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.simulation.load import Load, Request
    from llm_scheduler.simulation.setting import Setting

BATCH: Final = 256
"""Claims of one question, as many as a worker asks for."""
_SESSION: Final = SessionId(1)


class Scene(NamedTuple):
    """An empty index and the catalogue that places tasks for it, on a clock of their own."""

    broker: Broker
    catalogue: Catalogue


class Arrival(NamedTuple):
    """What can be known when a request comes: its place, and what stands before it."""

    number: int
    at_s: float
    entry: Entry
    depth: LaneDepth
    service_s: float
    """A call's mean, as far as it is known by then."""
    ages_s: tuple[float, ...]
    """How long each running call has run."""
    lately_s: tuple[float, ...]
    """How long the latest calls took that are over."""


class SceneFactory(Protocol):
    """Makes a scene; the composition root knows how."""

    def __call__(self, clock: Clock) -> Scene:
        """A new one."""
        ...


class Run(NamedTuple):
    """What became of a load under a setting. Instants by number of the request, in seconds of the load."""

    load: Load
    setting: Setting
    started_s: tuple[float, ...]
    order: tuple[int, ...]
    """Numbers of the requests, as they started."""
    reserved: tuple[int, ...]
    """Tokens that each was charged with when it started."""

    def wait_s(self, number: int) -> float:
        """From arrival to start."""
        return max(0.0, self.started_s[number] - self.load.requests[number].at_s)

    def ended_s(self, number: int) -> float:
        """When its call was over."""
        return self.started_s[number] + (self.load.requests[number].service_s or 0.0)


async def replay(
    load: Load, setting: Setting, scene_of: SceneFactory, watch: Callable[[Arrival], None] | None = None
) -> Run:
    """Run the load to its end. The same arguments give the same answer.

    `watch` is told of each request just before it is enqueued.

    Raises:
        InvalidInputError: no such strategy, or a setting under which something can never start.
    """
    return await _Replay(load, setting, scene_of, watch).run()


class _Replay:
    def __init__(
        self, load: Load, setting: Setting, scene_of: SceneFactory, watch: Callable[[Arrival], None] | None
    ) -> None:
        self._load, self._setting, self._watch = load, setting, watch
        self._clock = VirtualClock()
        self._broker, self._catalogue = scene_of(self._clock)
        self._catalogue.strategy_of(model_of(setting))  # an unknown one is an error, not the default
        self._expecting = Expecting(setting.estimate, load)
        self._tenants = _numbered(weights_of(load))
        self._running: list[tuple[int, int, Claim]] = []
        """When each ends (µs), its number, its claim: a heap."""
        self._started_us = [-1] * len(load.requests)
        self._reserved = [0] * len(load.requests)
        self._order: list[int] = []
        self._arrived = 0

    async def run(self) -> Run:
        await self._open()
        requests, total = self._load.requests, len(self._load.requests)
        ended = 0
        while ended < total:
            ended += await self._end()
            await self._arrive()
            wait_ms = await self._claim()
            upcoming = [] if wait_ms is None else [self._clock.us + wait_ms * 1000]
            if self._running:
                upcoming.append(self._running[0][0])
            if self._arrived < total:
                upcoming.append(_us(requests[self._arrived].at_s))
            if upcoming:
                self._clock.us = max(self._clock.us, min(upcoming))
            elif ended < total:
                raise InvalidInputError(
                    f"{total - ended} requests can never start under '{self._setting.name}': raise its limits."
                )
        started_s = tuple(us / 1_000_000 for us in self._started_us)
        return Run(self._load, self._setting, started_s, tuple(self._order), tuple(self._reserved))

    async def _open(self) -> None:
        model = model_of(self._setting)
        tenants = [Tenant(number, name, self._load.weights.get(name, 1.0)) for name, number in self._tenants.items()]
        self._catalogue.replace([model], tenants)
        self._catalogue.service_s = self._expecting.mean_service_s
        self._catalogue.output_tokens = self._expecting.mean_output
        await self._broker.set_rules([self._catalogue.rules(model)])
        paces = paces_of(self._setting)
        if paces:
            await self._broker.set_pace(LANE, None, paces)

    async def _end(self) -> int:
        """Release what is over by now; how many."""
        over: list[Release] = []
        while self._running and self._running[0][0] <= self._clock.us:
            _, number, claim = heappop(self._running)
            request = self._load.requests[number]
            over.append(Release(claim, request.tokens, is_success=True, used_output=request.output_tokens))
            self._expecting.learn(request, claim.tenant_id)
        if over:
            await self._broker.release(over)
        return len(over)

    async def _arrive(self) -> None:
        """Enqueue what has come by now."""
        requests = self._load.requests
        arrivals: list[WaitingTask] = []
        while self._arrived < len(requests) and _us(requests[self._arrived].at_s) <= self._clock.us:
            arrivals.append(self._waiting(self._arrived, requests[self._arrived]))
            self._arrived += 1
        if self._watch is not None:
            for one in arrivals:
                await self._watched(one, self._watch)
        elif arrivals:
            await self._broker.enqueue(await self._catalogue.placed(arrivals))

    async def _watched(self, task: WaitingTask, watch: Callable[[Arrival], None]) -> None:
        (entry,) = await self._catalogue.placed([task])
        (depth,) = await self._broker.depths()
        service_s = self._expecting.mean_service_s(entry.lane)
        ages_s = tuple((self._clock.us - self._started_us[number]) / 1_000_000 for _, number, _ in self._running)
        lately_s = tuple(self._expecting.lately_s)
        watch(Arrival(task.task_id - 1, self._clock.monotonic_s(), entry, depth, service_s, ages_s, lately_s))
        await self._broker.enqueue([entry])

    async def _claim(self) -> int | None:
        """Start all that may start now; when to ask again, None = after the next event."""
        while True:
            answer = await self._broker.claim(_SESSION, (LANE,), BATCH)
            for claim in answer.claims:
                number = claim.task_id - 1
                self._started_us[number] = self._clock.us
                self._reserved[number] = claim.tokens
                self._order.append(number)
                ends_us = self._clock.us + _us(self._load.requests[number].service_s or 0.0)
                heappush(self._running, (ends_us, number, claim))
            if len(answer.claims) < BATCH:
                return answer.wait_ms

    def _waiting(self, number: int, request: Request) -> WaitingTask:
        tenant_id = self._tenants[request.tenant]
        output = self._expecting.output_tokens(request, tenant_id)
        now = self._clock.now()
        deadline_at = None if request.deadline_s is None else type(now)(now + round(request.deadline_s * 1000))
        return WaitingTask(
            task_id=TaskId(number + 1),
            model_id=LANE,
            tenant_id=tenant_id,
            type=request.type,
            priority=request.priority,
            attempt=0,
            est_tokens=request.input_tokens + output,
            queued_at=now,
            deadline_at=deadline_at,
            est_output=output,
        )


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _numbered(names: Mapping[str, float]) -> dict[str, TenantId]:
    """A tenant id for each name, in the order of names: the same load is numbered alike whatever its order."""
    return {name: TenantId(DEFAULT_TENANT + number) for number, name in enumerate(sorted(names))}
