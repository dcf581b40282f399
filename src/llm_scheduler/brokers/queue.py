"""What waits in one lane: bands of shares of tasks, and which of them is next."""

from __future__ import annotations

from bisect import insort
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from llm_scheduler.brokers.band import Band
from llm_scheduler.brokers.share import MILLION, Share, size_of
from llm_scheduler.brokers.tenant import TenantLoad
from llm_scheduler.domain.placement import ShareRule
from llm_scheduler.ports.broker import TenantBacklog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_scheduler.brokers.share import Turn, Waiting
    from llm_scheduler.domain.ids import Millis, TaskId, TenantId
    from llm_scheduler.ports.broker import Entry

POSITIONS: Final = 1000
"""A place further back than this is not told."""

_BY_NUMBER = attrgetter("number")


class LaneQueue:
    """The waiting tasks of a lane, and the load of its tenants.

    A share is one tenant's: two tenants that a strategy puts into one share stand as two.
    """

    __slots__ = ("_bands", "_last_number", "_numbered", "_shares", "share_rule", "tenants", "waiting")

    def __init__(self) -> None:
        self.share_rule = ShareRule.VIRTUAL_TIME
        self.waiting: dict[TaskId, Waiting] = {}
        self.tenants: dict[TenantId, TenantLoad] = {}
        self._bands: list[Band] = []
        self._shares: dict[tuple[int, int, TenantId], Share] = {}
        self._numbered: dict[int, Share] = {}
        self._last_number = 0

    def add(self, entry: Entry, max_workers: int | None) -> None:
        """Put a task in its place; the limit is its tenant's, if that is new here."""
        task_id, _, tenant_id, _, _, queued_at, (band_number, share_id, weight, cost, order), _ = entry
        key = (band_number, share_id, tenant_id)
        share = self._shares.get(key)
        if share is None:
            share = self._new_share(key, max_workers)
        place: Waiting = (order, task_id, size_of(entry), queued_at, cost, weight, share.number)
        self.waiting[task_id] = place
        share.push(place)
        share.band.size += 1
        ticket = share.ticket
        if ticket is None:
            if not share.tenant.is_full:
                share.band.join(share)
        elif order < ticket[1] or (order == ticket[1] and task_id < ticket[2]):
            share.band.moved_up(share)

    def place_of(self, entry: Entry) -> Waiting | None:
        """What `add` would make of it now; None = no such share is known."""
        band, share_id, weight, cost, order = entry.placement
        share = self._shares.get((band, share_id, entry.tenant_id))
        if share is None:
            return None
        return (order, entry.task_id, size_of(entry), entry.queued_at, cost, weight, share.number)

    def remove(self, task_id: TaskId) -> bool:
        """Take a task out; False = it does not wait here."""
        place = self.waiting.pop(task_id, None)
        if place is None:
            return False
        share = self._numbered[place[6]]
        share.bury(place)
        if not share.size:
            share.ticket = None
        self._shrink(share)
        return True

    def turn(self) -> Turn | None:
        """What is next; None = every waiting task's tenant is full, or nothing waits."""
        for band in self._bands:
            turn = band.turn()
            if turn is not None:
                return turn
        return None

    def reserve_turn(self, queued_before: Millis) -> Turn | None:
        """What is next in a turn that is reserved for who starves.

        That is the head of a band below the first that could go, if one has waited since
        `queued_before` or longer: the one that has waited longest. Otherwise it is the usual one.
        """
        turns = [turn for band in self._bands if (turn := band.turn()) is not None]
        starving = [turn for turn in turns[1:] if turn[1][3] <= queued_before]
        return min(starving or turns[:1], key=lambda turn: turn[1][3], default=None)

    def pop(self, share: Share, head: Waiting) -> None:
        """Take out the head of the share whose turn it was, and give its tenant a slot."""
        share.pop(head)
        tenant = share.tenant
        _, _, _, _, cost, weight, _ = head
        had = cost if weight == 1 else cost / weight
        if len(tenant.shares) > 1:
            number, share_id, _ = share.key
            for other in tenant.shares.values():
                if other.key[0] > number and other.key[1] == share_id:
                    other.band.charge(other, had)
        tenant.started()
        share.band.served(share, had)
        self._shrink(share)

    def set_rule(self, share_rule: ShareRule) -> None:
        """Shares take turns by this rule from now on."""
        self.share_rule = share_rule
        for band in self._bands:
            band.change_rule(share_rule)

    def tenant(self, tenant_id: TenantId, max_workers: int | None) -> TenantLoad:
        """The tenant's load here; the limit is for a tenant that is new here."""
        load = self.tenants.get(tenant_id)
        if load is None:
            load = self.tenants[tenant_id] = TenantLoad(tenant_id, max_workers)
        return load

    def slot_ended(self, tenant_id: TenantId) -> None:
        """A slot of the tenant was freed."""
        load = self.tenants[tenant_id]
        load.ended()
        if not load.running:
            self._forget_if_gone(load)

    def position(self, task_id: TaskId) -> int | None:
        """How many of its band come before it, if it waits and these are at most POSITIONS."""
        place = self.waiting.get(task_id)
        if place is None:
            return None
        before = self._numbered[place[6]].band.before(place[0], task_id, POSITIONS)
        return before if before <= POSITIONS else None

    def by_band(self) -> tuple[tuple[int, int], ...]:
        """(band, tasks) of every band with tasks, first band first."""
        return tuple((band.number, band.size) for band in self._bands)

    def cost_by_band(self) -> tuple[tuple[int, float], ...]:
        """(band, sum of the placements' costs) of the same bands."""
        return tuple((band.number, sum(share.cost for share in band.shares.values()) / MILLION) for band in self._bands)

    def backlog(self) -> list[TenantBacklog]:
        """What each tenant has waiting, by tenant."""
        return [
            TenantBacklog(
                tenant_id,
                sum(share.size for share in load.shares.values()),
                sum(share.cost for share in load.shares.values()) / MILLION,
            )
            for tenant_id, load in sorted(self.tenants.items())
            if any(share.size for share in load.shares.values())
        ]

    def oldest_queued_at(self) -> Millis | None:
        """The earliest among the heads of all shares (with orders other than by time: about the oldest)."""
        return min((share.head()[3] for share in self._shares.values() if share.size), default=None)

    def _new_share(self, key: tuple[int, int, TenantId], max_workers: int | None) -> Share:
        band = next((one for one in self._bands if one.number == key[0]), None)
        if band is None:
            band = Band(key[0], self.share_rule)
            insort(self._bands, band, key=_BY_NUMBER)
        self._last_number += 1
        tenant = self.tenant(key[2], max_workers)
        share = Share(key, self._last_number, band, tenant, self.waiting)
        self._shares[key] = self._numbered[share.number] = share
        band.shares[share.number] = tenant.shares[share.number] = share
        return share

    def _shrink(self, share: Share) -> None:
        """A task of the share is gone: so is an empty band, and with it all that it remembers."""
        band = share.band
        band.size -= 1
        if not band.size:
            self._bands.remove(band)
            self._forget(tuple(band.shares.values()))
            if not self.waiting:
                self.waiting.clear()  # gives back the room that a dictionary keeps for what it once held
        elif not share.size:
            self._forget(band.forgettable())

    def _forget(self, shares: Iterable[Share]) -> None:
        for share in shares:
            del self._shares[share.key], self._numbered[share.number]
            del share.band.shares[share.number], share.tenant.shares[share.number]
            self._forget_if_gone(share.tenant)

    def _forget_if_gone(self, load: TenantLoad) -> None:
        if not load.running and not load.shares:
            self.tenants.pop(load.tenant_id, None)
