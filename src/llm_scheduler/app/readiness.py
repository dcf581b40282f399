"""Whether a process may get traffic."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from llm_scheduler.api.parts import Readiness
from llm_scheduler.domain.errors import SchedulerError

if TYPE_CHECKING:
    from llm_scheduler.app.installation import Installation

_STALE_TURN_S: Final = 5.0


async def looked_at(it: Installation) -> Readiness:
    """Which parts work: record, index and claim loop. An index that is away does not stop submits."""
    parts = {"store": "ok", "broker": "ok"}
    try:
        async with asyncio.timeout(2):
            await it.store.ping()
    except (SchedulerError, TimeoutError) as error:
        parts["store"] = str(error) or "no answer within 2 s"
    try:
        async with asyncio.timeout(1):
            if any(pulse.epoch is None for pulse in await it.broker.pulse()):
                parts["broker"] = "degraded: the index is being rebuilt"
    except (SchedulerError, TimeoutError) as error:
        parts["broker"] = f"degraded: {error or 'no answer within 1 s'}"
    if it.is_worker:
        parts["claims"] = _claims_state(it)
    needed = {"store", "claims"} & parts.keys()
    return Readiness(all(parts[name] == "ok" for name in needed), parts)


def _claims_state(it: Installation) -> str:
    silent_s = it.clock.monotonic_s() - it.worker.turned_at_s
    if it.heartbeat.session_id is None:
        return "fenced: the session's heartbeat does not get through"
    if silent_s > _STALE_TURN_S:
        return f"the claim loop has not turned for {silent_s:.0f} s"
    return "ok"
