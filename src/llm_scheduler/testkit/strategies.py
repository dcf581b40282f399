"""Whether a strategy is pure, quick and sound, by asking it about many tasks."""

from __future__ import annotations

import copy
import time
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.ids import Millis, ModelId, TaskId, TenantId
from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.plugins import Kind, problem_of
from llm_scheduler.ports.strategy import NO_OPTIONS, Option, PlacementContext
from llm_scheduler.scheduling.soundness import unsound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_scheduler.domain.placement import Placement
    from llm_scheduler.ports.strategy import Strategy

MEDIAN_S: Final = 50e-6
_LONGEST_AGE_MS: Final = 7 * 86_400_000
_BASE_MS: Final = 1_790_000_000_000
_A_WHILE_S: Final = 0.03
_RUNS: Final = 3


def check_strategy(
    strategy: Strategy,
    *,
    samples: int = 500,
    seed: int = 1,
    most_s: float = MEDIAN_S,
    clock_s: Callable[[], float] = time.perf_counter,
) -> None:
    """Find the first way in which a strategy breaks its contract.

    It is asked about random tasks of all priorities, sizes, tenants and ages, under random limits and options in
    their ranges, and again a moment later in another order and through a copy of itself.

    Args:
        strategy: an instance.
        samples: how many tasks.
        seed: of the draw; the same seed asks the same.
        most_s: the median seconds of a placement, in the fastest of three runs.
        clock_s: what measures it.

    Raises:
        AssertionError: what is wrong, with the task and the context.
    """
    problem = problem_of(Kind.STRATEGY, strategy)
    assert problem is None, problem
    rng = Random(seed)  # noqa: S311 - a draw that repeats
    options = {name: Option(*option) for name, option in dict(getattr(strategy, "options", NO_OPTIONS)).items()}
    cases = [(_task(rng), _context(rng, options)) for _ in range(samples)]
    first = [_placed(strategy, task, context) for task, context in cases]
    _check_purity(strategy, cases, first)
    _check_speed(strategy, cases, most_s, clock_s)


def _check_purity(
    strategy: Strategy, cases: list[tuple[WaitingTask, PlacementContext]], first: list[Placement]
) -> None:
    # What reads the clock answers otherwise after a while.
    time.sleep(_A_WHILE_S)
    twin = copy.deepcopy(strategy)
    for asked, name in ((strategy, "the same strategy"), (twin, "a copy of it")):
        for (task, context), before in reversed(list(zip(cases, first, strict=True))):
            again = _placed(asked, task, context)
            assert again == before, (
                f"Not pure: asked again, {name} gave {again}, first {before}. It may look at nothing but the task and "
                f"the context: no clock, no chance, nothing that it keeps. For {task} in {context}."
            )


def _check_speed(
    strategy: Strategy,
    cases: list[tuple[WaitingTask, PlacementContext]],
    most_s: float,
    clock_s: Callable[[], float],
) -> None:
    medians: list[float] = []
    for _ in range(_RUNS):
        spans: list[float] = []
        for task, context in cases:
            began_s = clock_s()
            strategy.place(task, context)
            spans.append(clock_s() - began_s)
        medians.append(median(spans))
    assert min(medians) <= most_s, (
        f"Slow: a placement takes {min(medians) * 1e6:.0f} µs (median), more than {most_s * 1e6:.0f} µs. "
        "Every submit waits for it; work out in advance what can be."
    )


def _placed(strategy: Strategy, task: WaitingTask, context: PlacementContext) -> Placement:
    options = dict(context.options)
    try:
        placement: Any = strategy.place(task, context._replace(options=options))
    except Exception as error:
        raise AssertionError(f"It raised {type(error).__name__}: {error}. For {task} in {context}.") from error
    problem = unsound(placement)
    assert problem is None, f"Not a sound placement: {problem}. For {task} in {context}."
    assert options == context.options, f"It changed the options it was given, in {context}."
    return placement


def _task(rng: Random) -> WaitingTask:
    queued_at = _BASE_MS - rng.randrange(_LONGEST_AGE_MS)
    output = rng.choice((0, rng.randrange(1, 100_000)))
    return WaitingTask(
        TaskId(rng.randrange(1, 1 << 53)),
        ModelId(rng.randrange(1, 1 << 20)),
        TenantId(rng.randrange(1, 1 << 20)),
        rng.choice(("chat", "completion", "embedding", "a_plugins")),
        rng.randrange(10),
        rng.choice((0, 0, 0, rng.randrange(10))),
        output + rng.choice((0, rng.randrange(1_000), rng.randrange(10_000_000))),
        Millis(queued_at),
        rng.choice((None, Millis(queued_at + rng.randrange(_LONGEST_AGE_MS)))),
        output,
    )


def _context(rng: Random, options: Mapping[str, Option]) -> PlacementContext:
    def limit() -> int | None:
        return rng.choice((None, None, 0, 1, rng.randrange(1, 10_000), rng.randrange(1, 10**9)))

    chosen = {
        name: rng.choice((option.least, option.most, option.default, rng.uniform(option.least, option.most)))
        for name, option in options.items()
        if rng.random() < 0.5
    }
    return PlacementContext(
        rng.choice((1.0, 0.001, 1_000.0, rng.uniform(0.1, 10))),
        limit(),
        limit(),
        rng.choice((0, 1, rng.randrange(1, 1_000))),
        rng.choice((0.0, rng.uniform(0.001, 600))),
        chosen,
        rng.choice((0.0, rng.uniform(0, 1e12))),
        rng.choice((0, 1, rng.randrange(1, 1_000))),
        limit(),
        limit(),
        rng.choice((0.0, rng.uniform(1, 10_000))),
    )
