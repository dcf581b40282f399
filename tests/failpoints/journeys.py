"""What the process is doing when it fails. Each journey may be begun again in another process, from any point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.status import TERMINAL, Status
from tests.failpoints.driver import Driver, soon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def plain(d: Driver) -> None:
    """Tasks are submitted, run and end: one by one, and several in one piece."""
    await d.model()
    await d.submit([1])
    await d.submit(range(2, 6))
    await d.submit([6])


async def slow(d: Driver) -> None:
    """The same with calls that take a while."""
    await d.model(delay_ms=300)
    await d.submit(range(1, 7))


async def retry(d: Driver) -> None:
    """Each first attempt fails and is tried again after a moment."""
    await d.model(errors=[{"attempts": [1], "code": "server_error"}])
    await d.submit(range(1, 5))


async def limited(d: Driver) -> None:
    """The first attempts are refused with 429: put back, nothing counted."""
    await d.model(errors=[{"attempts": [1], "code": "rate_limited", "retry_after_s": 0.1}])
    await d.submit(range(1, 4))


async def scheduled(d: Driver) -> None:
    """Due in a moment."""
    await d.model()
    await d.submit(range(1, 5), run_at=soon(d.it, 0.3))


async def cancel_waiting(d: Driver) -> None:
    """Two of four are cancelled while they wait."""
    await d.model(is_paused=True)
    await d.submit(range(1, 5))
    await d.cancel(1)
    await d.cancel(3)
    await d.resume()


async def cancel_running(d: Driver) -> None:
    """One of three is cancelled while it runs."""
    await d.model(delay_ms=400)
    await d.submit(range(1, 4))
    await d.until(2, Status.RUNNING, *TERMINAL)
    await d.cancel(2)


async def expire(d: Driver) -> None:
    """Two of four wait past their deadline."""
    await d.model(is_paused=True)
    await d.submit([1, 2], deadline_at=soon(d.it, 0.4))
    await d.submit([3, 4])
    await d.until(1, *TERMINAL)
    await d.until(2, *TERMINAL)
    await d.resume()


async def requeue(d: Driver) -> None:
    """Dead letters are queued again."""
    await d.model(errors=[{"attempts": [1], "code": "invalid_request"}])
    await d.submit(range(1, 4))
    for number in (1, 2, 3):
        await d.until(number, *TERMINAL)
        await d.requeue(number)


async def priority(d: Driver) -> None:
    """Waiting tasks change their band."""
    await d.model(is_paused=True)
    await d.submit(range(1, 5))
    await d.set_priority([2, 4], 0)
    await d.resume()


async def drain(d: Driver) -> None:
    """A graceful stop puts back what runs; the next process does the rest."""
    await d.model()
    await d.submit(range(1, 6), delay_ms=700)
    await d.until(1, Status.RUNNING, *TERMINAL)
    if not d.is_last:
        await d.it.drain(0.05)


JOURNEYS: dict[str, Callable[[Driver], Awaitable[None]]] = {
    one.__name__: one
    for one in (
        plain, slow, retry, limited, scheduled, cancel_waiting, cancel_running, expire, requeue, priority, drain,
    )
}  # fmt: skip
NUMBERS = {
    "plain": 6, "slow": 6, "retry": 4, "limited": 3, "scheduled": 4, "cancel_waiting": 4, "cancel_running": 3,
    "expire": 4, "requeue": 3, "priority": 4, "drain": 5,
}  # fmt: skip
ENDS: dict[str, dict[int, tuple[str, ...]]] = {
    # A cancel that was not acknowledged may have come too late; the verdict holds acknowledged ones to their word.
    "cancel_waiting": {1: ("cancelled", "completed"), 3: ("cancelled", "completed")},
    "cancel_running": {2: ("cancelled", "completed")},
    # Submitted again by the next process, it may get its turn before its new deadline.
    "expire": {1: ("expired", "completed"), 2: ("expired", "completed")},
}
"""How a task of a journey may end; `completed` where nothing is said."""


def ends(journey: str, number: int) -> tuple[str, ...]:
    """The statuses that are right at the end."""
    return ENDS.get(journey, {}).get(number, ("completed",))
