"""Keeps every way to a model within the provider's limits, by what its answers say.

One for each process. What it knows of a limit it has from the calls of its own process, but the index counts what
all processes spend, so each may set the pace for all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.domain.model import Pacing
from llm_scheduler.ports.broker import Pace, Spent, Unit
from llm_scheduler.ports.provider import Fault
from llm_scheduler.scheduling.pacing import Gauge, Reading, observed, rate_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.ports.broker import Broker, Claim
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import Meter
    from llm_scheduler.ports.provider import Allowance, ProviderError, Quota

_log = structlog.get_logger(__name__)
DECIDE_EVERY_S: Final = 0.2
VALID_MS: Final = 300_000
"""What headers said holds for so long without a new word; long answers may be that far apart."""
SCARCE_S: Final = 1.0
DECIDE_SCARCE_S: Final = 0.05
"""With less left than what the first brings, the pace is set as often as the second."""
JITTER: Final = 0.05
"""Share of a Retry-After that is waited on top, drawn evenly, so that not everyone comes back in one instant."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
SHORT_S: Final = 5.0
"""A Retry-After up to this, from a provider that says what is left, needs no probe: the pace itself waits that long."""
FIRST_QUOTA_PAUSE_S: Final = 900.0
LONGEST_QUOTA_PAUSE_S: Final = 4 * 3600.0
OWN_SHARE: Final = 0.98
"""Of a configured limit that must not be passed."""

_NOTHING: Final = Spent()

Gate = tuple["ModelId", "str | None"]


@dataclass(slots=True)
class Watch:
    """One gate as this process knows it."""

    gauges: dict[Unit, Gauge] = field(default_factory=dict[Unit, Gauge])
    said: dict[Unit, Quota] = field(default_factory=dict["Unit", "Quota"])
    spent: Spent = _NOTHING
    decided_at_s: float = float("-inf")
    grown_at_s: float = float("-inf")
    """When a pause was last made longer; calls that were out by then do not make it longer still."""
    pause_s: float = 0.0
    """The last pause without a Retry-After; doubles until a success."""
    quota_pause_s: float = 0.0
    held_until_s: float = float("-inf")
    """What its pace was made to wait for."""


