"""What must never happen: promises of every state, and promises of single steps."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from tests.model.index import is_open_claim
from tests.model.world import (
    ATTEMPT,
    CALLING,
    CANCEL,
    CANCELLED,
    COMPLETED,
    CRASH,
    CRASHES,
    FAILED,
    FIRST_TERMINAL,
    FORGOTTEN,
    OVERDUE,
    OWNER,
    PAUSE,
    PHASE,
    RELEASING,
    RESULTS,
    RUNAWAY,
    RUNNING,
    SLOT,
    State,
    World,
)

DOUBLE_RESULT: Final = "double result"
RESULT_WITHOUT_END: Final = "result and status disagree"
TERMINAL_CHANGED: Final = "terminal state changed"
OVER_LIMIT: Final = "more rows run than may"
OVERBOOKED: Final = "more claims are out than may run"
STUCK: Final = "stuck"
RUNS_AWAY: Final = "started without end"
CANCEL_LOST: Final = "cancel lost"
UNEARNED_CRASH: Final = "crash counted without a fault"
KNOCKED: Final = "late failure knocked a newer attempt"
FOREIGN_RELEASE: Final = "slot of another claim released"
ANSWER_WASTED: Final = "paid answer thrown away"

StepCheck: TypeAlias = Callable[[World, State, State], bool]


def of_state(world: World, state: State) -> Iterator[str]:
    """The promises that one state breaks, stuckness aside."""
    for task in world.tasks:
        status, results = state[task], state[task + RESULTS]
        if results > 1:
            yield DOUBLE_RESULT
        if (status == COMPLETED) != (results > 0):
            yield RESULT_WITHOUT_END
        if state[task + CANCEL] and status != RUNNING:
            yield CANCEL_LOST
        if state[task + ATTEMPT] >= RUNAWAY:
            yield RUNS_AWAY
        if state[task + CRASHES] > _deaths(world, state):
            yield UNEARNED_CRASH
    if world.running(state) > world.limit + _excused(world, state):
        yield OVER_LIMIT
    if not state[world.common + FORGOTTEN] and _admitted(world, state) > world.limit:
        yield OVERBOOKED


def _deaths(world: World, state: State) -> int:
    """How many of the faults have struck that a task may count as a crash."""
    budget, common = world.budget, world.common
    spent = budget.crash - state[common + CRASH] + budget.pause - state[common + PAUSE]
    return spent + budget.overdue - state[common + OVERDUE]


def _excused(world: World, state: State) -> int:
    """How many rows may run over the limit: one for each admission that an index fault has erased.

    The strict clause takes no excuse.
    """
    return 0 if world.design.strict_limit else state[world.common + FORGOTTEN]


def _admitted(world: World, state: State) -> int:
    """Rows that run, and healthy claims that are about to."""
    return sum(state[task] == RUNNING or is_open_claim(world, state, task) for task in world.tasks)


def is_over_limit(world: World, state: State) -> bool:
    """More rows run than may, excused or not."""
    return world.running(state) > world.limit


def of_step(world: World, name: str, before: State, after: State) -> Iterator[str]:
    """The promises that a step breaks, before and after it in the same order of tasks and sessions."""
    for task in world.tasks:
        if before[task] >= FIRST_TERMINAL and after[task] != before[task]:
            yield TERMINAL_CHANGED
    check = STEP_CHECKS.get(name)
    if check is not None and check[1](world, before, after):
        yield check[0]


def _is_knocked(world: World, before: State, after: State) -> bool:
    """FAIL moved a running row whose owner lives and has not failed."""
    return any(
        before[pair.task] == RUNNING
        and after[pair.task] != RUNNING
        and before[pair.task + OWNER] == pair.name
        and before[pair.work] == after[pair.work]
        and world.has_live_row(before, pair.name)
        for pair in world.pairs
    )


def _is_foreign_release(world: World, before: State, after: State) -> bool:
    """A slot went away, and it was not its holder that released."""
    return any(
        before[pair.task + SLOT] & PHASE == pair.name
        and not after[pair.task + SLOT]
        and before[pair.work] == after[pair.work]
        for pair in world.pairs
    )


def _is_answer_wasted(world: World, before: State, after: State) -> bool:
    """DONE left a row open that nobody asked to cancel."""
    return any(
        before[pair.work] & PHASE == CALLING
        and after[pair.work] & PHASE == RELEASING
        and not before[pair.task + CANCEL]
        and after[pair.task] not in (COMPLETED, FAILED, CANCELLED)
        for pair in world.pairs
    )


STEP_CHECKS: Final[Mapping[str, tuple[str, StepCheck]]] = {
    "fail": (KNOCKED, _is_knocked),
    "release": (FOREIGN_RELEASE, _is_foreign_release),
    "done": (ANSWER_WASTED, _is_answer_wasted),
}
