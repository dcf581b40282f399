"""The statements of the record: each is one conditional update; a row that does not match is left alone."""

from collections.abc import Iterator

from tests.model.index import pushed
from tests.model.world import (
    ATTEMPT,
    CALLING,
    CANCEL,
    CANCELLED,
    CANCELS,
    CLAIMED,
    COMPLETED,
    CRASHED,
    CRASHES,
    DOOMED,
    EXPECTED,
    FAIL,
    FAILED,
    FAILURES,
    FIRST_TERMINAL,
    GONE,
    LIVE_PROCESS,
    LIVE_ROW,
    MAX_CRASHES,
    MAX_FAILURES,
    OVERDUE,
    OWNER,
    PAGE_CLAIM,
    PAUSED,
    PHASE,
    QUEUED,
    RELEASING,
    RESULTS,
    RUNAWAY,
    RUNNING,
    SAVED_SLOT,
    SCHEDULED,
    SLOT,
    UP,
    DoneFence,
    Pair,
    State,
    World,
    changed,
)


def start(world: World, state: State) -> Iterator[State]:
    """START: a worker turns its claim into an attempt, or gives the claim back."""
    for pair in world.pairs:
        if state[pair.work] & PHASE == CLAIMED and state[pair.session] in LIVE_PROCESS:
            yield started(world, state, pair)


def started(world: World, state: State, pair: Pair) -> State:
    """The state after START of one claim."""
    task, expected = pair.task, state[pair.work] & EXPECTED
    if is_mine(state, pair, expected):  # committed before, and only the reply was lost
        return changed(state, {pair.work: CALLING | expected})
    if not _may_start(world, state, pair, expected):
        return changed(state, {pair.work: RELEASING | expected})
    return changed(
        state,
        {
            task: RUNNING,
            task + ATTEMPT: min(state[task + ATTEMPT] + 1, RUNAWAY),
            task + OWNER: pair.name,
            pair.work: CALLING | expected,
        },
    )


def _may_start(world: World, state: State, pair: Pair, expected: int) -> bool:
    design, task = world.design, pair.task
    if design.start_matches_row and (state[task] != QUEUED or state[task + ATTEMPT] != expected):
        return False
    if design.start_needs_live_session and state[pair.session] not in LIVE_ROW:
        return False
    return not design.strict_limit or world.running(state) < world.limit


def is_mine(state: State, pair: Pair, expected: int) -> bool:
    """The row runs the attempt that this session started from this claim."""
    task = pair.task
    is_running = state[task] == RUNNING and state[task + ATTEMPT] == expected + 1
    return is_running and state[task + OWNER] == pair.name


def done(world: World, state: State) -> Iterator[State]:
    """DONE: an answer arrives, however late."""
    for pair in world.pairs:
        if state[pair.work] & PHASE == CALLING and state[pair.session] in LIVE_PROCESS:
            yield answered(world, state, pair)


def answered(world: World, state: State, pair: Pair) -> State:
    """The state after DONE of one call."""
    task, expected = pair.task, state[pair.work] & EXPECTED
    edits = {pair.work: RELEASING | expected}
    if _may_complete(world, state, pair, expected):
        results = min(state[task + RESULTS] + 1, 2)
        edits |= {task: COMPLETED, task + OWNER: 0, task + RESULTS: results}
    elif is_mine(state, pair, expected):  # refused because a cancel came first
        edits |= {task: CANCELLED, task + OWNER: 0, task + CANCEL: 0}
    return changed(state, edits)


def _may_complete(world: World, state: State, pair: Pair, expected: int) -> bool:
    task, fence = pair.task, world.design.done_accepts
    if fence is DoneFence.NONE:
        return True
    if state[task + CANCEL]:
        return False
    if fence is DoneFence.STATE:
        return state[task] == RUNNING
    is_salvage = state[task] < FIRST_TERMINAL and state[task + ATTEMPT] > expected
    return is_mine(state, pair, expected) or (fence is DoneFence.SALVAGE and is_salvage)


def fail(world: World, state: State) -> Iterator[State]:
    """FAIL: the model answers with an error; only the attempt that owns the row may say so."""
    budget = world.common + FAIL
    if not state[budget]:
        return
    for pair in world.pairs:
        if state[pair.work] & PHASE != CALLING or state[pair.session] not in LIVE_PROCESS:
            continue
        task, expected = pair.task, state[pair.work] & EXPECTED
        edits = {budget: state[budget] - 1, pair.work: RELEASING | expected}
        is_accepted = is_mine(state, pair, expected)
        if not world.design.fail_is_fenced:
            is_accepted = state[task] == RUNNING
        if is_accepted:
            edits |= _after_failure(world, state, task)
        yield changed(state, edits)


def _after_failure(world: World, state: State, task: int) -> dict[int, int]:
    failures = min(state[task + FAILURES] + 1, MAX_FAILURES)
    status = FAILED if failures >= MAX_FAILURES else SCHEDULED
    edits = {task: status, task + FAILURES: failures, task + OWNER: 0}
    if state[task + CANCEL] and world.design.fail_honours_cancel:
        edits |= {task: CANCELLED, task + CANCEL: 0}
    return edits


