"""What arrives in each lane, by band: how much of it goes before a task that waits in a later one."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from llm_scheduler.scheduling.eta import ArrivalLoad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.ports.broker import Entry
    from llm_scheduler.ports.clock import Clock


class Arrivals:
    """Of this process; `sharers` processes take submits, and are taken to get alike many."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loads: defaultdict[ModelId, ArrivalLoad] = defaultdict(ArrivalLoad)
        self.sharers = 1

    def note(self, entries: Sequence[Entry]) -> None:
        """These came to wait."""
        costs: defaultdict[tuple[ModelId, int], float] = defaultdict(float)
        for one in entries:
            costs[one.lane, one.placement.band] += one.placement.cost
        now_s = self._clock.monotonic_s()
        for (lane, band), cost in costs.items():
            self._loads[lane].note(band, cost, now_s)

    def higher_load(self, lane: ModelId, band: int) -> float:
        """The share of the lane that arrivals in bands before this one take."""
        load = self._loads.get(lane)
        return 0.0 if load is None else load.share_before(band, self._clock.monotonic_s()) * max(1, self.sharers)
