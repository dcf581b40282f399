"""The index: entries that wait, slots that are held, and the reconciler that repairs both from the record."""

from collections.abc import Iterator

from tests.model.world import (
    ADD,
    ATTEMPT,
    CLAIMED,
    DROP,
    EXPECTED,
    HOLD,
    LIVE_PROCESS,
    OWNER,
    PAGE,
    PAGE_CLAIM,
    PHASE,
    QUEUED,
    READY,
    RELEASING,
    RUNNING,
    SLOT,
    TASK_SIZE,
    UNWALKED,
    UP,
    State,
    World,
    changed,
)


def pushed(state: State, task: int) -> State:
    """The immediate push of a queued row; a claim in the index makes it a no-op."""
    if state[task + SLOT] or state[task + READY]:
        return state
    return changed(state, {task + READY: state[task + ATTEMPT] + 1})


def claim(world: World, state: State) -> Iterator[State]:
    """One script takes an entry and a slot; the index knows nothing of burials."""
    if world.slots(state) >= world.limit or _is_rebuilding(world, state):
        return
    for pair in world.pairs:
        ready = state[pair.task + READY]
        if ready and not state[pair.work] and state[pair.session] in LIVE_PROCESS:
            expected = ready - 1
            slot = pair.name | expected
            yield changed(state, {pair.task + READY: 0, pair.task + SLOT: slot, pair.work: CLAIMED | expected})


def _is_rebuilding(world: World, state: State) -> bool:
    return world.design.claims_wait_for_walk and any(state[task + UNWALKED] for task in world.tasks)


def release(world: World, state: State) -> Iterator[State]:
    """A worker gives its slot back, if the slot is still its own."""
    for pair in world.pairs:
        work = state[pair.work]
        if work & PHASE != RELEASING or state[pair.session] not in LIVE_PROCESS:
            continue
        edits = {pair.work: 0}
        is_own = state[pair.task + SLOT] == pair.name | work & EXPECTED
        if is_own or not world.design.release_is_fenced:
            edits[pair.task + SLOT] = 0
        yield changed(state, edits)


def read(world: World, state: State) -> Iterator[State]:
    """The reconciler reads one row, and notes the slot that is older than the grace."""
    for task in world.tasks:
        page = None if state[task + PAGE] else page_of(world, state, task)
        if page is not None:
            yield changed(state, page)


def page_of(world: World, state: State, task: int) -> dict[int, int] | None:
    """What the reconciler learns of one task, or nothing where it would not look."""
    if state[task] == RUNNING:
        attempt = state[task + ATTEMPT] - 1
        slot = state[task + OWNER] | attempt if world.design.reconcile_adopts_slots else 0
        return {task + PAGE: HOLD | attempt, task + PAGE_CLAIM: slot}
    slot = state[task + SLOT]
    stale = slot if world.design.reconcile_expires_slots and is_past_grace(world, state, task) else 0
    if state[task] == QUEUED:
        return {task + PAGE: ADD | state[task + ATTEMPT], task + PAGE_CLAIM: stale}
    if slot or state[task + READY] or state[task + UNWALKED]:
        return {task + PAGE: DROP, task + PAGE_CLAIM: stale}
    return None


def is_past_grace(world: World, state: State, task: int) -> bool:
    """The slot is old and its row is not running.

    A healthy worker resolves START well within the grace, so its open claim is never old: see `stall`.
    """
    return state[task + SLOT] != 0 and not is_open_claim(world, state, task)


def is_open_claim(world: World, state: State, task: int) -> bool:
    """The slot belongs to a healthy worker that has not yet sent START."""
    slot = state[task + SLOT]
    if not slot:
        return False
    session = world.place_of(slot)
    work = session + 1 + task // TASK_SIZE
    return state[session] == UP and state[work] == CLAIMED | slot & EXPECTED


def apply(world: World, state: State) -> Iterator[State]:
    """The reconciler's script repairs the index by what was read, which may be long ago."""
    for task in world.tasks:
        if state[task + PAGE]:
            yield applied(state, task)


def applied(state: State, task: int) -> State:
    """The state after one task's page was applied."""
    kind, noted = state[task + PAGE] & PHASE, state[task + PAGE_CLAIM]
    slot, ready = state[task + SLOT], state[task + READY]
    if kind == HOLD:
        slot, ready = slot or noted, 0
    else:
        slot = 0 if slot == noted else slot
        expected = state[task + PAGE] & EXPECTED
        ready = 0 if kind == DROP else ready if slot else max(ready, expected + 1)
    return changed(
        state,
        {
            task + PAGE: 0,
            task + PAGE_CLAIM: 0,
            task + UNWALKED: 0,
            task + SLOT: slot,
            task + READY: ready,
        },
    )


def tidy(world: World, state: State) -> Iterator[State]:
    """A read that is applied at once, where it changes anything: all that an undisturbed reconciler does."""
    for task in world.tasks:
        page = page_of(world, state, task)
        after = state if page is None else applied(changed(state, page), task)
        if after != state:
            yield after
