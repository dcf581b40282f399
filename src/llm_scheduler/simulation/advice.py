"""Which setting would have served a load better, by how much, at what price, and when nobody can say.

The load is replayed under the setting in force and under others. One is advised only if what it gains is more than
chance: the load is cut into equal parts of time, and it must be better in most of those in which anything waited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.scheduling.strategies.registry import STRATEGIES
from llm_scheduler.simulation.load import SLO_WAIT_S, priority_class
from llm_scheduler.simulation.setting import UNBOUNDED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_scheduler.simulation.load import Load
    from llm_scheduler.simulation.measures import Measures
    from llm_scheduler.simulation.run import Run
    from llm_scheduler.simulation.setting import Setting

LEAST_CALLS: Final = 200
"""Fewer say nothing about a day."""
LEAST_WAITING_S: Final = 30.0
"""A lane in which something waited for less has nothing to gain from another order."""
LEAST_GAIN: Final = 0.01
"""So much more of the calls must start in time,"""
LEAST_WAIT_GAIN: Final = 0.15
"""or, with as many in time, so much less must they wait on average: less is noise of the replay."""
LEAST_WAIT_S: Final = 1.0
PARTS: Final = 6
MOST_PARTS_WORSE: Final = 1 / 3
TRUSTED_RATIO: Final = 2.0
"""Waits of the replay may differ from the real ones by this factor."""
_FACTORS: Final = (0.5, 1.5, 2.0)


class Trial(NamedTuple):
    """A setting, and what the load was like under it."""

    setting: Setting
    run: Run
    measures: Measures


class Advice(NamedTuple):
    """What to do. `best` None: leave it as it is, `reason` says why. `costs`: what gets worse, in words."""

    now: Trial
    others: tuple[Trial, ...]
    best: Trial | None
    reason: str
    gains: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def alternatives(now: Setting) -> list[Setting]:
    """The other strategies with the same limits, and other numbers of workers with the same strategy."""
    others = [
        now._replace(strategy=name, options={}, label=f"strategy {name}") for name in STRATEGIES if name != now.strategy
    ]
    workers = now.workers
    if workers is not None and workers < UNBOUNDED:
        counts = dict.fromkeys(max(1, round(workers * factor)) for factor in _FACTORS)
        others += [now._replace(workers=count, label=f"{count} workers") for count in counts if count != workers]
    return others


def advise(load: Load, now: Setting, try_out: Callable[[Load, Setting], Trial]) -> Advice:
    """What would have been better than the setting in force."""
    present = try_out(load, now)
    silence = _too_little(load, present)
    if silence is not None:
        return Advice(present, (), None, silence)
    others = tuple(try_out(load, setting) for setting in alternatives(now))
    better = [trial for trial in others if _is_better(present, trial)]
    remarks = _remarks(load, present)
    if not better:
        reason = "None of the settings that were tried would have been clearly better than the one in force."
        return Advice(present, others, None, reason, remarks=(*remarks, *_spare(present, others)))
    best = max(better, key=_rank)
    gains, costs = _differences(present, best)
    if best.setting.workers != now.workers:
        remarks = (
            *remarks,
            "More or fewer calls at once are assumed to take as long each; a busy server may not agree.",
        )
    return Advice(present, others, best, f"{best.setting.name} would have been better.", gains, costs, remarks)


def _too_little(load: Load, present: Trial) -> str | None:
    calls, measures = len(load.requests), present.measures
    if calls < LEAST_CALLS:
        return f"Only {calls} calls ended in that time; from fewer than {LEAST_CALLS} nothing can be said."
    if measures.backlog_s < LEAST_WAITING_S:
        return (
            f"Something waited for only {measures.backlog_s:.0f} s in that time: there was room for all, "
            "and no setting would have made a difference."
        )
    return None


def _rank(trial: Trial) -> tuple[float, float, float]:
    """Promises first, then the tenant that is worst off, then the mean wait; rounded, so that noise decides nothing."""
    measures = trial.measures
    return round(measures.all.in_time, 2), round(measures.fairness.worst_share, 1), -measures.all.mean_s


def _is_better(now: Trial, other: Trial) -> bool:
    gain = other.measures.all.in_time - now.measures.all.in_time
    shorter_s = now.measures.all.mean_s - other.measures.all.mean_s
    is_shorter = shorter_s >= max(LEAST_WAIT_S, LEAST_WAIT_GAIN * now.measures.all.mean_s)
    if gain < LEAST_GAIN and not (is_shorter and gain > -LEAST_GAIN):
        return False
    by_promise = gain >= LEAST_GAIN
    return _is_steady(_part_scores(now.run, by_promise), _part_scores(other.run, by_promise))


def _is_steady(now: Sequence[float | None], other: Sequence[float | None]) -> bool:
    """Better (higher) in some part, and worse in at most a third of those in which the scores differ."""
    pairs = [(one, two) for one, two in zip(now, other, strict=True) if one is not None and two is not None]
    better = sum(two > one + 1e-9 for one, two in pairs)
    worse = sum(two < one - 1e-9 for one, two in pairs)
    return better > 0 and worse <= MOST_PARTS_WORSE * (better + worse)


def _part_scores(run: Run, by_promise: bool) -> list[float | None]:
    """For each part of the time: the share that started in time, or the negative mean wait; None without calls."""
    scores: list[list[float]] = [[] for _ in range(PARTS)]
    span_s = run.load.span_s or 1.0
    for number, request in enumerate(run.load.requests):
        wait_s = run.wait_s(number)
        kept = wait_s <= SLO_WAIT_S[priority_class(request.priority)]
        part = min(PARTS - 1, int(request.at_s / span_s * PARTS))
        scores[part].append(float(kept) if by_promise else -wait_s)
    return [sum(part) / len(part) if part else None for part in scores]


def _differences(now: Trial, other: Trial) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What gets better and what gets worse, in words."""
    one, two = now.measures, other.measures
    lines: list[tuple[bool, str]] = []

    def compare(name: str, before: float, after: float, text: str, least: float, *, is_high_good: bool) -> None:
        if abs(after - before) >= least:
            lines.append(((after > before) == is_high_good, f"{name} {text.format(before)} → {text.format(after)}"))

    compare("starts in time", one.all.in_time, two.all.in_time, "{:.1%}", 0.005, is_high_good=True)
    compare("mean wait", one.all.mean_s, two.all.mean_s, "{:.1f} s", 0.5, is_high_good=False)
    for name, wait in one.by_class.items():
        compare(f"p99 wait of {name}", wait.p99_s, two.by_class[name].p99_s, "{:.1f} s", 1.0, is_high_good=False)
    compare("longest wait", one.all.longest_s, two.all.longest_s, "{:.0f} s", 5.0, is_high_good=False)
    compare("Jain index", one.fairness.jain, two.fairness.jain, "{:.2f}", 0.02, is_high_good=True)
    compare(
        "worst tenant's share", one.fairness.worst_share, two.fairness.worst_share, "{:.0%}", 0.03, is_high_good=True
    )
    return tuple(text for is_good, text in lines if is_good), tuple(text for is_good, text in lines if not is_good)