def heed(world: World, state: State) -> Iterator[State]:
    """A heartbeat's answer tells a worker that its row is cancelled or no longer its own."""
    for pair in world.pairs:
        work = state[pair.work]
        if work & PHASE != CALLING or state[pair.session] != UP:
            continue
        edits = {pair.work: RELEASING | work & EXPECTED}
        if not is_mine(state, pair, work & EXPECTED):
            yield changed(state, edits)
        elif state[pair.task + CANCEL]:
            task = pair.task
            yield changed(state, edits | {task: CANCELLED, task + OWNER: 0, task + CANCEL: 0})


def cancel(world: World, state: State) -> Iterator[State]:
    """CANCEL: a waiting task ends at once; a running one is marked."""
    budget = world.common + CANCELS
    if not state[budget]:
        return
    for task in world.tasks:
        if state[task] in (QUEUED, SCHEDULED):
            yield changed(state, {budget: state[budget] - 1, task: CANCELLED})
        elif state[task] == RUNNING and not state[task + CANCEL]:
            yield changed(state, {budget: state[budget] - 1, task + CANCEL: 1})


def promote(world: World, state: State) -> Iterator[State]:
    """The sweeper: a task whose back-off is over waits in line again; the push may come through or not."""
    for task in world.tasks:
        if state[task] == SCHEDULED:
            queued = changed(state, {task: QUEUED})
            yield from with_or_without_push(queued, task)


def bury(world: World, state: State) -> Iterator[State]:
    """BURY: the row of a process that is no more is marked dead."""
    for number, session in enumerate(world.sessions):
        if state[session] == CRASHED:
            yield buried(world, changed(state, {session: GONE}), 8 * (number + 1))


def buried(world: World, state: State, name: int) -> State:
    """What else a burial's transaction does: nothing, unless rescue belongs to it."""
    if world.design.rescue_at_any_time:
        return state
    for task in world.tasks:
        if state[task] == RUNNING and state[task + OWNER] == name:
            state = rescued(world, state, task)
    return state


def rescue(world: World, state: State) -> Iterator[State]:
    """RESCUE: anyone, on any tick, takes running rows from sessions that are not alive."""
    for task in world.tasks:
        if state[task] == RUNNING and _is_orphan(world, state, task):
            after = rescued(world, state, task)
            yield from with_or_without_push(after, task) if after[task] == QUEUED else (after,)


def _is_orphan(world: World, state: State, task: int) -> bool:
    is_old_enough = not world.design.rescue_spares_live_sessions
    return is_old_enough or not world.has_live_row(state, state[task + OWNER])


def rescued(world: World, state: State, task: int) -> State:
    """The row after its attempt was given up: cancelled, failed or queued anew."""
    crashes = min(state[task + CRASHES] + 1, MAX_CRASHES)
    edits = {
        task: FAILED if crashes >= MAX_CRASHES else QUEUED,
        task + CRASHES: crashes,
        task + OWNER: 0,
    }
    if state[task + CANCEL] and world.design.rescue_honours_cancel:
        edits |= {task: CANCELLED, task + CANCEL: 0}
    return changed(state, edits)


def rescue_reads(world: World, state: State) -> Iterator[State]:
    """A mutant's rescue, first half: read which rows have lost their session."""
    for task in world.tasks:
        if state[task] == RUNNING and _is_orphan(world, state, task) and not state[task + DOOMED]:
            yield changed(state, {task + DOOMED: 1})


def rescue_writes(world: World, state: State) -> Iterator[State]:
    """A mutant's rescue, second half: write what was read, by id."""
    for task in world.tasks:
        if state[task + DOOMED]:
            yield changed(rescued(world, state, task), {task + DOOMED: 0})


def overdue(world: World, state: State) -> Iterator[State]:
    """The deadline sweep takes a row from a live worker that ignores its time limit."""
    budget = world.common + OVERDUE
    if not state[budget]:
        return
    for task in world.tasks:
        if state[task] == RUNNING and world.has_live_row(state, state[task + OWNER]):
            yield changed(rescued(world, state, task), {budget: state[budget] - 1})


def fence(world: World, state: State) -> Iterator[State]:
    """BEAT changes no row: the session learns that it is buried and drops all its calls."""
    for session in world.sessions:
        if state[session] == PAUSED:
            idle = dict.fromkeys(range(session + 1, session + world.session_size), 0)
            yield changed(state, idle | {session: GONE})


def register(world: World, state: State) -> Iterator[State]:
    """A new process registers.

    It takes the place of a session that nothing names any more, which is the same as a number never used.
    """
    for number, session in enumerate(world.sessions):
        if state[session] == GONE and not _is_named(world, state, number + 1):
            yield changed(state, {session: UP})


def _is_named(world: World, state: State, number: int) -> bool:
    fields = (OWNER, SLOT, SAVED_SLOT, PAGE_CLAIM)
    return any(state[task + field] >> 3 == number for task in world.tasks for field in fields)


def with_or_without_push(state: State, task: int) -> Iterator[State]:
    """A row that is queued again: pushed at once, or left to the reconciler."""
    after = pushed(state, task)
    yield after
    if after != state:
        yield state
