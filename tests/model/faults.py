"""What goes wrong from outside: processes die or sleep, the index forgets or goes back, replies are lost."""

from collections.abc import Iterator

from tests.model.index import is_open_claim, page_of
from tests.model.record import answered, buried, started
from tests.model.world import (
    CALLING,
    CLAIMED,
    CRASH,
    CRASHED,
    FORGOTTEN,
    LIVE_PROCESS,
    LOSS,
    PAGE,
    PAGE_CLAIM,
    PAUSE,
    PAUSED,
    PHASE,
    READY,
    REPLY,
    ROLLBACK,
    RUNNING,
    SAVED_READY,
    SAVED_SLOT,
    SLOT,
    STALL,
    TAKEN,
    UNWALKED,
    UP,
    State,
    World,
    changed,
)


def crash(world: World, state: State) -> Iterator[State]:
    """A process dies with all it had in hand; its row stays alive until the burial."""
    budget = world.common + CRASH
    if not state[budget]:
        return
    for session in world.sessions:
        if state[session] == UP:
            idle = dict.fromkeys(range(session + 1, session + world.session_size), 0)
            yield changed(state, idle | {session: CRASHED, budget: state[budget] - 1})


def pause(world: World, state: State) -> Iterator[State]:
    """A process sleeps for longer than its ttl and is buried, but wakes later with its work in hand."""
    budget = world.common + PAUSE
    if not state[budget]:
        return
    for number, session in enumerate(world.sessions):
        if state[session] == UP:
            asleep = changed(state, {session: PAUSED, budget: state[budget] - 1})
            yield buried(world, asleep, 8 * (number + 1))


def lose(world: World, state: State) -> Iterator[State]:
    """The index is empty; no claim is answered until a walk has passed every task."""
    budget = world.common + LOSS
    if not state[budget]:
        return
    edits = {budget: state[budget] - 1}
    for task in world.tasks:
        edits |= {task + place: 0 for place in (READY, SLOT, PAGE, PAGE_CLAIM)}
        edits[task + UNWALKED] = 1
    in_flight = sum(is_open_claim(world, state, task) for task in world.tasks)
    place = world.common + FORGOTTEN
    yield changed(state, edits | {place: state[place] + in_flight})


def snapshot(world: World, state: State) -> Iterator[State]:
    """The moment to which the index will go back."""
    taken = world.common + TAKEN
    if not state[world.common + ROLLBACK] or state[taken]:
        return
    edits = {taken: 1}
    for task in world.tasks:
        edits |= {task + SAVED_READY: state[task + READY], task + SAVED_SLOT: state[task + SLOT]}
    yield changed(state, edits)


def roll_back(world: World, state: State) -> Iterator[State]:
    """A stale replica takes over: the index is what it was at the snapshot, and looks healthy."""
    budget, taken = world.common + ROLLBACK, world.common + TAKEN
    if not state[taken]:
        return
    edits = {budget: state[budget] - 1, taken: 0}
    erased = 0
    for task in world.tasks:
        is_admitted = state[task] == RUNNING or is_open_claim(world, state, task)
        erased += is_admitted and state[task + SAVED_SLOT] != state[task + SLOT]
        edits |= {
            task + READY: state[task + SAVED_READY],
            task + SLOT: state[task + SAVED_SLOT],
            task + SAVED_READY: 0,
            task + SAVED_SLOT: 0,
        }
    place = world.common + FORGOTTEN
    yield changed(state, edits | {place: state[place] + erased})


def lose_reply(world: World, state: State) -> Iterator[State]:
    """START or DONE is committed, but the worker does not hear of it and will send it again."""
    budget = world.common + REPLY
    if not state[budget]:
        return
    for pair in world.pairs:
        phase = state[pair.work] & PHASE
        if phase not in (CLAIMED, CALLING) or state[pair.session] not in LIVE_PROCESS:
            continue
        after = (started if phase == CLAIMED else answered)(world, state, pair)
        unheard = changed(after, {pair.work: state[pair.work]})
        if unheard != state:
            yield changed(unheard, {budget: state[budget] - 1})


def stall(world: World, state: State) -> Iterator[State]:
    """A live worker sits on its claim for longer than the grace; the reconciler takes the slot for stale."""
    budget, place = world.common + STALL, world.common + FORGOTTEN
    if not state[budget] or not world.design.reconcile_expires_slots:
        return
    for task in world.tasks:
        if state[task] != RUNNING and not state[task + PAGE] and is_open_claim(world, state, task):
            page = page_of(world, state, task) or {}
            noted = {task + PAGE_CLAIM: state[task + SLOT], place: state[place] + 1}
            yield changed(state, page | noted | {budget: state[budget] - 1})
