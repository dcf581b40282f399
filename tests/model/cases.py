"""The scopes that are searched and the mutants that must be caught, as data."""

from dataclasses import dataclass
from typing import Final

from tests.model import checks
from tests.model.world import Budget, Design, DoneFence, World

LOOSE: Final = Design()
STRICT: Final = Design(strict_limit=True)


@dataclass(frozen=True)
class Case:
    """A scope: how many tasks and sessions, which faults, how many may run at one time."""

    tasks: int
    sessions: int
    budget: Budget
    limit: int = 1

    @property
    def designs(self) -> tuple[Design, ...]:
        """Without and with the strict clause, where it can make a difference."""
        return (LOOSE, STRICT) if self.tasks > self.limit else (LOOSE,)

    def world(self, design: Design) -> World:
        """The scope under one design."""
        return World(self.tasks, self.sessions, self.budget, design, self.limit)

    def __str__(self) -> str:
        """The scope in words, as a test id."""
        faults = [f"{name} {times}" for name, times in self.budget._asdict().items() if times]
        return f"{self.tasks} x {self.sessions}, limit {self.limit}, {', '.join(faults) or 'no fault'}"


@dataclass(frozen=True)
class Mutant:
    """A design that lacks one condition, the smallest scope that shows the harm, and the harm itself."""

    name: str
    case: Case
    design: Design
    harm: frozenset[str]
    sound: Design = LOOSE

    def __str__(self) -> str:
        """The name, as a test id."""
        return self.name


QUICK: Final = (
    Case(1, 1, Budget()),
    Case(2, 2, Budget()),
    Case(1, 2, Budget(crash=1, pause=1, loss=1, fail=1)),
    Case(1, 2, Budget(crash=1, loss=1, rollback=1, cancel=1)),
    Case(1, 2, Budget(pause=1, reply=1, stall=1, overdue=1)),
    Case(2, 2, Budget(crash=1, loss=1)),
    Case(2, 2, Budget(crash=1, cancel=1)),
    Case(2, 2, Budget(rollback=1, cancel=1)),
    Case(2, 2, Budget(stall=1, reply=1)),
    Case(2, 2, Budget(pause=1)),
)

EVERYTHING: Final = Case(2, 2, Budget(1, 1, 1, 1, 1, 1, 1, 1, 1))

NIGHTLY: Final = (
    Case(1, 2, Budget(crash=1, pause=1, loss=1, rollback=1, fail=1, cancel=1)),
    Case(1, 2, Budget(crash=1, pause=1, loss=1, fail=1, cancel=1, reply=1, stall=1, overdue=1)),
    EVERYTHING,
    Case(1, 3, Budget(crash=1, pause=1, loss=1, rollback=1, fail=1, cancel=1)),
    Case(2, 2, Budget(crash=2, loss=2)),
    Case(2, 2, Budget(crash=1, pause=1, loss=1)),
    Case(2, 2, Budget(crash=1, rollback=1, cancel=1)),
    Case(2, 2, Budget(pause=1, rollback=1)),
    Case(2, 2, Budget(pause=1, fail=1, cancel=1)),
    Case(2, 2, Budget(pause=1, reply=1, stall=1, overdue=1)),
    Case(2, 3, Budget(crash=2, loss=1)),
    Case(3, 2, Budget(crash=1, loss=1), limit=2),
)

# Where the limit is passed without the strict clause: an admission is forgotten, its row may start.
FORGETFUL: Final = (
    Case(2, 2, Budget(loss=1)),
    Case(2, 2, Budget(rollback=1)),
    Case(2, 2, Budget(stall=1)),
)

MUTANTS: Final = (
    Mutant(
        "DONE has no completion fence",
        Case(1, 2, Budget(pause=1, cancel=1)),
        Design(done_accepts=DoneFence.NONE),
        frozenset({checks.DOUBLE_RESULT, checks.TERMINAL_CHANGED}),
    ),
    Mutant(
        "START does not compare status and attempt",
        Case(2, 2, Budget(loss=1)),
        Design(start_matches_row=False),
        frozenset({checks.STUCK, checks.TERMINAL_CHANGED, checks.DOUBLE_RESULT, checks.OVER_LIMIT}),
    ),
    Mutant(
        "START does not ask whether the session is alive",
        Case(2, 2, Budget(pause=1)),
        Design(start_needs_live_session=False),
        frozenset({checks.OVER_LIMIT}),
    ),
    Mutant(
        "START does not ask whether the session is alive, and rescue happens at the burial only",
        Case(2, 2, Budget(pause=1)),
        Design(start_needs_live_session=False, rescue_at_any_time=False),
        frozenset({checks.STUCK}),
        sound=Design(rescue_at_any_time=False),
    ),
    Mutant(
        "there is no reconciler",
        Case(1, 2, Budget(crash=1)),
        Design(reconciles=False),
        frozenset({checks.STUCK}),
    ),
    Mutant(
        "the reconciler never expires a stale claim",
        Case(1, 2, Budget(crash=1)),
        Design(reconcile_expires_slots=False),
        frozenset({checks.STUCK}),
    ),
    Mutant(
        "the reconciler does not adopt the slots of running rows",
        Case(2, 2, Budget(loss=1)),
        Design(reconcile_adopts_slots=False),
        frozenset({checks.OVER_LIMIT}),
    ),
    Mutant(
        "claims do not wait for the walk after a loss",
        Case(2, 2, Budget(loss=1)),
        Design(claims_wait_for_walk=False),
        frozenset({checks.OVER_LIMIT}),
    ),
    Mutant(
        "rescue is decided on an old read and written by id",
        Case(1, 2, Budget(pause=1)),
        Design(rescue_is_one_update=False),
        frozenset({checks.TERMINAL_CHANGED, checks.DOUBLE_RESULT}),
    ),
    Mutant(
        "rescue goes by age and takes the rows of live sessions",
        Case(1, 2, Budget()),
        Design(rescue_spares_live_sessions=False),
        frozenset({checks.UNEARNED_CRASH}),
    ),
    Mutant(
        "rescue forgets a cancel",
        Case(1, 2, Budget(crash=1, cancel=1)),
        Design(rescue_honours_cancel=False),
        frozenset({checks.CANCEL_LOST}),
    ),
    Mutant(
        "FAIL forgets a cancel",
        Case(1, 2, Budget(fail=1, cancel=1)),
        Design(fail_honours_cancel=False),
        frozenset({checks.CANCEL_LOST}),
    ),
    Mutant(
        "a late FAIL is accepted",
        Case(1, 2, Budget(pause=1, fail=1)),
        Design(fail_is_fenced=False),
        frozenset({checks.KNOCKED}),
    ),
    Mutant(
        "DONE is fenced by status alone",
        Case(1, 2, Budget(pause=1)),
        Design(done_accepts=DoneFence.STATE),
        frozenset({checks.ANSWER_WASTED}),
    ),
    Mutant(
        "DONE does not salvage the answer of an older attempt",
        Case(1, 2, Budget(pause=1)),
        Design(done_accepts=DoneFence.OWNER),
        frozenset({checks.ANSWER_WASTED}),
    ),
    Mutant(
        "release is not fenced",
        Case(2, 2, Budget(pause=1)),
        Design(release_is_fenced=False),
        frozenset({checks.FOREIGN_RELEASE, checks.OVER_LIMIT}),
    ),
)
