"""Writing the audit log: every entry in the end, a flood of failures as a count, and the chain looked over."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from llm_scheduler.domain.audit import AuditRow, Chain
from llm_scheduler.domain.errors import SchedulerError
from llm_scheduler.domain.ids import Millis

if TYPE_CHECKING:
    from llm_scheduler.domain.audit import AuditEntry
    from llm_scheduler.ports.audit import AuditMoves, AuditReads
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import Meter

WRITE_LIMIT_S: Final = 5.0
"""How long a change waits for its entry before it is answered; the entry waits on in memory."""
MOST_WAITING: Final = 100_000
PART: Final = 500
"""Entries of one transaction when those that wait are written."""
PAGE: Final = 1_000
WINDOW_MS: Final = 60_000
MOST_FAILURES: Final = 10
"""Refused and failed attempts from one address at one action that are written singly within a window."""
MOST_ORIGINS: Final = 10_000
_OTHERS: Final = "others"

_log = structlog.get_logger(__name__)


class Origin(NamedTuple):
    """Where a flood comes from, and what it tries."""

    address: str
    actor: str
    action: str


@dataclass(slots=True)
class _Window:
    """What came from an origin since `began_at`; beyond the first few only the count, and the last one as example."""

    began_at: Millis
    count: int = 0
    uncounted: int = 0
    last: AuditEntry | None = None
    targets: list[str] = field(default_factory=list[str])


class Audit:
    """The log of one process.

    Args:
        store: where it is kept.
        clock: tells windows apart.
        meter: shows how many entries wait.
    """

    def __init__(self, store: AuditMoves, clock: Clock, meter: Meter) -> None:
        self.store = store
        self._clock, self._meter = clock, meter
        self._waiting: deque[AuditEntry] = deque()
        self._windows: dict[Origin, _Window] = {}
        self._writing = asyncio.Lock()
        self._last_at = 0
        self.write_limit_s = WRITE_LIMIT_S

    @property
    def backlog(self) -> int:
        """Entries that are not in the record yet."""
        return len(self._waiting)

    async def write(self, entry: AuditEntry) -> None:
        """Have it in the record; if that is away, have it wait for it. Never fails: what it tells of has happened."""
        self.note(entry)
        await self.flush()

    def note(self, entry: AuditEntry) -> None:
        """Have it in the record soon, for who cannot wait: with the next step, or the next entry."""
        if len(self._waiting) < MOST_WAITING:
            self._put(entry)
        else:
            _note_lost(entry)

    async def attempt(self, entry: AuditEntry) -> None:
        """As `write`, for what was refused or failed: of many alike within a minute the rest is counted, not written.

        An origin is an address with an actor and an action: a flood of wrong passwords leaves a few rows a minute.
        """
        now = self._clock.now()
        origin = Origin(entry.address, entry.actor, entry.action)
        window = self._windows.get(origin)
        if window is None and len(self._windows) >= MOST_ORIGINS:
            origin = Origin(_OTHERS, "", entry.action)
            window = self._windows.get(origin)
        if window is not None and now - window.began_at >= WINDOW_MS:
            self._close(origin, window)
            window = None
        if window is None:
            window = self._windows[origin] = _Window(now)
        window.count += 1
        if window.count <= MOST_FAILURES:
            await self.write(entry)
            return
        window.uncounted, window.last = window.uncounted + 1, entry
        if entry.target not in window.targets and len(window.targets) < MOST_FAILURES:
            window.targets.append(entry.target)

    async def step(self) -> None:
        """Write what waits, and the counts of minutes that are over."""
        now = self._clock.now()
        for origin, window in list(self._windows.items()):
            if now - window.began_at >= WINDOW_MS:
                self._close(origin, window)
        await self.flush()

    async def close(self) -> None:
        """Write what can be written; counts, too."""
        for origin, window in list(self._windows.items()):
            self._close(origin, window)
        await self.flush()
        for entry in self._waiting:
            _note_lost(entry)

    async def flush(self) -> None:
        """Write what waits, oldest first, within the limit; else it waits on."""
        try:
            async with asyncio.timeout(self.write_limit_s), self._writing:
                while self._waiting:
                    part = [self._waiting[place] for place in range(min(PART, len(self._waiting)))]
                    await self.store.add_audit(part)
                    for _ in part:
                        self._waiting.popleft()
        except (SchedulerError, TimeoutError) as error:
            _log.warning("audit_waits", entries=len(self._waiting), reason=str(error) or "no answer in time")
        finally:
            self._meter.audit_waits(len(self._waiting))

    def _close(self, origin: Origin, window: _Window) -> None:
        del self._windows[origin]
        if window.last is not None:
            told = {"count": window.uncounted, "since": window.began_at, "targets": window.targets}
            self._put(replace(window.last, before=None, after=json.dumps(told, ensure_ascii=False)))

    def _put(self, entry: AuditEntry) -> None:
        # No two of a process have one time: with the rest of an entry it tells whether it was written already.
        self._last_at = max(self._last_at + 1, entry.at)
        self._waiting.append(entry if entry.at == self._last_at else replace(entry, at=Millis(self._last_at)))


async def verified(store: AuditReads, *, last: int | None = None, expected: str = "") -> Chain:
    """Go along the chain, page by page, to its end or its first fault.

    Args:
        store: the log.
        last: look only at so many rows, trusting the one before them.
        expected: a hash that must be met.
    """
    chain = Chain(expected, await _start(store, last))
    looked_at = chain.head_id
    while page := await store.audit_rows(looked_at, PAGE):
        if not chain.follow(page):
            break
        looked_at = chain.head_id
    return chain


async def _start(store: AuditReads, last: int | None) -> AuditRow | None:
    """The row before the last ones; None: the chain's own beginning."""
    head = await store.audit_head() if last is not None else None
    if head is None or last is None or head.id <= last:
        return None
    found = await store.audit_rows(head.id - last - 1, 1)
    return found[0] if found else None


def _note_lost(entry: AuditEntry) -> None:
    facts = {"action": entry.action, "target": entry.target, "actor": entry.actor, "outcome": str(entry.outcome)}
    _log.error("audit_entry_lost", **facts, at=entry.at, address=entry.address, after=entry.after)
