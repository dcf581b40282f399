"""The shares of one band: whose turn is it.

Start-time fair queueing: a share's virtual time grows by cost / weight with each of its claims, and the
one with the least goes first. A share that becomes active (its first task came, or its tenant
has a slot free again) starts at the band's virtual time if its own lies behind: idle time is no credit.

A share's claims count in the later bands too, as far as the same share of the same tenant has something waiting
there: who gets much by urgency gets less of what is left. They do not count in earlier ones, so urgent tasks wait for
urgent ones only.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.placement import ShareRule

if TYPE_CHECKING:
    from llm_scheduler.brokers.share import Share, Ticket, Turn
    from llm_scheduler.domain.ids import TaskId

_STALE_ALLOWED: Final = 64


class Band:
    """Tickets of the active shares in a heap. A ticket that is not its share's own is stale."""

    __slots__ = ("_forget_at", "_is_fair", "_tickets", "_virtual_time", "number", "shares", "size")

    def __init__(self, number: int, share_rule: ShareRule) -> None:
        self.number = number
        self._is_fair = share_rule is ShareRule.VIRTUAL_TIME
        self.size = 0
        self.shares: dict[int, Share] = {}
        self._virtual_time = 0.0
        self._tickets: list[Ticket] = []
        self._forget_at = _STALE_ALLOWED

    def turn(self) -> Turn | None:
        """The share whose turn it is, and its head. None = no share is active."""
        tickets = self._tickets
        while tickets:
            ticket = tickets[0]
            share = self.shares.get(ticket[3])
            if share is None or share.ticket is not ticket:
                heappop(tickets)
                continue
            head = share.head()
            if head[1] == ticket[2] and head[0] == ticket[1]:
                return share, head
            # The head was removed: a later one means a later place.
            self._issue(share)
        return None

    def join(self, share: Share) -> None:
        """The share is active from now on; it has at least one task."""
        share.virtual_time = max(share.virtual_time, self._virtual_time)
        self._issue(share)

    def moved_up(self, share: Share) -> None:
        """An active share has a new head, before the one that its ticket names."""
        self._issue(share)

    def served(self, share: Share, cost: float) -> None:
        """The share had its turn: its head is popped."""
        if self._is_fair:
            self._virtual_time = share.virtual_time
            share.virtual_time += cost
        if share.size and not share.tenant.is_full:
            self._issue(share)
        else:
            share.ticket = None

    def charge(self, share: Share, cost: float) -> None:
        """Its like in an earlier band had a turn: while it takes turns here, it has had so much here as well."""
        if self._is_fair and share.ticket is not None:
            share.virtual_time += cost
            self._issue(share)

    def change_rule(self, share_rule: ShareRule) -> None:
        """Shares take turns by another rule from now on; the virtual times start anew."""
        is_fair = share_rule is ShareRule.VIRTUAL_TIME
        if is_fair is self._is_fair:
            return
        self._is_fair = is_fair
        self._virtual_time = 0.0
        for share in self.shares.values():
            share.virtual_time = 0.0
            if share.ticket is not None:
                self._issue(share)

    def forgettable(self) -> list[Share]:
        """Idle shares that nothing needs to be remembered of; asked for when there are many."""
        if len(self.shares) < self._forget_at:
            return []
        idle = [share for share in self.shares.values() if not share.size and share.virtual_time <= self._virtual_time]
        self._forget_at = max(_STALE_ALLOWED, 2 * (len(self.shares) - len(idle)))
        return idle

    def before(self, order: int, task_id: TaskId, at_most: int) -> int:
        """How many tasks of the band come before this place; stops counting past `at_most`."""
        count = 0
        for share in self.shares.values():
            count += share.before(order, task_id, at_most - count)
            if count > at_most:
                break
        return count

    def _issue(self, share: Share) -> None:
        head = share.head()
        virtual_time = share.virtual_time if self._is_fair else 0.0
        ticket: Ticket = (virtual_time, head[0], head[1], share.number)
        tickets = self._tickets
        if tickets and tickets[0] is share.ticket:
            heapreplace(tickets, ticket)
        else:
            heappush(tickets, ticket)
        share.ticket = ticket
        if len(tickets) > 2 * len(self.shares) + _STALE_ALLOWED:
            self._tickets = [one.ticket for one in self.shares.values() if one.ticket is not None]
            heapify(self._tickets)
