"""The transition table: which rules a world has, as data."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

from tests.model import faults, index, record
from tests.model.world import Budget, Design, State, World

Act: TypeAlias = Callable[[World, State], Iterator[State]]


class Rule(NamedTuple):
    """A named transition: all the states that it leads to from one state."""

    name: str
    act: Act


STEPS: Final = (
    Rule("apply", index.apply),
    Rule("rescue", record.rescue),
    Rule("bury", record.bury),
    Rule("fence", record.fence),
    Rule("release", index.release),
    Rule("done", record.done),
    Rule("start", record.start),
    Rule("heed", record.heed),
    Rule("promote", record.promote),
    Rule("claim", index.claim),
    Rule("register", record.register),
    Rule("read", index.read),
)

# Which budget pays for which rules.
FAULTS: Final[dict[str, tuple[Rule, ...]]] = {
    "crash": (Rule("crash", faults.crash),),
    "pause": (Rule("pause", faults.pause),),
    "loss": (Rule("lose", faults.lose),),
    "rollback": (Rule("snapshot", faults.snapshot), Rule("roll back", faults.roll_back)),
    "fail": (Rule("fail", record.fail),),
    "cancel": (Rule("cancel", record.cancel),),
    "reply": (Rule("lose reply", faults.lose_reply),),
    "stall": (Rule("stall", faults.stall),),
    "overdue": (Rule("overdue", record.overdue),),
}

TIDY: Final = Rule("tidy", index.tidy)
TWO_STEP_RESCUE: Final = (
    Rule("rescue reads", record.rescue_reads),
    Rule("rescue writes", record.rescue_writes),
)


def steps_of(design: Design) -> tuple[Rule, ...]:
    """The rules that are no fault, with a mutant's replacements."""
    rules: list[Rule] = []
    for rule in STEPS:
        if rule.name == "rescue":
            rules += _rescue_of(design, rule)
        elif design.reconciles or rule.name not in ("read", "apply"):
            rules.append(rule)
    return tuple(rules)


def faults_of(budget: Budget) -> tuple[Rule, ...]:
    """The rules that some budget pays for."""
    return tuple(rule for name, times in budget._asdict().items() if times for rule in FAULTS[name])


def recovery_of(design: Design) -> tuple[Rule, ...]:
    """The rules of an undisturbed world, most urgent first; what is read there is applied at once."""
    rules = tuple(rule for rule in steps_of(design) if rule.name != "read")
    return (*rules, TIDY) if design.reconciles else rules


def _rescue_of(design: Design, rule: Rule) -> tuple[Rule, ...]:
    if not design.rescue_at_any_time:
        return ()
    return (rule,) if design.rescue_is_one_update else TWO_STEP_RESCUE
