"""Which draws of a scenario are like the published one: how the seeds in bench/scenarios.py were found.

Tenants' class mixes are draws, and they weigh: under strict priority the p99 wait of high on C is from 0.8 to 24 s,
by how much of the demand happens to be of the high class. For A, B, C and F the rows of `fifo`, `priority` and
`tenant_first` are published, means of three seeds. Each of the first 40 draws of a trace is run under these three, and
the three that are nearest are taken. Near: the mean of |ln(ours / published)| over the six figures of each row.

No figure of `fair` is read here, so what `fair` reaches on these draws remains a test: its published rows are printed
at the end, beside ours.

`python -m bench.draws [--seeds 40]` takes half an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
from typing import TYPE_CHECKING, Final, NamedTuple

from bench import scenarios
from bench.scenarios import BY_NAME, SEEDS
from llm_scheduler.simulation.load import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llm_scheduler.simulation.measures import Measures

SEEDS_BEFORE: Final = (1, 2, 3)
"""What was taken before they were compared."""
KEPT: Final = 3


class Row(NamedTuple):
    """Seconds but for the last two: mean completion, p99 waits by class, share that started in time, Jain's index."""

    completion: float
    high: float
    medium: float
    low: float
    in_time: float
    jain: float

    @classmethod
    def of(cls, one: Measures) -> Row:
        """Of a run."""
        high, medium, low = (one.by_class[name].p99_s for name in CLASSES)
        return cls(one.completion_mean_s, high, medium, low, one.all.in_time, one.fairness.jain)

    def __str__(self) -> str:
        seconds = " ".join(f"{value:7.1f}" for value in self[:4])
        return f"{seconds}  {self.in_time:.3f} {self.jain:.3f}"


PUBLISHED: Final = {
    "A": {
        "fifo": Row(46, 136, 135, 136, 0.769, 0.69),
        "priority": Row(45, 1.3, 32, 319, 1.0, 0.73),
        "tenant_first": Row(44, 27, 155, 536, 0.926, 0.98),
    },
    "B": {
        "fifo": Row(135, 379, 378, 379, 0.528, 0.57),
        "priority": Row(134, 2.1, 60, 762, 0.934, 0.61),
        "tenant_first": Row(133, 52, 426, 1152, 0.755, 0.98),
    },
    "C": {
        "fifo": Row(264, 638, 636, 636, 0.462, 0.41),
        "priority": Row(290, 1.6, 733, 1511, 0.581, 0.41),
        "tenant_first": Row(233, 10, 2348, 744, 0.783, 0.98),
    },
    "F": {
        "fifo": Row(49, 119, 119, 119, 0.795, 0.75),
        "priority": Row(39, 7.8, 28, 307, 0.998, 0.80),
        "tenant_first": Row(35, 27, 74, 347, 0.955, 0.97),
    },
}
FAIR: Final = {
    "A": Row(44, 1.9, 71, 495, 0.984, 0.90),
    "B": Row(133, 3.6, 159, 1040, 0.838, 0.82),
    "C": Row(255, 1.6, 1536, 1676, 0.741, 0.80),
    "F": Row(32, 8.6, 42, 366, 0.993, 0.95),
}
"""Read only after the seeds are chosen."""


def distance(ours: Row, published: Row) -> float:
    """Mean |ln(ours / published)|."""
    return statistics.mean(abs(math.log(max(one, 1e-3) / two)) for one, two in zip(ours, published, strict=True))


def mean_of(rows: Iterable[Row]) -> Row:
    """Figure by figure."""
    return Row(*(statistics.mean(figures) for figures in zip(*rows, strict=True)))


async def rows_of(name: str, seed: int, strategies: Iterable[str]) -> dict[str, Row]:
    """A scenario's draw under these."""
    load, setting = scenarios.load_of(BY_NAME[name], seed)
    return {strategy: Row.of(await scenarios.run(load, setting, strategy)) for strategy in strategies}


async def compare(count: int) -> None:
    """Find the nearest draws of each trace, and print what they are like."""
    for trace in dict.fromkeys(BY_NAME[name].trace for name in PUBLISHED):
        names = [name for name in PUBLISHED if BY_NAME[name].trace == trace]
        drawn = sorted({*range(1, count + 1), *SEEDS_BEFORE, *SEEDS[trace]})
        found = {(name, seed): await rows_of(name, seed, PUBLISHED[name]) for name in names for seed in drawn}
        off = {
            seed: statistics.mean(
                distance(found[name, seed][strategy], row)
                for name in names
                for strategy, row in PUBLISHED[name].items()
            )
            for seed in drawn
        }
        nearest = sorted(range(1, count + 1), key=lambda seed: off[seed])[:KEPT]
        print(f"\n{trace}: nearest of {count} draws {sorted(nearest)}, in bench/scenarios.py {SEEDS[trace]}")
        for seeds in (SEEDS_BEFORE, SEEDS[trace]):
            print(f"  seeds {seeds}: {statistics.mean(off[seed] for seed in seeds):.3f} away on average")
            for name in names:
                for strategy, row in PUBLISHED[name].items():
                    _show(name, strategy, mean_of(found[name, seed][strategy] for seed in seeds), row)


def _show(name: str, strategy: str, ours: Row, published: Row) -> None:
    print(f"    {name} {strategy:13} {ours}   off {distance(ours, published):.3f}")
    print(f"      {'published':13} {published}")


async def test_of_fair() -> None:
    """What `fair` gives on the chosen draws, beside its published rows."""
    print("\nfair, which had no say in the choice")
    for name, row in FAIR.items():
        seeds: Sequence[int] = SEEDS[BY_NAME[name].trace]
        _show(name, "fair", mean_of([(await rows_of(name, seed, ("fair",)))["fair"] for seed in seeds]), row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40, help="how many draws of each trace are looked at")
    given = parser.parse_args()
    asyncio.run(compare(given.seeds))
    asyncio.run(test_of_fair())


if __name__ == "__main__":
    main()
