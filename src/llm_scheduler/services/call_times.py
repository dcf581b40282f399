"""How long calls took lately, by model: a sample for everybody who asks, read anew now and then."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.errors import SchedulerError
from llm_scheduler.domain.ids import Millis
from llm_scheduler.scheduling.durations import MOST_SAMPLE, Durations

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.series import SeriesReads

MOST_CALLS: Final = 5_000
"""The newest of all models together, so that one read is small whatever the record holds."""
_LATELY_MS: Final = 6 * 3_600_000
_KEPT_S: Final = 30.0
_UNKNOWN: Final = Durations()
_log = structlog.get_logger(__name__)


class CallTimes:
    """Of every model that completed calls in the last hours."""

    def __init__(self, store: SeriesReads, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._until_s = float("-inf")
        self._known: dict[ModelId, Durations] = {}

    async def of(self, model_id: ModelId) -> Durations:
        """The model's; empty if nothing is known. Never fails: while the record is away, what was known holds."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._until_s:
            # First, so that whoever asks meanwhile takes what there is.
            self._until_s = now_s + _KEPT_S
            await self._read()
        return self._known.get(model_id, _UNKNOWN)

    async def _read(self) -> None:
        since = Millis(self._clock.now() - _LATELY_MS)
        try:
            calls = await self._store.call_times(since, MOST_CALLS)
        except SchedulerError as error:
            _log.warning("call_times_not_read", error=str(error))
            return
        seconds: defaultdict[ModelId, list[float]] = defaultdict(list)
        for model_id, took_ms in calls:
            if len(seconds[model_id]) < MOST_SAMPLE:
                seconds[model_id].append(took_ms / 1000)
        self._known = {model_id: Durations(some) for model_id, some in seconds.items()}
