"""One attempt: from a recorded START to a recorded end and a released slot."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import orjson
import structlog

from llm_scheduler.domain.errors import (
    EndpointNotFoundError,
    InvalidInputError,
    SchedulerError,
    StoreUnavailableError,
    UnsealError,
)
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import AttemptOutcome
from llm_scheduler.ports.answers import Followers
from llm_scheduler.ports.broker import Release
from llm_scheduler.ports.feed import TaskChanged, TaskDelta
from llm_scheduler.ports.provider import Call, Fault, ProviderError
from llm_scheduler.services import outcomes
from llm_scheduler.services.costs import Fate, fate_of_answer, fate_of_error, priced
from llm_scheduler.services.effective import as_called
from llm_scheduler.services.estimate import sized
from llm_scheduler.services.fallback import moved_on
from llm_scheduler.services.following import Following
from llm_scheduler.services.running import Why
from llm_scheduler.workers.refusing import OUT_FOR_S
from llm_scheduler.workers.sampling import Timed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.ids import ModelId, SessionId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.outcome import Ended
    from llm_scheduler.ports.broker import Claim
    from llm_scheduler.ports.provider import Answer
    from llm_scheduler.ports.store import Recorded, StartedTask
    from llm_scheduler.ports.task_type import TaskType
    from llm_scheduler.services.estimate import RequestSize
    from llm_scheduler.workers.tools import Tools

_log = structlog.get_logger(__name__)
NOBODY: Final = Followers()
_OVERDUE_AFTER_S: Final = 5.0
_PAST_DEADLINE_S: Final = 0.005
"""A call is given this much more than its deadline, so that its end is seen to lie past it."""
_RECORD_AGAIN_S: Final = (0.1, 0.3, 1.0, 2.0)
AT_THE_LIMIT: Final = frozenset({Fault.LIMIT, Fault.QUOTA})
"""Faults that put the task back in its place and pause the gate."""


class Attempt:
    """Runs once. `abort` closes the call at once; what follows depends on why."""

    __slots__ = (
        "_claim",
        "_fate",
        "_is_calling",
        "_is_theirs",
        "_model",
        "_said",
        "_session_id",
        "_size",
        "_started",
        "_task",
        "_tools",
        "_unheard",
        "_way",
        "_why",
        "overdue_at_s",
    )

    def __init__(self, tools: Tools, session_id: SessionId, claim: Claim, started: StartedTask, model: Model) -> None:
        self._tools, self._session_id = tools, session_id
        self._claim, self._started, self._model = claim, started, model
        self._task: asyncio.Task[None] | None = None
        self._way = (model.id, claim.endpoint)
        self._is_calling = False
        self._is_theirs = False
        self._why: Why | None = None
        self._size: RequestSize | None = None
        self._fate = Fate()
        self._said = 0
        self._unheard: list[str] = []
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
                ended = outcomes.discreet(ended, drops_payload=started.options.drops_payload, redact=tools.redact)
                ended = await priced(
                    ended, self._fate, started, as_called(self._model, self._claim.endpoint), tools.prices
                )
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
        started, clock, pacer = self._started, self._tools.clock, self._tools.pacer
        timed = Timed(self._tools, self._model, self._claim.endpoint)
        sent_at_s = pacer.started(self._claim)
        try:
            answer = await self._call()
        except ProviderError as error:
            self._fate = fate_of_error(error, was_called=self._fate.was_called)
            return await self._after_error(error, sent_at_s, timed)
        except EndpointNotFoundError as error:
            gone = ProviderError("endpoint_gone", str(error), is_retryable=True, fault=Fault.SETUP)
            return outcomes.passed_on(started, self._session_id, clock.now(), gone)
        except asyncio.CancelledError:
            return self._after_abort()
        except Exception:  # noqa: BLE001 - the outermost place, logged
            _log.exception("call_broke", task_id=started.task_id, model=self._model.name)
            broken = outcomes.broken(started, self._session_id, clock.now(), self._model, self._tools.rng)
            return self._tried_again_or_moved(broken)
        self._fate = fate_of_answer(answer)
        await self._learn_of(answer, sent_at_s, timed)
        try:
            digest = self._tools.catalogue.digest(self._model)
            return outcomes.completed(started, self._session_id, clock.now(), answer, digest)
        except TypeError as error:  # orjson's, for what cannot be written: nested too deeply, not text
            refused = outcomes.unstorable(started, self._session_id, clock.now(), str(error), self._model)
            return replace(refused, usage=answer.usage)

    async def _learn_of(self, answer: Answer, sent_at_s: float, timed: Timed) -> None:
        """What an answer teaches about who gave it. It is paid for by now: nothing here may cost it."""
        try:
            await self._tools.pacer.answered(self._model, self._claim, answer.allowance, sent_at_s)
            self._tools.refusing.forget(self._way)
            timed.answered(answer)
        except Exception:  # noqa: BLE001 - logged; the answer goes on to the record
            _log.exception("answer_taught_nothing", task_id=self._started.task_id, model=self._model.name)

    async def _after_error(self, error: ProviderError, sent_at_s: float, timed: Timed) -> Ended:
        tools, started, now = self._tools, self._started, self._tools.clock.now()
        is_roomless = await timed.refused(error)
        if error.fault in AT_THE_LIMIT and not is_roomless:
            await tools.pacer.refused(self._model, self._claim, error, sent_at_s)
        else:
            await tools.pacer.heard(self._model, self._claim, error.allowance, sent_at_s)
        self._is_theirs = error.fault in (Fault.PROVIDER, Fault.SETUP)
        if error.fault is Fault.SETUP and self._claim.endpoint is not None:
            tools.refusing.note(self._way, tools.clock.monotonic_s())
            if tools.refusing.has_others(self._model, tools.clock.monotonic_s()):
                return await self._pass_on(error)
        ended = outcomes.failed(started, self._session_id, now, error, self._model, tools.rng)
        return self._tried_again_or_moved(ended)

    async def _pass_on(self, error: ProviderError) -> Ended:
        """What an operator must mend of one endpoint is no failure of the task while others may take it."""
        tools, endpoint = self._tools, self._claim.endpoint
        _log.error("endpoint_refuses", model=self._model.name, endpoint=endpoint, code=error.code, out_for_s=OUT_FOR_S)
        await tools.broker.throttle(self._claim.lane, int(OUT_FOR_S * 1000), endpoint)
        note = f"endpoint '{endpoint}' refuses calls and rests for {OUT_FOR_S:.0f} s"
        return outcomes.passed_on(self._started, self._session_id, tools.clock.now(), error, note)

    def _tried_again_or_moved(self, ended: Ended) -> Ended:
        """An unhappy end within the model's retry budget, and on to a fallback model where it would be the last."""
        tools = self._tools
        if ended.counts_retry:
            budget = tools.retries[self._model.id]
            is_allowed = budget.takes(tools.clock.monotonic_s(), self._model.options.retry_share)
            tools.meter.retried(self._model.name, "allowed" if is_allowed else "put_off")
            if not is_allowed:
                ended = outcomes.put_off(ended, self._started, self._model)
        return moved_on(tools.catalogue, self._started, ended)

    async def _call(self) -> Answer:
        tools, started, endpoint = self._tools, self._started, self._claim.endpoint
        timeout_s = started.timeout_s or tools.models.timeout_s(self._model, endpoint)
        if started.deadline_at is not None:
            left_s = (started.deadline_at - tools.clock.now()) / 1000
            timeout_s = max(0.001, min(timeout_s, left_s + _PAST_DEADLINE_S))
        self.overdue_at_s = tools.clock.monotonic_s() + timeout_s + _OVERDUE_AFTER_S
        try:
            provider = tools.models.provider(self._model, endpoint)
        except (UnsealError, InvalidInputError) as error:
            raise ProviderError("bad_model_config", str(error), is_retryable=False, fault=Fault.SETUP) from error
        body = orjson.loads(started.input)
        plugin = tools.catalogue.task_types.get(started.type)
        wire_type, wired = (started.type, body) if plugin is None else _wired(plugin, started, body)
        self._size = _sized(plugin, started, body)
        call = Call(started.task_id, started.attempt, wire_type, wired, timeout_s)
        if self._why is not None:
            raise asyncio.CancelledError
        if started.denied_by is not None:
            raise outcomes.price_unknown(self._model, started.denied_by)
        self._is_calling, self._fate = True, Fate(was_called=True)
        tools.retries[self._model.id].called(tools.clock.monotonic_s())
        try:
            answer = await provider.call(call, self._delta)
        finally:
            self._is_calling = False
        return answer if plugin is None else plugin.finish(answer, body)

    def _delta(self, text: str) -> None:
        """Tell it; what nobody was there to hear goes to the first who comes, so that they have all of it."""
        tools, started, unheard = self._tools, self._started, self._unheard
        unheard.append(text)
        if tools.feed.has_watchers(started.task_id):
            said = text if len(unheard) == 1 else "".join(unheard)
            tools.feed.publish(TaskDelta(started.task_id, started.tenant_id, started.attempt, said, self._said))
            self._said += len(said)
            unheard.clear()

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
            self._is_theirs = True
            late = outcomes.failed(self._started, self._session_id, now, error, self._model, self._tools.rng)
            return self._tried_again_or_moved(late)
        return outcomes.aborted(self._started, self._session_id, now, self._why)

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
                        self._tools.note_lost()
                        return None
                    reason = str(error) if isinstance(error, InvalidInputError) else type(error).__name__
                    _log.warning("answer_not_recordable", task_id=ended.task_id, error=reason)
                    refused = outcomes.unstorable(
                        self._started, self._session_id, self._tools.clock.now(), reason, self._model
                    )
                    ended = replace(
                        outcomes.discreet(
                            refused, drops_payload=self._started.options.drops_payload, redact=self._tools.redact
                        ),
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
        used_output = None if used is None else ended.usage.completion_tokens
        if ended.outcome is AttemptOutcome.RATE_LIMITED:
            used = used_output = 0
        again = None
        if recorded is not None and recorded.is_accepted and recorded.status is Status.QUEUED:
            again = self._tools.waiting_again(self._started)._replace(model_id=self._lane_of(ended))
        entry = None if again is None else self._tools.catalogue.entry(again)
        is_success = ended.outcome is AttemptOutcome.COMPLETED
        # A deadline that came while the call ran says nothing about who was called.
        is_failure = self._is_theirs and ended.status is not Status.EXPIRED
        stays = entry is not None and entry.lane == self._claim.lane
        back = entry if stays else None
        release = Release(self._claim, used, back, is_success, used_output, is_failure)
        await self._tools.broker.release([release])
        if entry is not None and not stays:
            await self._tools.broker.enqueue([entry])
        if ended.status is Status.SCHEDULED and recorded is not None and ended.eligible_at is not None:
            self._tools.note_due(ended.eligible_at)

    def _lane_of(self, ended: Ended) -> ModelId:
        """Where the task is after this end."""
        return self._started.model_id if ended.next_model_id is None else ended.next_model_id

    def _count(self, ended: Ended, recorded: Recorded | None, seconds: float) -> None:
        meter, name = self._tools.meter, self._model.name
        meter.attempt_ended(name, ended.outcome, seconds)
        meter.spent(name, ended.usage, ended.cost_microusd)
        if ended.outcome is AttemptOutcome.COMPLETED and self._size is not None:
            self._tools.learning.learn(self._started, name, self._size, ended.usage, seconds)
        if recorded is not None:
            self._tools.budgets.tell(recorded.told)
        if recorded is None or not recorded.is_accepted:
            return
        if recorded.status is Status.COMPLETED or recorded.status is Status.FAILED:
            meter.task_ended(name, recorded.status is Status.COMPLETED)
        if self._tools.feed.is_watched:
            is_moved = recorded.status is Status.QUEUED
            self._tell(recorded.status, self._lane_of(ended) if is_moved else None)

    def _tell(self, status: Status, model_id: ModelId | None = None) -> None:
        started = self._started
        self._tools.feed.publish(
            TaskChanged(
                started.task_id,
                started.tenant_id,
                model_id or started.model_id,
                status,
                started.attempt,
                self._tools.clock.now(),
            )
        )


def _wired(plugin: TaskType, started: StartedTask, body: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
    """The call that a plugin's task turns into; what it took at submit it may refuse in another version.

    Under a budget it is the one that START has reserved for.
    """
    if started.wired is not None:
        wire_type, text = started.wired
        return wire_type, orjson.loads(text)
    try:
        return plugin.to_call(body)
    except InvalidInputError as error:
        raise ProviderError("task_type_failed", str(error), is_retryable=False, fault=Fault.CALLER) from error


def _sized(plugin: TaskType | None, started: StartedTask, body: Mapping[str, object]) -> RequestSize | None:
    """For learning; a plugin that cannot tell any more teaches nothing."""
    try:
        return sized(plugin, started.type, body, len(started.input.encode()))
    except InvalidInputError:
        return None
