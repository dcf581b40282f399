"""What one tenant has waiting in one band, in order.

Waiting tasks are flat tuples of numbers (no objects: a million of them must stay small, and a tuple
of numbers leaves the garbage collector's lists). Tasks that come in order, nearly all, go to the end of a
deque; the others into a heap. A removed task stays where it is until it is met; it is known by not
being what the lane's dictionary holds under its id.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from math import floor
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_scheduler.brokers.band import Band
    from llm_scheduler.brokers.limits import Amounts
    from llm_scheduler.brokers.tenant import TenantLoad
    from llm_scheduler.domain.ids import Millis, TaskId, TenantId
    from llm_scheduler.ports.broker import Entry

_GRAVES_ALLOWED: Final = 64

Waiting: TypeAlias = "tuple[int, TaskId, int, Millis, float, float, int]"
"""Order, task id, size, queued at, cost, weight, number of the share. The size is attempt, reserved tokens and
those of them that are to come out, 32 bits each: one number where three would take three times the room."""

MILLION: Final = 1_000_000
"""Costs are summed in millionths."""
MOST_TOKENS: Final = (1 << 32) - 1


def size_of(entry: Entry) -> int:
    """Attempt and tokens in one number."""
    return (entry.attempt << 32 | min(entry.tokens, MOST_TOKENS)) << 32 | min(entry.output_tokens, MOST_TOKENS)


def attempt_of(size: int) -> int:
    """The attempt in a size."""
    return size >> 64


def amounts_of(size: int) -> Amounts:
    """What a call of this size counts in each unit."""
    tokens, output = size >> 32 & MOST_TOKENS, size & MOST_TOKENS
    return 1, tokens, max(0, tokens - output), output


def millionths(cost: float) -> int:
    """A cost as it is summed: whole numbers come to the same sum in any order."""
    return floor(cost * MILLION + 0.5)


Ticket: TypeAlias = "tuple[float, int, TaskId, int]"
"""A share's place among those of its band: virtual time, its head's order and id, its number."""


Turn: TypeAlias = "tuple[Share, Waiting]"
"""Whose turn it is, and its head."""


class Share:
    """A queue that knows its virtual time. It is *active* when it has a ticket."""

    __slots__ = (
        "_graves",
        "_late",
        "_line",
        "_waiting",
        "band",
        "cost",
        "key",
        "number",
        "size",
        "tenant",
        "ticket",
        "virtual_time",
    )

    def __init__(
        self,
        key: tuple[int, int, TenantId],
        number: int,
        band: Band,
        tenant: TenantLoad,
        waiting: dict[TaskId, Waiting],
    ) -> None:
        self.key = key
        self.number = number
        self.band = band
        self.tenant = tenant
        self.size = 0
        self.cost = 0
        """Of all that waits here, in millionths."""
        self.virtual_time = 0.0
        self.ticket: Ticket | None = None
        self._waiting = waiting
        self._graves = 0
        self._line: deque[Waiting] = deque()
        self._late: list[Waiting] = []

    def push(self, entry: Waiting) -> None:
        """Put a task in its place; the caller has entered it in the lane's dictionary."""
        line = self._line
        if not line or entry >= line[-1]:
            line.append(entry)
        else:
            heappush(self._late, entry)
        self.size += 1
        self.cost += millionths(entry[4])

    def head(self) -> Waiting:
        """The task that comes first; there must be one."""
        if self._graves:
            self._clear_the_front()
        line, late = self._line, self._late
        if not late:
            return line[0]
        return late[0] if not line or late[0] < line[0] else line[0]

    def pop(self, head: Waiting) -> None:
        """Take the first task out, also of the lane's dictionary."""
        line = self._line
        if line and line[0] is head:
            line.popleft()
        else:
            heappop(self._late)
        del self._waiting[head[1]]
        self.size -= 1
        self.cost -= millionths(head[4])

    def bury(self, entry: Waiting) -> None:
        """This task was taken out of the lane's dictionary: forget it here, at the latest when many are."""
        self.size -= 1
        self.cost -= millionths(entry[4])
        self._graves += 1
        if self.size == 0:
            self._line.clear()
            self._late.clear()
            self._graves = 0
        elif self._graves > self.size + _GRAVES_ALLOWED:
            self._line = deque(entry for entry in self._line if self._is_alive(entry))
            self._late = [entry for entry in self._late if self._is_alive(entry)]
            heapify(self._late)
            self._graves = 0

    def before(self, order: int, task_id: TaskId, at_most: int) -> int:
        """How many tasks come before this place; stops counting past `at_most`."""
        count = 0
        for entry in self._all_before((order, task_id)):
            if self._is_alive(entry):
                count += 1
                if count > at_most:
                    break
        return count

    def _is_alive(self, entry: Waiting) -> bool:
        return self._waiting.get(entry[1]) is entry

    def _clear_the_front(self) -> None:
        line, late = self._line, self._late
        while line and not self._is_alive(line[0]):
            line.popleft()
            self._graves -= 1
        while late and not self._is_alive(late[0]):
            heappop(late)
            self._graves -= 1

    def _all_before(self, place: tuple[int, TaskId]) -> Iterator[Waiting]:
        for entry in self._line:
            if entry[:2] >= place:
                break
            yield entry
        late = self._late
        below = [0] if late else []
        while below:  # a heap: what lies under a later task is later still
            index = below.pop()
            if late[index][:2] < place:
                yield late[index]
                below += (child for child in (2 * index + 1, 2 * index + 2) if child < len(late))
