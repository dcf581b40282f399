"""Reading the oracle's ledger: every call with its end, and what follows from them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PAID = frozenset({"ok", "gone", "open"})
"""Ends of calls that the provider would charge for. The others were refused or broken by the provider itself."""


@dataclass
class Call:
    """One call as the provider saw it. Instants in milliseconds of the monotonic clock."""

    serial: int
    task: int
    model: str
    at_ms: int
    open: int
    ended_ms: int | None = None
    how: str = "open"
    tokens: int = 0


class Ledger:
    """All calls of one run."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = calls
        self.by_task: defaultdict[int, list[Call]] = defaultdict(list)
        for call in calls:
            self.by_task[call.task].append(call)

    @classmethod
    def read(cls, path: Path) -> Ledger:
        calls: dict[int, Call] = {}
        for line in path.read_text().splitlines():
            words = line.split()
            if words[0] == "call":
                serial, task, model, at_ms, is_open = words[1:]
                calls[int(serial)] = Call(int(serial), int(task), model, int(at_ms), int(is_open))
            else:
                call = calls[int(words[1])]
                call.ended_ms, call.how, call.tokens = int(words[2]), words[3], int(words[4])
        return cls(list(calls.values()))

    def duplicates(self) -> int:
        """Paid calls beyond the first of each task."""
        paid = Counter(call.task for call in self.calls if call.how in PAID)
        return sum(count - 1 for count in paid.values())

    def over_concurrency(self, limits: dict[str, int]) -> tuple[int, int]:
        """(most calls above a model's limit at once, calls that arrived above it)."""
        over = [call.open - limits[call.model] for call in self.calls if call.open > limits.get(call.model, 1 << 30)]
        return max(over, default=0), len(over)

    def over_rate(self, model: str, per_minute: int, *, by_tokens: bool = False, window_ms: int = 60_000) -> int:
        """How much the fullest window of a minute holds above the limit."""
        ours = [call for call in self.calls if call.model == model]
        total = worst = begin = 0
        sizes = [call.tokens if by_tokens else 1 for call in ours]
        for at, call in enumerate(ours):
            total += sizes[at]
            while ours[begin].at_ms <= call.at_ms - window_ms:
                total -= sizes[begin]
                begin += 1
            worst = max(worst, total)
        return max(0, worst - per_minute)

    def longest_silence_ms(self, since_ms: int) -> int:
        """The longest time without a call between `since_ms` and the last call."""
        times = [call.at_ms for call in self.calls]
        later = times[bisect_left(times, since_ms) :]
        return max((b - a for a, b in pairwise([since_ms, *later])), default=0)

    def first_after_ms(self, at_ms: int) -> int | None:
        """How long after `at_ms` the next call came."""
        times = [call.at_ms for call in self.calls]
        place = bisect_left(times, at_ms)
        return times[place] - at_ms if place < len(times) else None