def _remarks(load: Load, present: Trial) -> tuple[str, ...]:
    """What a reader should know before they trust the replay."""
    real = [one.waited_s for one in load.requests if one.waited_s is not None]
    if len(real) < LEAST_CALLS:
        return ()
    real_s, replayed_s = sum(real) / len(real), present.measures.all.mean_s
    most, least = max(real_s, replayed_s), min(real_s, replayed_s)
    if most - least < LEAST_WAIT_S or most <= TRUSTED_RATIO * least:
        return ()
    return (
        f"Calls really waited {real_s:.1f} s on average, the replay says {replayed_s:.1f} s: something that is not in "
        "the history (pauses, 429s, restarts, other settings that day) mattered more. Take its advice with care.",
    )


def _spare(present: Trial, others: Sequence[Trial]) -> tuple[str, ...]:
    """Fewer workers would do as well."""
    now = present.measures.all
    for trial in others:
        workers, fewer = present.setting.workers, trial.setting.workers
        if workers is None or fewer is None or fewer >= workers or trial.setting.strategy != present.setting.strategy:
            continue
        then = trial.measures.all
        if then.in_time > now.in_time - 0.002 and then.mean_s < now.mean_s + 0.5:
            return (f"{fewer} workers instead of {workers} would have done as well.",)
    return ()
