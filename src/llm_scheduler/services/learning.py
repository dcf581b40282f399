"""Learning from finished calls what the next ones will bring, together with the other processes.

What this process learns counts at once here, and within seconds on record; what others learn is taken over every now
and then while this process predicts. The record's sums and those not written yet are all that is known: nothing is
lost by reading and nothing counts twice. A crash loses the last seconds; a record that is away loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.errors import SchedulerError
from llm_scheduler.domain.ids import EPOCH, Millis
from llm_scheduler.ports.learned import Sums
from llm_scheduler.scheduling.prediction import MOST_SCOPES, Predictor, scopes_of
from llm_scheduler.services.estimate import estimated, sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llm_scheduler.domain.ids import ModelId, TenantId
    from llm_scheduler.domain.task import Usage
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.learned import Learned, LearnedMoves
    from llm_scheduler.ports.meter import Meter
    from llm_scheduler.ports.store import StartedTask
    from llm_scheduler.scheduling.prediction import Case, Prediction
    from llm_scheduler.services.estimate import Estimate, RequestSize

SAVE_EVERY_S: Final = 3.0
READ_EVERY_S: Final = 15.0
FORGET_EVERY_S: Final = 600.0
KEPT_MS: Final = 90 * 86_400_000
"""A scope that nobody added to for so long is forgotten."""
MOST_SAMPLES: Final = 2_000.0
"""Sums are scaled down to so many now and then: exact to some 3 %, and yet they follow a change."""
_MOST_AT_ONCE: Final = 200
_PAGE: Final = 500
_MOST_TOLD: Final = 1_000
_OVERLAP_MS: Final = 10_000
"""A change is on record a little after the instant that it is dated."""
_log = structlog.get_logger(__name__)


class Learning:
    """Predicts for one process; the composition root calls `step` every `SAVE_EVERY_S` seconds."""

    def __init__(self, store: LearnedMoves, clock: Clock, meter: Meter) -> None:
        self._store, self._clock, self._meter = store, clock, meter
        self._predictor = Predictor()
        self._added: dict[str, Sums] = {}
        """Not on record yet."""
        self._told: dict[tuple[ModelId, TenantId, str, int], Prediction] = {}
        """What was predicted since anything was learned: a bulk of equal tasks is predicted once."""
        self._is_used = False
        self._read_at_s = float("-inf")
        self._since = EPOCH

    def predict(self, model_id: ModelId, tenant_id: TenantId, template: str, plain_tokens: int) -> Prediction:
        """What to expect of a call.

        Args:
            model_id: of the model that is called.
            tenant_id: whose call it is.
            template: the task's `template`, else its type.
            plain_tokens: `RequestSize.plain_tokens` of the request.
        """
        self._is_used = True
        key = (model_id, tenant_id, template, plain_tokens.bit_length())
        told = self._told.get(key)
        if told is None:
            if len(self._told) >= _MOST_TOLD:
                self._told.clear()
            told = self._told[key] = self._predictor.predict(scopes_of(model_id, tenant_id, template, plain_tokens))
        return told

    def estimate(self, model_id: ModelId, tenant_id: TenantId, template: str, size: RequestSize) -> Estimate:
        """Tokens of a request of this size."""
        return estimated(size, self.predict(model_id, tenant_id, template, size.plain_tokens))

    def service_s(self, model_id: ModelId) -> float:
        """Mean seconds of a call of a model; 0 before its first answer."""
        known = self._predictor.sums(str(model_id))
        return 0.0 if known is None else known.service_ms / known.samples / 1000

    def output_tokens(self, model_id: ModelId) -> float:
        """Mean output of a call of a model, drawn to the first guess as predictions are; 0 before an answer."""
        return self._predictor.output_tokens(str(model_id))

    def known(self, model_id: ModelId, tenant_id: TenantId) -> list[tuple[Case, Prediction]]:
        """A tenant's kinds of calls to a model and what is expected of each, those with most samples first."""
        cases = list(self._predictor.cases(model_id, tenant_id))
        found = [(case, self._predictor.predict(case.scopes)) for case in cases]
        return sorted(found, key=lambda one: (-one[1].samples, one[0]))

    def learn(self, started: StartedTask, model: str, size: RequestSize, usage: Usage, seconds: float) -> None:
        """Take a completed call into account. One whose tokens nobody counted teaches nothing.

        Args:
            started: the task that ran.
            model: the model's name, for the metric.
            size: of its request.
            usage: tokens by the provider's count.
            seconds: the call's duration.
        """
        if not usage.total_tokens:
            return
        if started.est_output:
            self._meter.predicted(model, started.est_output, usage.completion_tokens)
        template = started.options.template or started.type
        scopes = scopes_of(started.model_id, started.tenant_id, template, size.plain_tokens)
        seen = sample(size, usage, seconds * 1000)
        self._predictor.learn(scopes, seen)
        self._told.clear()
        self._note({scope: seen for scope in scopes}.items())
        self._is_used = True

    async def load(self) -> None:
        """Take over what is on record, the latest first as far as memory is meant for it. Never fails."""
        await self._read()

    async def step(self) -> None:
        """Write what was learned, read what others did; sends nothing when there was nothing to predict or learn."""
        await self.save()
        if self._is_used and self._clock.monotonic_s() - self._read_at_s >= READ_EVERY_S:
            self._is_used = False
            await self._read()

    async def save(self) -> None:
        """Write what was learned and is not on record. What cannot be written is kept for the next time."""
        while self._added:
            part = dict(list(self._added.items())[:_MOST_AT_ONCE])
            for scope in part:
                del self._added[scope]
            try:
                await self._store.add_samples(part)
            except SchedulerError as error:
                self._note(part.items())
                _log.warning("learned_not_saved", scopes=len(self._added), error=str(error))
                return

    async def forget(self) -> None:
        """Let old samples count for less, and forget scopes that are out of use. One process at a time is enough."""
        await self._store.fade_samples(MOST_SAMPLES)
        before = Millis(self._clock.now() - KEPT_MS)
        while await self._store.forget_samples(before, _PAGE) == _PAGE:
            pass

    async def _read(self) -> None:
        try:
            found = await self._store.samples(self._since, MOST_SCOPES)
        except SchedulerError as error:
            _log.warning("learned_not_read", error=str(error))
            self._is_used = True
            return
        self._read_at_s = self._clock.monotonic_s()
        self._take_over(found)

    def _take_over(self, found: Sequence[Learned]) -> None:
        # What was learned after the last save is not in the record's sums, whenever they were read.
        for one in reversed(found):
            mine = self._added.get(one.scope)
            self._predictor.put(one.scope, one.sums if mine is None else one.sums.plus(mine))
        self._told.clear()
        if found:
            self._since = Millis(max(self._since, found[0].updated_at - _OVERLAP_MS))

    def _note(self, seen: Iterable[tuple[str, Sums]]) -> None:
        for scope, sums in seen:
            known = self._added.get(scope)
            if known is not None:
                self._added[scope] = known.plus(sums)
            elif len(self._added) < MOST_SCOPES:
                self._added[scope] = sums
