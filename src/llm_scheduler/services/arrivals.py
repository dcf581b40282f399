"""What arrives in each lane, by band: how much of it goes before a task that waits in a later one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.scheduling.eta import NO_LOAD, ArrivalLoad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.ports.broker import Entry
    from llm_scheduler.ports.clock import Clock


class Arrivals:
    """Of this process. `sharers()` says how many processes take submits: they are taken to get alike many."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loads: dict[ModelId, ArrivalLoad] = {}
        self.sharers = 1

    def note(self, entries: Sequence[Entry]) -> None:
        """These came to wait."""
        costs: dict[tuple[ModelId, int], float] = {}
        for one in entries:
            key = one.lane, one.placement.band
            costs[key] = costs.get(key, 0.0) + one.placement.cost
        now_s = self._clock.monotonic_s()
        for (lane, band), cost in costs.items():
            self._loads[lane] = self._loads.get(lane, NO_LOAD).add(band, cost, now_s)

    def higher_load(self, lane: ModelId, band: int) -> float:
        """The share of the lane that arrivals in bands before this one take."""
        load = self._loads.get(lane)
        return 0.0 if load is None else load.before(band, self._clock.monotonic_s()) * max(1, self.sharers)
