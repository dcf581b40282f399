"""How many calls a server of unknown capacity serves at once, found by Little's law on time to first token.

A server that takes more calls than it serves lets them wait inside, where no priority acts and nobody sees it. The
wait shows in the time to first token: what exceeds the time that the prompt itself needs. Its share of the calls'
whole time is, by Little's law, the share of our calls that are not being served: so many are too many.

Pure: `step` takes what was seen and gives the next state. `docs/concurrency.md` tells the rules for operators.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.ids import Millis
    from llm_scheduler.domain.model import AutoWorkers

FEWEST_SAMPLES: Final = 16
FEWEST_AT_START: Final = 4
"""In slow start the next window corrects a mistake, and calls one after another take long to count."""
CEILING_MS: Final = 60_000
LONGEST_DRAIN_MS: Final = 60_000
"""Calls that are still not gone then are not waited for: one that hangs must not stop everything."""
PROMPT_OFFSET: Final = 16
"""Tokens that a prompt of none would seem to have: what a first token costs in any case."""
PROMPT_WEIGHT: Final = 1 / 64
"""The work of a prompt token, in output tokens."""
_SLOW_START: Final = 0.5
_LEAST_GROWTH: Final = 0.05
_MOST_GROWTH: Final = 0.25
_GROWTH_FACTOR: Final = 1.5
_USED: Final = 0.8
_LEAST_EXCESS: Final = 0.05
_FOREIGN_AFTER: Final = 0.75
"""A share that stays while the limit falls to this part of what it was is not our queue."""
_HAS_RISEN: Final = 1.25
"""A share that grew so much while we cut tells of a server that has become smaller: the cuts begin anew."""
_FOREIGN_DECAY: Final = 0.98
_FURTHER: Final = 1.1
_LOSS: Final = 0.03
_BLIND_GAIN: Final = 0.25
"""Without times to first token: the least part of a growth that must come out as throughput."""


class Outcome(StrEnum):
    """What a call tells of the server."""

    DONE = "done"
    REFUSED = "refused"
    """It had no room: 503, 529, a timeout, or a 429 that is not about a rate."""


class Sample(NamedTuple):
    """One call that ended. `ttft_ms` None: the answer came whole."""

    dispatched_at: Millis
    latency_ms: int
    ttft_ms: int | None
    input_tokens: int
    output_tokens: int
    outcome: Outcome = Outcome.DONE


class Window(NamedTuple):
    """What was seen of a model since its limit changed last, from all processes."""

    samples: Sequence[Sample]
    at: Millis
    """Now."""
    running: float
    """Calls in flight, on average while there were samples."""
    oldest_at: Millis | None
    """When the oldest call that is in flight now began; None without any."""


@dataclass(frozen=True, slots=True)
class Control:
    """What has been learned of one server. Every value is a plain number, so that it can be kept as JSON."""

    n: float = 1.0
    """The limit before it is rounded to a whole number."""
    since: int = 0
    """Calls that began earlier ran under another limit: they are not judged."""
    is_draining: bool = False
    """After a cut: what was queued under the old limit is not gone yet."""
    is_slow_start: bool = True
    growth: float = _LEAST_GROWTH
    kappa: float | None = None
    """Time to first token of an idle server, for each prompt token, in times per output token."""
    foreign: float = 0.0
    """The share of waiting that our own cuts did not lower (s0): others queue there, or the network is slow."""
    share: float | None = None
    """The share of waiting in the last window; None = not known."""
    cut_from: float | None = None
    """The limit before the first of the cuts in a row, and the share that was seen there."""
    cut_share: float = 0.0
    cuts: int = 0
    """How many in a row: the first may be judged by calls of before and after a change of the server."""
    best_n: float = 0.0
    best_u: float | None = None
    """The limit of the highest throughput known, and its logarithm."""
    ceiling: float | None = None
    ceiling_until: int = 0


class _Seen(NamedTuple):
    """What a full window says. `is_blind`: its calls came whole, so waits are guessed, or not even that."""

    share: float | None
    quotient: float | None
    utility: float
    error: float
    is_blind: bool


def limit(control: Control, bounds: AutoWorkers) -> int:
    """The concurrency in force."""
    return min(bounds.max, max(bounds.min, _whole(control.n)))


def step(control: Control, window: Window, bounds: AutoWorkers) -> Control:
    """The next state; the very same one while there is not enough to judge by."""
    control = _bounded(control, bounds)
    if any(one.outcome is Outcome.REFUSED and one.dispatched_at >= control.since for one in window.samples):
        return _refused(control, window, bounds)
    if control.is_draining:
        is_old = window.oldest_at is not None and window.oldest_at < control.since
        if is_old and window.at < control.since + LONGEST_DRAIN_MS:
            return control
        return replace(control, is_draining=False, since=window.at)
    done = [one for one in window.samples if one.outcome is Outcome.DONE and one.dispatched_at >= control.since]
    if len(done) < max(FEWEST_AT_START if control.is_slow_start else FEWEST_SAMPLES, control.n / 2):
        return control
    seen = _seen(done, control)
    judged = replace(
        control,
        since=window.at,
        kappa=_envelope(control.kappa, seen.quotient),
        share=seen.share,
        foreign=control.foreign * _FOREIGN_DECAY,
    )
    return _bounded(_judged(judged, seen, window), bounds)


def control_of(kept: Mapping[str, Any]) -> Control:
    """What `plain` gave, also of a release that kept more or fewer values.

    Raises:
        ValueError: a value is not a number.
    """
    known = {one.name: kept[one.name] for one in fields(Control) if one.name in kept}
    for name, value in known.items():
        is_number = isinstance(value, int | float) and math.isfinite(value)
        if not is_number and not (value is None and name in _OPTIONAL):
            raise ValueError(f"{name} is {value!r}, not a number")
    return Control(**known)


def plain(control: Control) -> dict[str, object]:
    """For JSON."""
    return asdict(control)


_OPTIONAL: Final = frozenset({"kappa", "share", "cut_from", "best_u", "ceiling"})


def _bounded(control: Control, bounds: AutoWorkers) -> Control:
    n = min(float(bounds.max), max(float(bounds.min), control.n))
    return control if n == control.n else replace(control, n=n)


def _refused(control: Control, window: Window, bounds: AutoWorkers) -> Control:
    """The server has no room for so many: what it did accept is its limit, for the next minute."""
    refused = [one for one in window.samples if one.outcome is Outcome.REFUSED and one.dispatched_at >= control.since]
    accepted = window.running - len(refused)
    n = min(0.95 * control.n, max(0.8 * control.n, accepted))
    return _bounded(
        replace(
            control,
            n=n,
            since=window.at,
            is_draining=False,
            is_slow_start=False,
            growth=_LEAST_GROWTH,
            cut_from=None,
            ceiling=n,
            ceiling_until=window.at + CEILING_MS,
        ),
        bounds,
    )


def _judged(control: Control, seen: _Seen, window: Window) -> Control:
    known = _remembered(control, seen)
    excess = 0.0 if seen.share is None else seen.share - known.foreign
    if excess > max(_LEAST_EXCESS, 0.5 / known.n):
        return _cut(known, seen.share or 0.0, excess)
    if _is_past_best(control, seen):
        return replace(
            known,
            n=control.best_n,
            is_draining=True,
            is_slow_start=False,
            growth=_LEAST_GROWTH,
            cut_from=None,
            ceiling=control.best_n,
            ceiling_until=window.at + CEILING_MS,
        )
    settled = replace(known, cut_from=None)
    if window.running < _USED * _whole(known.n):
        return settled
    return _grown(settled, window.at)


def _whole(n: float) -> int:
    return max(1, math.floor(n + 0.5))


def _cut(control: Control, share: float, excess: float) -> Control:
    if control.cut_from is None or share > _HAS_RISEN * control.cut_share:
        control = replace(control, cut_from=control.n, cut_share=share, cuts=0)
    elif control.cuts > 1 and control.n <= _FOREIGN_AFTER * control.cut_from and share >= _if_foreign(control):
        # A quarter fewer of ours, and as much waiting as before: it is not our queue.
        return replace(control, foreign=share, cut_from=None)
    n = max(control.n * (1 - excess), control.n / 2)
    cuts = control.cuts + 1
    return replace(control, n=n, cuts=cuts, is_draining=True, is_slow_start=False, growth=_LEAST_GROWTH)


def _if_foreign(control: Control) -> float:
    """Half-way from what was seen before the cuts to what would be left of a queue of ours: as many are served."""
    served = (1 - control.cut_share) * (control.cut_from or control.n)
    return (control.cut_share + max(0.0, 1 - served / control.n)) / 2


def _grown(control: Control, at: Millis) -> Control:
    grown = control.n * (1 + control.growth)
    n = max(control.n * (1 + _SLOW_START), control.n + 1) if control.is_slow_start else grown
    if control.ceiling is not None and at < control.ceiling_until and n > control.ceiling:
        return replace(control, n=max(control.n, control.ceiling))
    growth = control.growth if control.is_slow_start else min(_MOST_GROWTH, control.growth * _GROWTH_FACTOR)
    return replace(control, n=n, growth=growth)


def _remembered(control: Control, seen: _Seen) -> Control:
    """The best point known, measured anew where we are near it."""
    n, best_n, best_u = control.n, control.best_n, control.best_u
    is_near = best_n / _FURTHER <= n <= best_n * _FURTHER
    if best_u is None:
        return replace(control, best_n=n, best_u=seen.utility)
    if is_near:
        return replace(control, best_u=(best_u + seen.utility) / 2)
    if seen.utility > best_u:
        return replace(control, best_n=n, best_u=seen.utility)
    return control


def _is_past_best(control: Control, seen: _Seen) -> bool:
    """Whether more calls at once than at the best point brought less, beyond what chance explains."""
    if control.best_u is None or control.n < _FURTHER * control.best_n:
        return False
    needed = control.best_u - _LOSS
    if seen.is_blind:
        needed = max(needed, control.best_u + _BLIND_GAIN * math.log(control.n / control.best_n))
    return seen.utility + seen.error < needed


def _envelope(kappa: float | None, quotient: float | None) -> float | None:
    """The lower envelope over windows: half-way down, 1 % up."""
    if quotient is None or kappa is None:
        return quotient if kappa is None else kappa
    return (kappa + quotient) / 2 if quotient < kappa else min(quotient, kappa * 1.01)


def _seen(done: Sequence[Sample], control: Control) -> _Seen:
    whole_ms = sum(one.latency_ms for one in done) or 1
    rate = sum(map(_work, done)) / whole_ms
    if rate <= 0:  # no token was counted: every call is the same work
        rate, residuals = len(done) / whole_ms, [1 - len(done) * one.latency_ms / whole_ms for one in done]
        total = float(len(done))
    else:
        residuals = [_work(one) - rate * one.latency_ms for one in done]
        total = rate * whole_ms
    utility = math.log(control.n * rate)
    error = math.sqrt(sum(one * one for one in residuals)) / total
    streamed = [one for one in done if one.ttft_ms is not None]
    if 2 * len(streamed) >= len(done):
        share, quotient = _share(streamed, control.kappa)
        return _Seen(share, quotient, utility, error, is_blind=share is None)
    return _Seen(_guessed_share(done), None, utility, error, is_blind=True)


def _work(one: Sample) -> float:
    return one.output_tokens + one.input_tokens * PROMPT_WEIGHT


def _share(streamed: Sequence[Sample], kappa: float | None) -> tuple[float | None, float | None]:
    """The share of waiting, and this window's time to first token per prompt token (75th percentile)."""
    waits = [one.ttft_ms or 0 for one in streamed]
    whole_ms = sum(one.latency_ms for one in streamed)
    tokens = sum(one.output_tokens for one in streamed)
    token_ms = max(0, whole_ms - sum(waits)) / tokens if tokens else 0.0
    if token_ms <= 0 or whole_ms <= 0:
        return None, None
    units = [(one.input_tokens + PROMPT_OFFSET) * token_ms for one in streamed]
    quotients = sorted(wait / unit for wait, unit in zip(waits, units, strict=True))
    quotient = quotients[min(len(quotients) - 1, (3 * len(quotients)) // 4)]
    usual = _envelope(kappa, quotient) or 0.0
    waiting = sum(max(0.0, wait - usual * unit) for wait, unit in zip(waits, units, strict=True))
    return min(1.0, waiting / whole_ms), quotient


def _guessed_share(done: Sequence[Sample]) -> float | None:
    """What a call takes beyond its work, by the line of least squares through all of them; None without a slope."""
    count = len(done)
    works = [_work(one) for one in done]
    work, latency_ms = sum(works) / count, sum(one.latency_ms for one in done) / count
    spread = sum((one - work) ** 2 for one in works)
    if spread <= 0 or latency_ms <= 0:
        return None
    slope = sum((one - work) * (each.latency_ms - latency_ms) for one, each in zip(works, done, strict=True)) / spread
    return min(1.0, max(0.0, 1 - slope * work / latency_ms)) if slope > 0 else None
