"""The design of record and broker, searched breadth first: its promises hold in every reachable state."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from tests.model.cases import EVERYTHING, FORGETFUL, LOOSE, NIGHTLY, QUICK, STRICT, Case
from tests.model.explore import Report, Search
from tests.model.table import FAULTS, STEPS
from tests.model.world import Budget, Design

QUICK_CAP: Final = 400_000
NIGHTLY_CAP: Final = 3_000_000

Record = Callable[[str, object], None]


def with_designs(cases: Sequence[Case]) -> list[Any]:
    """Every scope with each design that it can tell apart."""
    return [pytest.param(case, design, id=f"{case}, {limits(design)}") for case in cases for design in case.designs]


def limits(design: Design) -> str:
    """What the design says of limits, in a word."""
    return "strict" if design.strict_limit else "loose"


def searched(case: Case, design: Design, cap: int, record: Record) -> Report:
    """Search one scope and leave the figures in the output and in the report file."""
    report = Search(case.world(design)).run(cap)
    print(f"\n{case}, {limits(design)}, cap {cap}: {report}")
    record("states", report.states)
    record("complete", report.is_complete)
    return report


@pytest.mark.parametrize(("case", "design"), with_designs(QUICK))
def test_no_fault_within_budget_breaks_a_promise(case: Case, design: Design, record_property: Record) -> None:
    """One result at most, ends that stay, no task stuck, no row over the limit: in every state there is."""
    report = searched(case, design, QUICK_CAP, record_property)

    assert not report.found, report.story()
    assert report.is_complete


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("case", "design"), with_designs(NIGHTLY))
def test_no_fault_within_a_wide_budget_breaks_a_promise(case: Case, design: Design, record_property: Record) -> None:
    """The same promises in the wide scopes, as far as the cap allows."""
    report = searched(case, design, NIGHTLY_CAP, record_property)

    assert not report.found, report.story()


@pytest.mark.parametrize("case", FORGETFUL, ids=str)
def test_a_forgotten_claim_passes_the_limit_only_without_strict_limits(case: Case, record_property: Record) -> None:
    """The clause in START closes the gap: rows over the limit are reached without it, and none with it."""
    loose = searched(case, LOOSE, QUICK_CAP, record_property)
    strict = searched(case, STRICT, QUICK_CAP, record_property)

    assert loose.over_limit > 0
    assert strict.over_limit == 0


@pytest.mark.parametrize(
    ("case", "starts"),
    [
        (Case(1, 2, Budget(loss=1, rollback=1, cancel=1)), 1),
        (Case(1, 2, Budget(crash=1, loss=1)), 2),
        (Case(1, 2, Budget(crash=1, pause=1)), 3),
        (Case(1, 2, Budget(crash=1, pause=1, fail=1)), 4),
    ],
    ids=str,
)
def test_each_further_start_of_a_task_is_paid_for_by_a_fault(case: Case, starts: int) -> None:
    """A lost index costs no call; each death, sleep or failed call costs one."""
    report = Search(case.world(LOOSE)).run(QUICK_CAP)

    assert report.most_starts == starts
    assert report.is_complete


def test_every_rule_of_the_table_is_reached() -> None:
    """A rule that never applies would make the model blind to what it stands for."""
    report = Search(EVERYTHING.world(LOOSE)).run(cap=10_000)

    faults = {rule.name for rules in FAULTS.values() for rule in rules}
    assert report.used.keys() == {rule.name for rule in STEPS} | faults
