"""The model can see: a design that lacks one condition is caught, by the kind of harm it does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from tests.model import checks
from tests.model.cases import LOOSE, MUTANTS, Case, Mutant
from tests.model.explore import Search
from tests.model.world import (
    ATTEMPT,
    COMPLETED,
    GONE,
    OWNER,
    READY,
    RESULTS,
    RUNNING,
    SLOT,
    STATUS,
    TASK_SIZE,
    UNWALKED,
    Budget,
    State,
    World,
    changed,
)

CAP: Final = 200_000

Record = Callable[[str, object], None]


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_mutant_is_caught_by_its_kind_of_harm(mutant: Mutant, record_property: Record) -> None:
    """A mutant that passes means that the model has gone blind."""
    report = Search(mutant.case.world(mutant.design)).run(CAP, wanted=mutant.harm)

    print(f"\n{mutant.name}, {mutant.case}: {report}")
    record_property("states", report.states)
    assert mutant.harm <= report.found.keys(), report


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_the_design_is_clean_where_its_mutant_is_caught(mutant: Mutant, record_property: Record) -> None:
    """The harm comes from the missing condition and from nothing else in the scope."""
    report = Search(mutant.case.world(mutant.sound)).run(CAP)

    record_property("states", report.states)
    assert not report.found, report.story()
    assert report.is_complete


@pytest.mark.parametrize("mutant", [one for one in MUTANTS if one.case.tasks == 1], ids=str)
def test_folding_mirror_images_hides_no_harm(mutant: Mutant) -> None:
    """The search finds the same kinds of harm when every mirror image is a state of its own."""
    world = mutant.case.world(mutant.design)

    folded = Search(world).run(CAP)
    unfolded = Search(world, fold=unchanged).run(CAP)

    assert folded.found.keys() == unfolded.found.keys()
    assert folded.states < unfolded.states


def unchanged(world: World, state: State) -> State:
    """Every state stands for itself."""
    del world
    return state


PUSH_LOST: Final = {READY: 0}
CLAIMED_THEN_DEAD: Final = {READY: 0, SLOT: 8}
STARTED_THEN_DEAD: Final = {READY: 0, SLOT: 8, STATUS: RUNNING, ATTEMPT: 1, OWNER: 8}
DONE_NOT_RELEASED: Final = {READY: 0, SLOT: 8, STATUS: COMPLETED, ATTEMPT: 1, RESULTS: 1}
INDEX_LOST: Final = {READY: 0, UNWALKED: 1}


@pytest.mark.parametrize(
    ("found", "needs"),
    [
        pytest.param(PUSH_LOST, {"reconciles"}, id="the push of a new row was lost"),
        pytest.param(
            CLAIMED_THEN_DEAD,
            {"reconciles", "reconcile_expires_slots"},
            id="a worker died between claim and START",
        ),
        pytest.param(
            STARTED_THEN_DEAD,
            {"reconciles", "reconcile_expires_slots", "rescue_at_any_time"},
            id="a worker died during the call",
        ),
        pytest.param(
            DONE_NOT_RELEASED,
            {"reconciles", "reconcile_expires_slots"},
            id="a worker died between DONE and release",
        ),
        pytest.param(INDEX_LOST, {"reconciles"}, id="the index was lost"),
    ],
)
def test_what_a_death_leaves_behind_is_repaired_by_nothing_else(found: dict[int, int], needs: set[str]) -> None:
    """From the state that each death leaves, the design recovers, and without any one repair it does not."""
    case = Case(1, 2, Budget())
    left_behind = changed(bytes(case.world(LOOSE).size), found | {TASK_SIZE: GONE})

    for repair in ("reconciles", "reconcile_expires_slots", "rescue_at_any_time"):
        without = Search(case.world(replace(LOOSE, **{repair: False})))
        assert without.recovers(left_behind) == (repair not in needs), repair
    assert Search(case.world(LOOSE)).recovers(left_behind)


def test_a_harm_comes_with_the_shortest_way_to_it() -> None:
    """Whoever breaks the design can read how it fails, step by step."""
    mutant = next(one for one in MUTANTS if one.name == "a late FAIL is accepted")

    report = Search(mutant.case.world(mutant.design)).run(CAP, wanted=mutant.harm)

    way = [line.split(":")[0] for line in report.first[checks.KNOCKED]]
    assert way[0] == "start"
    assert way[-1] == "fail"
    assert way.count("start") == 3  # the first line, and two attempts
    assert {"pause", "rescue"} <= set(way)
