"""One state for all that differ only in the order of tasks or sessions.

Tasks are sorted by what names no session, then sessions by what they have in hand. Ties stay as they are: the
search then keeps a few mirror images, which costs time and hides nothing.
"""

from functools import lru_cache
from itertools import pairwise

from tests.model.world import EXPECTED, OWNER, TASK_SIZE, State, World


def canonical(world: World, state: State) -> State:
    """The representative of all the states that look like this one."""
    if len(world.tasks) > 1:
        state = _with_sorted_tasks(world, state)
    if len(world.sessions) > 1:
        state = _with_sorted_sessions(world, state)
    return state


def _with_sorted_tasks(world: World, state: State) -> State:
    keys = [state[task : task + OWNER] for task in world.tasks]
    if _is_sorted(keys):
        return state
    order = sorted(range(len(keys)), key=keys.__getitem__)
    new = bytearray(state)
    for task, old in zip(world.tasks, order, strict=True):
        old_task = world.tasks[old]
        new[task : task + TASK_SIZE] = state[old_task : old_task + TASK_SIZE]
    for session in world.sessions:
        work = session + 1
        for index, old in enumerate(order):
            new[work + index] = state[work + old]
    return bytes(new)


def _with_sorted_sessions(world: World, state: State) -> State:
    size = world.session_size
    keys = [state[place : place + size] for place in world.sessions]
    if _is_sorted(keys):
        return state
    order = sorted(range(len(keys)), key=keys.__getitem__)
    names = _renaming(tuple(order))
    new = bytearray(state)
    for place, old in zip(world.sessions, order, strict=True):
        new[place : place + size] = keys[old]
    for task in world.tasks:
        new[task + OWNER : task + TASK_SIZE] = state[task + OWNER : task + TASK_SIZE].translate(names)
    return bytes(new)


def _is_sorted(keys: list[bytes]) -> bool:
    return all(one <= other for one, other in pairwise(keys))


@lru_cache
def _renaming(order: tuple[int, ...]) -> bytes:
    """A table from old to new names, claims included: session `order[i]` becomes session i."""
    table = bytearray(range(256))
    for new, old in enumerate(order):
        for expected in range(EXPECTED + 1):
            table[8 * (old + 1) | expected] = 8 * (new + 1) | expected
    return bytes(table)
