"""One attempt: from a recorded START to a recorded end and a released slot."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import orjson
import structlog

from llm_scheduler.domain.errors import InvalidInputError, SchedulerError, StoreUnavailableError, UnsealError
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import AttemptOutcome
from llm_scheduler.ports.answers import Followers
from llm_scheduler.ports.broker import Release
from llm_scheduler.ports.feed import TaskChanged, TaskDelta
from llm_scheduler.ports.provider import Call, Fault, ProviderError
from llm_scheduler.services import outcomes
from llm_scheduler.services.costs import Fate, fate_of_answer, fate_of_error, priced
from llm_scheduler.services.following import Following
from llm_scheduler.services.running import Why

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import SessionId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.outcome import Ended
    from llm_scheduler.ports.broker import Claim
    from llm_scheduler.ports.provider import Answer
    from llm_scheduler.ports.store import Recorded, StartedTask
    from llm_scheduler.workers.tools import Tools

_log = structlog.get_logger(__name__)
NOBODY: Final = Followers()
_OVERDUE_AFTER_S: Final = 5.0
_PAST_DEADLINE_S: Final = 0.005
"""A call is given this much more than its deadline, so that its end is seen to lie past it."""
_RECORD_AGAIN_S: Final = (0.1, 0.3, 1.0, 2.0)
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0


class Attempt:
    """Runs once. `abort` closes the call at once; what follows depends on why."""

    __slots__ = (
        "_claim",
        "_fate",
        "_is_calling",
        "_model",
        "_session_id",
        "_started",
        "_task",
        "_tools",
        "_why",
        "overdue_at_s",
    )

    def __init__(self, tools: Tools, session_id: SessionId, claim: Claim, started: StartedTask, model: Model) -> None:
        self._tools, self._session_id = tools, session_id
        self._claim, self._started, self._model = claim, started, model
        self._task: asyncio.Task[None] | None = None
        self._is_calling = False
        self._why: Why | None = None
        self._fate = Fate()
        self.overdue_at_s = float("inf")

    @property
    def attempt(self) -> int:
        """The number of this start."""
        return self._started.attempt

    def begin(self) -> asyncio.Task[None]:
        """Start running in the background."""
        self._task = asyncio.create_task(self._run())
        return self._task

    def abort(self, why: Why) -> None:
        """Stop the call; after it has ended, nothing is left to abort."""
        if self._why is None:
            self._why = why
            if self._is_calling and self._task is not None:
                self._task.cancel()

    async def _run(self) -> None:
        tools, started = self._tools, self._started
        tools.running.add(started.task_id, self)
        began_s = tools.clock.monotonic_s()
        tools.meter.started(self._model.name, max(0, started.started_at - started.queued_at) / 1000)
        if tools.feed.is_watched:
            self._tell(Status.RUNNING)
        ended: Ended | None = None
        recorded: Recorded | None = None
        seconds = 0.0
        try:
            ended = await self._ended()
            if ended is not None:
                ended = await priced(ended, self._fate, self._started, self._model, tools.prices)
            seconds = tools.clock.monotonic_s() - began_s
            if ended is not None:
                recorded = await self._record(ended)
        finally:
            # Until the end is on record the call counts as open: it may be held for a record that is away.
            tools.running.remove(started.task_id, self)
            await self._release(ended, recorded)
        if ended is not None:
            self._count(ended, recorded, seconds)
        if recorded is not None and recorded.followers != NOBODY:
            await self._settle(recorded.followers)

    async def _settle(self, followers: Followers) -> None:
        """Followers have their answer, or lead: on record already, so nothing is lost if this fails."""
        tools = self._tools
        try:
            await Following(tools.store, tools.broker, tools.catalogue, tools.feed, tools.clock).settle(followers)
        except SchedulerError as error:
            _log.warning("followers_not_told", task_id=self._started.task_id, error=str(error))
            tools.note_lost()

    async def _ended(self) -> Ended | None:
        """Call the provider and say what its end means; None when this session is fenced."""
        started, clock = self._started, self._tools.clock
        try:
            answer = await self._call()
        except ProviderError as error:
            self._fate = fate_of_error(error, was_called=self._fate.was_called)
            if error.fault is Fault.LIMIT:
                await self._throttle(error)
            return outcomes.failed(started, self._session_id, clock.now(), error, self._model, self._tools.rng)
        except asyncio.CancelledError:
            return self._after_abort()
        except Exception:  # noqa: BLE001 - the outermost place, logged
            _log.exception("call_broke", task_id=started.task_id, model=self._model.name)
            return outcomes.broken(started, self._session_id, clock.now(), self._model, self._tools.rng)
        self._fate = fate_of_answer(answer)
        self._tools.pauses.pop(self._model.id, None)
        try:
            digest = self._tools.catalogue.digest(self._model)
            return outcomes.completed(started, self._session_id, clock.now(), answer, digest)
        except TypeError as error:  # orjson's, for what cannot be written: nested too deeply, not text
            refused = outcomes.unstorable(started, self._session_id, clock.now(), str(error), self._model)
            return replace(refused, usage=answer.usage)

    async def _call(self) -> Answer:
        tools, started = self._tools, self._started
        timeout_s = started.timeout_s or tools.models.timeout_s(self._model)
        if started.deadline_at is not None:
            left_s = (started.deadline_at - tools.clock.now()) / 1000
            timeout_s = max(0.001, min(timeout_s, left_s + _PAST_DEADLINE_S))
        self.overdue_at_s = tools.clock.monotonic_s() + timeout_s + _OVERDUE_AFTER_S
        try:
            provider = tools.models.provider(self._model)
        except (UnsealError, InvalidInputError) as error:
            raise ProviderError("bad_model_config", str(error), is_retryable=False, fault=Fault.SETUP) from error
        call = Call(started.task_id, started.attempt, started.type, orjson.loads(started.input), timeout_s)
        if self._why is not None:
            raise asyncio.CancelledError
        if started.denied_by is not None:
            raise outcomes.price_unknown(self._model, started.denied_by)
        self._is_calling, self._fate = True, Fate(was_called=True)
        try:
            return await provider.call(call, self._delta)
        finally:
            self._is_calling = False

    def _delta(self, text: str) -> None:
        if self._tools.feed.has_watchers(self._started.task_id):
            self._tools.feed.publish(
                TaskDelta(self._started.task_id, self._started.tenant_id, self._started.attempt, text)
            )

    def _after_abort(self) -> Ended | None:
        if self._why is None:
            raise asyncio.CancelledError
        if self._task is not None:
            self._task.uncancel()
        if self._why is Why.FENCED:
            return None
        now = self._tools.clock.now()
        if self._why is Why.OVERDUE:
            error = ProviderError("timeout", "The call did not end in time.", is_retryable=True, fault=Fault.PROVIDER)
            return outcomes.failed(self._started, self._session_id, now, error, self._model, self._tools.rng)
        return outcomes.aborted(self._started, self._session_id, now, self._why)

    async def _throttle(self, error: ProviderError) -> None:
        pauses = self._tools.pauses
        grown_s = min(_LONGEST_PAUSE_S, pauses.get(self._model.id, _FIRST_PAUSE_S / 2) * 2)
        pause_s = error.retry_after_s if error.retry_after_s is not None else grown_s
        pauses[self._model.id] = grown_s
        await self._tools.broker.throttle(self._model.id, max(1, round(pause_s * 1000)))

    async def _record(self, ended: Ended) -> Recorded | None:
        """Write the end; hold on to it while the record is away.

        An answer is paid for: it is held for as long as this process lives, since the record takes it also
        from a session that was buried (salvage). Any other end is only its session's to tell: None when
        that was fenced meanwhile. What is held takes a place of `max_running`, so it is bounded.
        """
        waits = iter(_RECORD_AGAIN_S)
        is_held = False
        try:
            while ended.outcome is AttemptOutcome.COMPLETED or self._tools.is_current(self._session_id):
                try:
                    return await self._tools.store.record(ended)
                except StoreUnavailableError as error:
                    if not is_held:
                        is_held = True
                        self._tools.meter.held(1)
                        _log.warning("end_held", task_id=ended.task_id, error=str(error))
                    await asyncio.sleep(next(waits, _RECORD_AGAIN_S[-1]))
                except Exception as error:  # noqa: BLE001 - the outermost place, logged
                    if ended.output is None:
                        _log.exception("end_refused", task_id=ended.task_id)
                        return None
                    reason = str(error) if isinstance(error, InvalidInputError) else type(error).__name__
                    _log.warning("answer_not_recordable", task_id=ended.task_id, error=reason)
                    refused = outcomes.unstorable(
                        self._started, self._session_id, self._tools.clock.now(), reason, self._model
                    )
                    ended = replace(
                        refused,
                        usage=ended.usage,
                        cost_microusd=ended.cost_microusd,
                        is_reserved=ended.is_reserved,
                        charge_microusd=ended.charge_microusd,
                    )
        finally:
            if is_held:
                self._tools.meter.held(-1)
        _log.error("end_not_recorded", task_id=ended.task_id, outcome=ended.outcome.value, reason="fenced")
        return None

    async def _release(self, ended: Ended | None, recorded: Recorded | None) -> None:
        if ended is None:
            # Fenced (or broken beyond words): others own the task now; only the slot is ours to give back.
            await self._tools.broker.release([Release(self._claim)])
            return
        used = ended.usage.total_tokens or None
        if ended.outcome is AttemptOutcome.RATE_LIMITED:
            used = 0
        back = None
        if recorded is not None and recorded.is_accepted and recorded.status is Status.QUEUED:
            back = self._tools.catalogue.entry(self._tools.waiting_again(self._started))
        is_success = ended.outcome is AttemptOutcome.COMPLETED
        await self._tools.broker.release([Release(self._claim, used, back, is_success)])
        if ended.status is Status.SCHEDULED and recorded is not None and ended.eligible_at is not None:
            self._tools.note_due(ended.eligible_at)

    def _count(self, ended: Ended, recorded: Recorded | None, seconds: float) -> None:
        meter, name = self._tools.meter, self._model.name
        meter.attempt_ended(name, ended.outcome, seconds)
        meter.spent(name, ended.usage, ended.cost_microusd)
        if recorded is not None:
            self._tools.budgets.tell(recorded.told)
        if recorded is None or not recorded.is_accepted:
            return
        if recorded.status is Status.COMPLETED or recorded.status is Status.FAILED:
            meter.task_ended(name, recorded.status is Status.COMPLETED)
        if self._tools.feed.is_watched:
            self._tell(recorded.status)

    def _tell(self, status: Status) -> None:
        started = self._started
        self._tools.feed.publish(
            TaskChanged(
                started.task_id,
                started.tenant_id,
                started.model_id,
                status,
                started.attempt,
                self._tools.clock.now(),
            )
        )
