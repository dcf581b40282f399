"""What a state of the model holds, and how it is packed.

A world is some tasks, each with its row in the record and its entry in the index, some worker sessions with
the claims in their hands, and a budget of faults that may still strike. All of it is one flat `bytes` of
small numbers, because a search keeps millions of them:

    task 0 | task 1 | … | session 1 | session 2 | … | forgotten, taken, one number per kind of fault

The names below are offsets into one of these blocks: `state[task + STATUS]`, `state[session]`.

There is no clock: what a timeout guards may happen at any moment, where a budget allows it. Left out are the
states that no worker touches (blocked, held, expired), rates and budgets of money, a person who requeues, and
two reconcilers that hold a page of the same row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

State: TypeAlias = bytes

# A task's block: the row, the index entry, the copy of the entry in an old snapshot, the reconciler's page.
STATUS: Final = 0
ATTEMPT: Final = 1
CANCEL: Final = 2
FAILURES: Final = 3
CRASHES: Final = 4
RESULTS: Final = 5
READY: Final = 6  # 0 not waiting in the index, else 1 + the attempt the entry was made for
SAVED_READY: Final = 7
PAGE: Final = 8  # 0 no page in flight, else one of the page kinds plus the attempt that was read
UNWALKED: Final = 9  # 1 until the walk after a loss has passed this task; no claims before
DOOMED: Final = 10  # a rescuer has read this row and not yet written; used by a mutant only
# From here on a field names a session: eight times its number, plus the expected attempt where it is a claim.
OWNER: Final = 11
SLOT: Final = 12
SAVED_SLOT: Final = 13
PAGE_CLAIM: Final = 14  # HOLD: the slot to adopt; ADD and DROP: the stale slot to remove
TASK_SIZE: Final = 15

QUEUED, SCHEDULED, RUNNING, COMPLETED, FAILED, CANCELLED = range(6)
FIRST_TERMINAL: Final = COMPLETED
STATUS_NAMES: Final = ("queued", "scheduled", "running", "completed", "failed", "cancelled")

# A session's block: how it is, then one byte of work per task (0, or a phase plus the expected attempt).
UP, CRASHED, PAUSED, GONE = range(4)
SESSION_NAMES: Final = ("up", "crashed", "paused and buried", "gone")
LIVE_ROW: Final = (UP, CRASHED)  # the record still believes in this session
LIVE_PROCESS: Final = (UP, PAUSED)  # something is there that can still act

CLAIMED, CALLING, RELEASING = 8, 16, 24
ADD, HOLD, DROP = 8, 16, 24
LABELS: Final = {0: "-", 8: "claimed", 16: "calling", 24: "releasing"}
PAGE_LABELS: Final = {8: "add", 16: "hold", 24: "drop"}
PHASE: Final = 0b11111000
EXPECTED: Final = 0b00000111
RUNAWAY: Final = 7  # more starts than any budget here can explain; the search goes no further

MAX_FAILURES: Final = 2
MAX_CRASHES: Final = 3

# The common block at the end, before the budget.
FORGOTTEN: Final = 0  # admissions whose slot an index fault has erased
TAKEN: Final = 1  # an old snapshot of the index exists
BUDGET: Final = 2


class Budget(NamedTuple):
    """How often each fault may still strike."""

    crash: int = 0
    pause: int = 0  # longer than the session's ttl: buried at any time, wakes at any time
    loss: int = 0
    rollback: int = 0
    fail: int = 0
    cancel: int = 0
    reply: int = 0  # committed, but the answer was lost
    stall: int = 0  # a live worker sits on a claim for longer than the grace
    overdue: int = 0  # the deadline sweep takes a row from a worker that ignores its time limit


_PLACES: Final = range(BUDGET, BUDGET + len(Budget._fields))
CRASH, PAUSE, LOSS, ROLLBACK, FAIL, CANCELS, REPLY, STALL, OVERDUE = _PLACES


class DoneFence(Enum):
    """Which rows DONE may complete."""

    SALVAGE = "running under this attempt and owner, or open and not younger than this attempt"
    OWNER = "running under this attempt and owner"
    STATE = "running"
    NONE = "any"


@dataclass(frozen=True)
class Design:
    """Which conditions the statements carry; the defaults are the design, a mutant drops one."""

    start_matches_row: bool = True
    start_needs_live_session: bool = True
    strict_limit: bool = False
    done_accepts: DoneFence = DoneFence.SALVAGE
    fail_is_fenced: bool = True
    fail_honours_cancel: bool = True
    release_is_fenced: bool = True
    rescue_spares_live_sessions: bool = True
    rescue_is_one_update: bool = True
    rescue_at_any_time: bool = True
    rescue_honours_cancel: bool = True
    reconciles: bool = True
    reconcile_adopts_slots: bool = True
    reconcile_expires_slots: bool = True
    claims_wait_for_walk: bool = True


class Pair(NamedTuple):
    """One task in the hands of one session, as places in a state."""

    task: int
    name: int  # the session as OWNER and SLOT spell it
    session: int
    work: int


class World:
    """A scope to explore: its size, its faults and the design under test."""

    def __init__(self, tasks: int, sessions: int, budget: Budget, design: Design | None = None, limit: int = 1) -> None:
        """Lay out a world.

        Args:
            tasks: how many rows there are.
            sessions: how many worker processes there are at one time.
            budget: how often each fault may strike.
            design: the statements' conditions, by default all of them.
            limit: how many of the tasks may run at one time.
        """
        self.design = design or Design()
        self.budget = budget
        self.limit = limit
        self.tasks = tuple(range(0, tasks * TASK_SIZE, TASK_SIZE))
        self.first_session = tasks * TASK_SIZE
        self.session_size = 1 + tasks
        self.common = self.first_session + sessions * self.session_size
        self.sessions = tuple(range(self.first_session, self.common, self.session_size))
        self.size = self.common + BUDGET + len(budget)
        self.pairs = tuple(
            Pair(task, 8 * (number + 1), session, session + 1 + index)
            for index, task in enumerate(self.tasks)
            for number, session in enumerate(self.sessions)
        )

    def starts(self) -> list[State]:
        """Every task submitted; the push to the index has come through for all, some or none."""
        states = [bytes([*bytes(self.common + BUDGET), *self.budget])]
        for task in self.tasks:
            states += [changed(state, {task + READY: 1}) for state in states]
        return states

    def place_of(self, name: int) -> int:
        """Where the session stands that OWNER, SLOT or PAGE_CLAIM names."""
        return self.first_session + ((name >> 3) - 1) * self.session_size

    def has_live_row(self, state: State, name: int) -> bool:
        """The record believes that this session is alive."""
        return name != 0 and state[self.place_of(name)] in LIVE_ROW

    def running(self, state: State) -> int:
        """How many rows are running."""
        return sum(state[task] == RUNNING for task in self.tasks)

    def slots(self, state: State) -> int:
        """How many slots the index holds."""
        return sum(state[task + SLOT] != 0 for task in self.tasks)

    def is_finished(self, state: State) -> bool:
        """Every task is terminal and every slot is empty."""
        return all(state[task] >= FIRST_TERMINAL and not state[task + SLOT] for task in self.tasks)

    def without_faults(self, state: State) -> State:
        """The same state in a world where nothing goes wrong any more."""
        calm = bytearray(state)
        calm[self.common :] = bytes(self.size - self.common)
        if state[self.common + TAKEN]:
            for task in self.tasks:
                calm[task + SAVED_READY] = calm[task + SAVED_SLOT] = 0
        return bytes(calm)

    def show(self, state: State) -> str:
        """One line for people."""
        tasks = [_task_line(state[task : task + TASK_SIZE]) for task in self.tasks]
        sessions = []
        for place in self.sessions:
            work = [_claim(code, LABELS) for code in state[place + 1 : place + self.session_size]]
            sessions.append(f"{SESSION_NAMES[state[place]]} {','.join(work)}")
        return " | ".join(tasks + sessions)


def changed(state: State, edits: Mapping[int, int]) -> State:
    """The state with some places set anew."""
    new = bytearray(state)
    for place, value in edits.items():
        new[place] = value
    return bytes(new)


def _claim(code: int, labels: Mapping[int, str]) -> str:
    return f"{labels[code & PHASE]}#{code & EXPECTED}" if code else "-"


def _task_line(block: bytes) -> str:
    parts = [f"{STATUS_NAMES[block[STATUS]]}#{block[ATTEMPT]}"]
    parts += [f"owner {block[OWNER] >> 3}"] if block[OWNER] else []
    parts += ["cancel asked"] if block[CANCEL] else []
    parts += [f"ready#{block[READY] - 1}"] if block[READY] else []
    parts += [f"slot {block[SLOT] >> 3}#{block[SLOT] & EXPECTED}"] if block[SLOT] else []
    parts += [f"page {_claim(block[PAGE], PAGE_LABELS)}"] if block[PAGE] else []
    parts += ["unwalked"] if block[UNWALKED] else []
    parts += [f"results {block[RESULTS]}"] if block[RESULTS] else []
    return " ".join(parts)