class Pacer:
    """Turns answers into paces and pauses of the broker's gates."""

    def __init__(self, broker: Broker, clock: Clock, meter: Meter, rng: Random) -> None:
        self._broker, self._clock, self._meter, self._rng = broker, clock, meter, rng
        self._watches: dict[Gate, Watch] = {}

    def started(self, claim: Claim) -> float:
        """A call goes out now: note what was spent by then. The instant, for `answered` and `refused`."""
        watch = self._watch(claim)
        # A call counted later may be heard of earlier; but a count that fell far back began anew.
        if claim.spent.requests > watch.spent.requests or claim.spent.requests < watch.spent.requests // 2:
            watch.spent = claim.spent
        return self._clock.monotonic_s()

    async def answered(self, model: Model, claim: Claim, allowance: Allowance, sent_at_s: float) -> None:
        """A call that went out at `sent_at_s` succeeded, and its answer said what is left."""
        watch = self._watch(claim)
        watch.pause_s = watch.quota_pause_s = 0.0
        await self.heard(model, claim, allowance, sent_at_s)

    async def heard(self, model: Model, claim: Claim, allowance: Allowance, sent_at_s: float) -> None:
        """A call was let in, whatever came of it, and this is what the head of its answer said."""
        if not allowance:
            return
        watch = self._watch(claim)
        is_scarce = self._learn(model, claim, allowance, sent_at_s)
        now_s = self._clock.monotonic_s()
        if now_s - watch.decided_at_s >= (DECIDE_SCARCE_S if is_scarce else DECIDE_EVERY_S):
            await self._decide(model, claim, watch, now_s)

    async def refused(self, model: Model, claim: Claim, error: ProviderError, sent_at_s: float) -> None:
        """A call met a limit: its gate pauses for as long as the provider asked, else longer each time.

        Raises:
            BrokerUnavailableError: nobody could be told.
        """
        watch = self._watch(claim)
        if error.allowance:
            self._learn(model, claim, error.allowance, sent_at_s, is_refused=True)
        now_s = self._clock.monotonic_s()
        pause_s = self._pause_s(model, claim, error, sent_at_s) * (1 + JITTER * self._rng.random())
        if error.fault is Fault.LIMIT and error.allowance and error.retry_after_s is not None and pause_s <= SHORT_S:
            await self._decide(model, claim, watch, now_s, held_until_s=now_s + pause_s)
        else:
            await self._broker.throttle(claim.lane, max(1, round(pause_s * 1000)), claim.endpoint)

    def known(self, model_id: ModelId, endpoint: str | None) -> Mapping[Unit, Quota]:
        """The limits that the newest answer of this gate spoke of; empty if none did."""
        watch = self._watches.get((model_id, endpoint))
        return dict(watch.said) if watch else {}

    def _pause_s(self, model: Model, claim: Claim, error: ProviderError, sent_at_s: float) -> float:
        watch = self._watch(claim)
        is_news = sent_at_s > watch.grown_at_s
        if is_news:
            watch.grown_at_s = self._clock.monotonic_s()
        if error.fault is not Fault.QUOTA:
            if is_news:
                watch.pause_s = min(LONGEST_PAUSE_S, watch.pause_s * 2 or FIRST_PAUSE_S)
            return watch.pause_s if error.retry_after_s is None else error.retry_after_s
        self._meter.quota_exhausted(model.name)
        if is_news:
            watch.quota_pause_s = min(LONGEST_QUOTA_PAUSE_S, watch.quota_pause_s * 2 or FIRST_QUOTA_PAUSE_S)
            _log.error(
                "quota_exhausted",
                model=model.name,
                endpoint=claim.endpoint,
                pause_s=round(watch.quota_pause_s),
                error=error.message,
                hint="top up the account at the provider; the tasks wait and one call tries again after the pause",
            )
        return watch.quota_pause_s or FIRST_QUOTA_PAUSE_S

    def _learn(
        self, model: Model, claim: Claim, allowance: Allowance, sent_at_s: float, *, is_refused: bool = False
    ) -> bool:
        """Take in what an answer said; whether nearly nothing is left of something."""
        own = own_of(claim) if is_refused else _NOTHING  # counted by us, but not taken by the provider
        watch, limits, is_scarce = self._watch(claim), configured_limits(model, claim.endpoint), False
        for unit, quota in allowance.items():
            spent = _of(claim.spent, unit) - _of(own, unit)
            before = watch.gauges.get(unit)
            gauge = observed(
                before, Reading(quota, spent, sent_at_s, is_refused, _of(own_of(claim), unit)), limits.get(unit)
            )
            if gauge is before:
                continue
            watch.gauges[unit], watch.said[unit] = gauge, quota
            is_scarce = is_scarce or quota.remaining <= gauge.per_s * SCARCE_S
            if quota.limit:
                self._meter.limit_used(model.name, unit.value, 1 - min(quota.remaining / quota.limit, 1.0))
        return is_scarce

    async def _decide(
        self, model: Model, claim: Claim, watch: Watch, now_s: float, *, held_until_s: float = float("-inf")
    ) -> None:
        """Set the pace of every unit that is known; nothing starts before `held_until_s`."""
        watch.decided_at_s = now_s
        limits, is_bound = configured_limits(model, claim.endpoint), model.options.pacing is Pacing.CONFIGURED
        watch.held_until_s = max(watch.held_until_s, held_until_s)
        held_s = watch.held_until_s - now_s
        paces: list[Pace] = []
        for unit, gauge in watch.gauges.items():
            spent = _of(watch.spent, unit)
            rate = rate_of(gauge, spent, now_s)
            pace = Pace(unit, rate.per_s, rate.burst, VALID_MS, most=rate.most, counted=spent)
            if is_bound and unit in limits:
                pace = within(pace, limits[unit])
            if held_s > 0:  # whoever waits for a pause finds the bucket as empty as it makes it
                pace = pace._replace(most=min(-pace.per_s * held_s, pace.most or 0.0))
            paces.append(pace)
        try:
            await self._broker.set_pace(claim.lane, claim.endpoint, paces)
        except BrokerUnavailableError as error:
            _log.warning("pace_not_set", model=model.name, endpoint=claim.endpoint, error=str(error))

    def _watch(self, claim: Claim) -> Watch:
        gate = claim.lane, claim.endpoint
        watch = self._watches.get(gate)
        if watch is None:
            watch = self._watches[gate] = Watch()
        return watch


def within(pace: Pace, per_minute: int) -> Pace:
    """The pace, but no minute of it, burst included, above a configured limit.

    Where headers allow nearly all of it, the configured limit is to count by itself: a pace that is over at once.
    """
    most_per_s = OWN_SHARE * per_minute / 60
    if pace.per_s >= 0.9 * most_per_s:
        return pace._replace(per_s=most_per_s, burst=per_minute / 100, valid_ms=1)
    room = 0.99 * per_minute - 60 * pace.per_s
    return pace._replace(burst=min(pace.burst, room))


def own_of(claim: Claim) -> Spent:
    """What one claim reserves."""
    return Spent(1, claim.tokens, claim.tokens - claim.output_tokens, claim.output_tokens)


def configured_limits(model: Model, endpoint: str | None) -> dict[Unit, int]:
    """The limits per minute that an operator gave this way to the model; units without one are left out."""
    if endpoint is None:
        options = model.options
        given = (model.rpm, model.tpm, options.input_tpm, options.output_tpm)
    else:
        found = next((one for one in model.endpoints if one.name == endpoint), None)
        given = (None,) * 4 if found is None else (found.rpm, found.tpm, found.input_tpm, found.output_tpm)
    return {unit: limit for unit, limit in zip(Unit, given, strict=True) if limit is not None}


def _of(spent: Spent, unit: Unit) -> int:
    return getattr(spent, unit.value)
