"""The search: breadth first through every state of a world, with the checks in each."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

from tests.model import checks
from tests.model.symmetry import canonical
from tests.model.table import Rule, faults_of, recovery_of, steps_of
from tests.model.world import ATTEMPT, State, World

Fold: TypeAlias = Callable[[World, State], State]


@dataclass
class Report:
    """What a search has seen."""

    states: int = 0
    steps: int = 0
    depth: int = 0
    most_starts: int = 0
    over_limit: int = 0  # states with more running rows than the limit, excused or not
    is_complete: bool = False
    used: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        """The figures in one line."""
        extent = "complete" if self.is_complete else "truncated"
        found = ", ".join(f"{kind}: {times}" for kind, times in sorted(self.found.items())) or "none"
        return (
            f"{self.states} states ({extent}), {self.steps} steps, depth {self.depth}, "
            f"at most {self.most_starts} starts of a task, {self.over_limit} states over the limit; "
            f"violations: {found}"
        )

    def story(self) -> str:
        """The figures, and for each kind of violation the shortest way to it."""
        parts = [str(self)]
        for kind, lines in self.first.items():
            parts += [f"\n{kind}:", *lines]
        return "\n".join(parts)


class Search:
    """A breadth-first search of one world."""

    def __init__(self, world: World, fold: Fold = canonical) -> None:
        """Prepare an empty search.

        Args:
            world: what to explore.
            fold: gives one state for all its mirror images.
        """
        self._fold = fold
        self._world = world
        self._rules = (*steps_of(world.design), *faults_of(world.budget))
        self._recovery = recovery_of(world.design)
        self._recovers: dict[State, bool] = {}
        self._parents: dict[State, State | None] = {}
        self._report = Report()

    def run(self, cap: int, wanted: frozenset[str] = frozenset()) -> Report:
        """Explore until everything is seen, the cap is reached, or all that is wanted has been found.

        Args:
            cap: the most states to keep.
            wanted: kinds of violation; none means to go on to the end.
        """
        report, frontier = self._report, []
        for state in self._world.starts():
            self._meet(self._fold(self._world, state), None, frontier)
        while frontier:
            reached: list[State] = []
            for state in frontier:
                self._expand(state, reached)
                if len(self._parents) >= cap or (wanted and wanted <= report.found.keys()):
                    report.states = len(self._parents)
                    return report
            report.depth += bool(reached)
            frontier = reached
        report.states, report.is_complete = len(self._parents), True
        return report

    def _expand(self, state: State, reached: list[State]) -> None:
        for name, act in self._rules:
            for after in act(self._world, state):
                self._report.steps += 1
                self._report.used[name] += 1
                for kind in checks.of_step(self._world, name, state, after):
                    self._note(kind, state, f"{name}: {self._world.show(after)}")
                key = self._fold(self._world, after)
                if key not in self._parents:
                    self._meet(key, state, reached)

    def _meet(self, state: State, parent: State | None, reached: list[State]) -> None:
        """Check a state that was not seen before."""
        self._parents[state] = parent
        broken = list(checks.of_state(self._world, state))
        if checks.RUNS_AWAY not in broken:
            reached.append(state)
            if not self.recovers(state):
                broken.append(checks.STUCK)
        for kind in broken:
            self._note(kind, state)
        self._report.over_limit += checks.is_over_limit(self._world, state)
        for task in self._world.tasks:
            if state[task + ATTEMPT] > self._report.most_starts:
                self._report.most_starts = state[task + ATTEMPT]

    def recovers(self, state: State) -> bool:
        """Whether every task ends and every slot empties once nothing goes wrong any more."""
        way: list[State] = []
        now: State | None = self._world.without_faults(state)
        verdict = False
        while now is not None:
            known = self._recovers.get(now)
            if known is not None:
                verdict = known
                break
            if self._world.is_finished(now):
                way.append(now)
                verdict = True
                break
            self._recovers[now] = False  # coming back here is going in circles
            way.append(now)
            now = self._next_calm(now)
        self._recovers.update(dict.fromkeys(way, verdict))
        return verdict

    def _next_calm(self, state: State) -> State | None:
        return next((after for rule in self._recovery for after in rule.act(self._world, state)), None)

    def _note(self, kind: str, state: State, last: str = "") -> None:
        self._report.found[kind] += 1
        if kind not in self._report.first:
            self._report.first[kind] = [*self._way_to(state), *([last] if last else [])]

    def _way_to(self, state: State) -> list[str]:
        """The steps from a start to this state; sessions may swap places between two lines."""
        line = [state]
        while (parent := self._parents[line[-1]]) is not None:
            line.append(parent)
        line.reverse()
        steps = [f"start: {self._world.show(line[0])}"]
        for before, after in pairwise(line):
            steps.append(f"{self._rule_between(before, after)}: {self._world.show(after)}")
        return steps

    def _rule_between(self, before: State, after: State) -> str:
        return next(rule.name for rule, key in self._successors(before) if key == after)

    def _successors(self, state: State) -> Iterator[tuple[Rule, State]]:
        for rule in self._rules:
            for after in rule.act(self._world, state):
                yield rule, self._fold(self._world, after)
