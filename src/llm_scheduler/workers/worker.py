"""A worker: claims what may start, records START, runs attempts, stops in good order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.errors import SchedulerError, StoreUnavailableError
from llm_scheduler.domain.session import CLAIM_GRACE_S
from llm_scheduler.ports.broker import Release
from llm_scheduler.ports.money import HeldTask
from llm_scheduler.ports.store import StartedTask, StartOrder
from llm_scheduler.services.budgets import way_of
from llm_scheduler.services.running import Why
from llm_scheduler.workers.attempt import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_scheduler.domain.ids import ModelId, SessionId
    from llm_scheduler.ports.broker import Claim
    from llm_scheduler.workers.heartbeat import Heartbeat
    from llm_scheduler.workers.tools import Tools

_log = structlog.get_logger(__name__)
BATCH: Final = 32
"""Most claims of one round; their STARTs share a commit. With as many as there are slots all calls would start, end and
be recorded in one wave, and provider and record would wait for each other by turns: a third fewer calls in a second."""
IDLE_MS: Final = 1_000
_AFTER_FAULT_S: Final = 1.0


class Worker:
    """One per process. All models' pools are lanes of one claim loop; the broker keeps each within its limit."""

    def __init__(
        self, tools: Tools, heartbeat: Heartbeat, max_running: int, lanes: Callable[[], Sequence[ModelId]]
    ) -> None:
        self._tools, self._heartbeat, self._max_running = tools, heartbeat, max_running
        self._lanes = lanes
        self._attempts: set[asyncio.Task[None]] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._claiming = 0
        self._loop: asyncio.Task[None] | None = None
        self._is_stopping = False
        self.turned_at_s = 0.0

    def begin(self) -> None:
        """Start claiming."""
        self._loop = asyncio.create_task(self._claim_forever(), name="claim-loop")

    async def stop(self, grace_s: float) -> None:
        """Claim no more; wait for what runs; put the rest back with no retry burnt."""
        self._is_stopping = True
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        if self._starting:
            await asyncio.wait(self._starting)
        if self._attempts:
            _log.info("draining", running=len(self._attempts), grace_s=grace_s)
            await asyncio.wait(self._attempts, timeout=grace_s)
        self._tools.running.abort_all(Why.DRAIN)
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=10)

    async def _claim_forever(self) -> None:
        seen = 0
        while True:
            self.turned_at_s = self._tools.clock.monotonic_s()
            try:
                seen = await self._turn(seen)
            except Exception:  # noqa: BLE001 - the outermost place, logged
                # The outermost loop: whatever it was, the next turn may go well, and /readyz shows a loop that stands.
                _log.exception("claim_loop_failed")
                await asyncio.sleep(_AFTER_FAULT_S)

    async def _turn(self, seen: int) -> int:
        """Claim and launch once, then wait for a reason to claim again; what was seen of the broker."""
        tools = self._tools
        room = min(BATCH, self._max_running - len(self._attempts) - self._claiming)
        session_id = self._heartbeat.claimant
        wait_ms: int | None = None
        if room > 0 and session_id is not None:
            asked_s = tools.clock.monotonic_s()
            answer = await tools.broker.claim(session_id, self._lanes(), room)
            seen, wait_ms = answer.seen, answer.wait_ms
            if answer.claims:
                self._launch(session_id, answer.claims, asked_s)
                # Let this round's commit gather; whatever is released meanwhile is claimed together.
                await asyncio.sleep(0)
                if len(answer.claims) == room:
                    return seen
        return await tools.broker.wait(seen, IDLE_MS if wait_ms is None else min(wait_ms, IDLE_MS))

    def _launch(self, session_id: SessionId, claims: Sequence[Claim], asked_s: float) -> None:
        self._claiming += len(claims)
        starting = asyncio.create_task(self._start(session_id, claims, asked_s))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)

    async def _start(self, session_id: SessionId, claims: Sequence[Claim], asked_s: float) -> None:
        """Record START for all, then run those that won. Recorded before the call: record before spend."""
        tools = self._tools
        if tools.clock.monotonic_s() - asked_s > CLAIM_GRACE_S:
            # This process stood still meanwhile: the slots may have been given to others.
            self._claiming -= len(claims)
            await self._put_back(claims)
            return
        count = len(claims)
        try:
            claims = await self._of_known_ways(claims)
            if not claims:
                return
            tariffs = await tools.budgets.tariffs(claims)
            orders = [
                StartOrder(claim.task_id, claim.attempt, claim.endpoint, claim.lane, tariffs.get(way_of(claim)))
                for claim in claims
            ]
            won = await tools.store.start(session_id, orders)
        except StoreUnavailableError as error:
            _log.warning("start_not_recorded", claims=len(claims), error=str(error))
            await self._put_back(claims)
            return
        except Exception:  # noqa: BLE001 - the outermost place, logged
            _log.exception("start_broke", claims=len(claims))
            await self._put_back(claims)
            return
        finally:
            self._claiming -= count
        if not tools.is_current(session_id):
            # Fenced while START was on its way: the rows are rescued with the session, and nothing may run here.
            await tools.broker.release([Release(claim, 0) for claim in claims])
            tools.note_lost()
            return
        lost: list[Release] = []
        for claim, started in zip(claims, won, strict=True):
            if not isinstance(started, StartedTask):
                # Cancelled, taken or held meanwhile: the slot and its tokens were never used.
                lost.append(Release(claim, 0))
            elif not self._run(session_id, claim, started):
                lost.append(Release(claim, 0))
        if lost:
            await tools.broker.release(lost)
        tools.budgets.held([one for one in won if isinstance(one, HeldTask)])

    async def _of_known_ways(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """A lane or an endpoint that is not known here is one that another process has just added: learn of it.

        What is unknown even then (it is gone, or the record does not answer) gives its slot back unstarted.
        """
        tools = self._tools
        if all(self._is_known(claim) for claim in claims):
            return claims
        try:
            await tools.models.renew()
        except SchedulerError as error:
            _log.warning("models_not_loaded", error=str(error))
        unknown = [claim for claim in claims if not self._is_known(claim)]
        if unknown:
            _log.warning("claims_of_unknown_ways", claims=len(unknown))
            await tools.broker.release([Release(claim, 0) for claim in unknown])
            tools.note_lost()
        return [claim for claim in claims if self._is_known(claim)]

    def _is_known(self, claim: Claim) -> bool:
        model = self._tools.catalogue.by_id(claim.lane)
        if model is None:
            return False
        return claim.endpoint in [one.name for one in model.endpoints] if model.endpoints else claim.endpoint is None

    def _run(self, session_id: SessionId, claim: Claim, started: StartedTask) -> bool:
        model = self._tools.catalogue.by_id(started.model_id)
        if model is None:
            return False
        attempt = Attempt(self._tools, session_id, claim, started, model).begin()
        self._attempts.add(attempt)
        attempt.add_done_callback(self._ended)
        return True

    def _ended(self, attempt: asyncio.Task[None]) -> None:
        self._attempts.discard(attempt)
        if not attempt.cancelled() and attempt.exception() is not None:
            _log.error("attempt_broke", exc_info=attempt.exception())
            # Its row still says that it runs here, and nobody else may take it: look for it.
            self._tools.note_lost()

    async def _put_back(self, claims: Sequence[Claim]) -> None:
        """START is not known to be recorded: free the slots; the record says which tasks still wait."""
        tools = self._tools
        await asyncio.sleep(_AFTER_FAULT_S)
        await tools.broker.release([Release(claim, 0) for claim in claims])
        tools.note_lost()

    def overdue(self) -> int:
        """Abort calls that outlived their timeout because the provider did not keep it; how many."""
        now_s = self._tools.clock.monotonic_s()
        late = [call for call in self._tools.running if isinstance(call, Attempt) and call.overdue_at_s < now_s]
        for call in late:
            call.abort(Why.OVERDUE)
        return len(late)
