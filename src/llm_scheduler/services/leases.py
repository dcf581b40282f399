"""Tokens leased in lumps from buckets that processes share, so that a request waits for no other server.

A lump is at most a hundredth of the minute's limit, and grows and shrinks with how fast it is used. The next one is
asked for in the background when half of it is left; only who finds nothing while nothing is known waits for the
answer. What is not used for a second goes back. While the shared buckets do not answer, this process keeps to its part
of each limit: the limit over the number of processes.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.domain.rate import rule_of
from llm_scheduler.services.ledger import LocalLedger, Standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.domain.rate import Rule
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import RatesMeter
    from llm_scheduler.ports.rates import SharedRates
    from llm_scheduler.services.ledger import Key

LUMPS_A_MINUTE: Final = 100
"""A lump is at most this part of the limit."""
LEAST_PAUSE_S: Final = 0.1
"""An empty bucket is asked again after so long at the earliest, if more than one token comes in that time."""
_FAST_S, _SLOW_S = 0.2, 2.0
"""A lump that is used up in less is doubled, one that lasts longer halved."""
_SWEEP_S: Final = 1.0
_UNUSED_S: Final = 1.0
_FORGET_S: Final = 60.0
_MOST_ASKING: Final = 128
_PROBE: Final = "probe"
_PROBE_RULE: Final = rule_of(60)
_MOST_LEASES: Final = 100_000

_log = structlog.get_logger(__name__)


class _Lease:
    """What this process holds of one bucket."""

    __slots__ = (
        "asking",
        "dry_until_s",
        "held",
        "leased_at_s",
        "lump",
        "remaining",
        "reset_at_s",
        "rule",
        "used_at_s",
        "waiting",
    )

    def __init__(self, rule: Rule, now_s: float) -> None:
        self.rule = rule
        self.held = 0
        """Tokens to use; negative = used already and not yet taken from the bucket."""
        self.lump = 1
        self.remaining, self.reset_at_s = rule.burst, now_s
        """Of the bucket, when it was last asked."""
        self.dry_until_s = 0.0
        """The bucket has nothing before that."""
        self.leased_at_s = self.used_at_s = now_s
        self.asking: asyncio.Task[None] | None = None
        self.waiting = 0
        """Requests that wait for the answer."""


class LeasedLedger:
    """A `services.ledger.Ledger` over shared buckets.

    Args:
        shared: the buckets.
        clock: for how long leases last.
        sharers: how many processes there are, at least 1.
        meter: told when the buckets are away, and back.
    """

    def __init__(self, shared: SharedRates, clock: Clock, sharers: Callable[[], int], meter: RatesMeter) -> None:
        self._shared, self._now_s, self._sharers, self._meter = shared, clock.monotonic_s, sharers, meter
        self._alone = LocalLedger(clock)
        self._leases: dict[Key, _Lease] = {}
        self._is_away = False
        self._asking: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Give back what is not used, from now on."""
        self._sweeping = asyncio.create_task(self._sweep_forever(), name="leases")

    async def close(self) -> None:
        """Give everything back."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        owed = [(key, lease) for key, lease in self._leases.items() if lease.held]
        self._leases.clear()
        with contextlib.suppress(BrokerUnavailableError):  # they lapse by themselves
            for key, lease in owed:
                await self._shared.take(_name(key), lease.rule, spent=-lease.held, want=0)

    def spend(self, key: Key, rule: Rule) -> Standing:
        """See `Ledger`."""
        now_s = self._now_s()
        if self._is_away:
            return self._alone.spend(key, rule.shared_by(self._sharers()))
        lease = self._lease(key, rule, now_s)
        lease.used_at_s = now_s
        if lease.held > 0:
            lease.held -= 1
            if lease.held <= lease.lump // 2 and lease.asking is None and now_s >= lease.dry_until_s:
                self._ask(key, lease)
            return Standing(True, lease.held + lease.remaining, 0.0, max(0.0, lease.reset_at_s - now_s))
        return self._nothing_held(key, lease, now_s)

    def _nothing_held(self, key: Key, lease: _Lease, now_s: float) -> Standing:
        reset_s = max(0.0, lease.reset_at_s - now_s)
        if now_s < lease.dry_until_s:
            return Standing(False, 0, lease.dry_until_s - now_s, reset_s)
        if lease.asking is None:
            self._ask(key, lease)
        return Standing(False, 0, lease.rule.each_s, reset_s, is_known=False)

    def look(self, key: Key, rule: Rule) -> Standing:
        """See `Ledger`."""
        now_s = self._now_s()
        if self._is_away:
            return self._alone.look(key, rule.shared_by(self._sharers()))
        lease = self._leases.get(key)
        if lease is None or lease.held > 0 or now_s >= lease.dry_until_s:
            return Standing(True, 0, 0.0, 0.0)
        return Standing(False, 0, lease.dry_until_s - now_s, max(0.0, lease.reset_at_s - now_s))

    def charge(self, key: Key, rule: Rule) -> None:
        """See `Ledger`."""
        now_s = self._now_s()
        if self._is_away:
            self._alone.charge(key, rule.shared_by(self._sharers()))
            return
        lease = self._lease(key, rule, now_s)
        lease.used_at_s = now_s
        lease.held -= 1
        if lease.held <= 0 and lease.asking is None:
            self._ask(key, lease)

    def give_back(self, key: Key, rule: Rule) -> None:
        """See `Ledger`."""
        now_s = self._now_s()
        if self._is_away:
            self._alone.give_back(key, rule.shared_by(self._sharers()))
        else:
            self._lease(key, rule, now_s).held += 1

    async def settled(self, key: Key, rule: Rule) -> None:
        """See `Ledger`."""
        lease = self._leases.get(key)
        if lease is not None and lease.asking is not None:
            lease.waiting += 1
            try:
                # Shielded: others wait for the same answer.
                await asyncio.shield(lease.asking)
            finally:
                lease.waiting -= 1

    def _lease(self, key: Key, rule: Rule, now_s: float) -> _Lease:
        lease = self._leases.get(key)
        if lease is None:
            if len(self._leases) >= _MOST_LEASES:
                self._forget(now_s, unused_s=0.0)
            lease = self._leases[key] = _Lease(rule, now_s)
        elif lease.rule is not rule:
            lease.rule = rule
        return lease

    def _ask(self, key: Key, lease: _Lease) -> None:
        if len(self._asking) >= _MOST_ASKING:
            return  # whoever comes next asks again
        lease.asking = asyncio.create_task(self._renew(key, lease), name="lease")
        self._asking.add(lease.asking)
        lease.asking.add_done_callback(self._asking.discard)

    async def _renew(self, key: Key, lease: _Lease) -> None:
        now_s = self._now_s()
        lasted_s = now_s - lease.leased_at_s
        most = max(1, lease.rule.per_minute // LUMPS_A_MINUTE)
        if lasted_s < _FAST_S:
            lease.lump = min(most, lease.lump * 2)
        elif lasted_s > _SLOW_S:
            lease.lump = max(1, lease.lump // 2)
        lease.lump = min(most, lease.lump)
        spent, lease.held = max(0, -lease.held), max(0, lease.held)
        want = min(lease.rule.burst, max(lease.lump, lease.waiting))
        try:
            grant = await self._shared.take(_name(key), lease.rule, spent=spent, want=want)
        except BrokerUnavailableError as error:
            self._note_away(str(error))
            return
        finally:
            lease.asking = None
        self._note_back()
        now_s = lease.leased_at_s = self._now_s()
        lease.held += grant.granted
        lease.remaining, lease.reset_at_s = grant.remaining, now_s + grant.reset_s
        if grant.granted < want:
            # Not for every single token: what comes meanwhile is not lost, it waits in the bucket.
            pause_s = min(LEAST_PAUSE_S, lease.lump * lease.rule.each_s)
            lease.dry_until_s = now_s + max(grant.wait_s, pause_s)

    def _note_away(self, why: str) -> None:
        if not self._is_away:
            self._is_away = True
            self._meter.rates_shared(False)
            _log.warning("rate_limits_not_shared", why=why, processes=self._sharers())

    def _note_back(self) -> None:
        if self._is_away:
            self._is_away = False
            self._meter.rates_shared(True)
            _log.info("rate_limits_shared_again")

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            await self.sweep()

    async def sweep(self) -> None:
        """Settle what was not used for a second, forget what was not used for a minute, look who is back."""
        now_s = self._now_s()
        try:
            if self._is_away:
                await self._shared.take(_PROBE, _PROBE_RULE, want=0)
                self._note_back()
            for key, lease in list(self._leases.items()):
                if lease.asking is None and now_s - lease.used_at_s >= _UNUSED_S and lease.held:
                    back, lease.held, lease.lump = lease.held, 0, 1
                    await self._shared.take(_name(key), lease.rule, spent=-back, want=0)
        except BrokerUnavailableError as error:
            self._note_away(str(error))
        self._forget(now_s, _FORGET_S)

    def _forget(self, now_s: float, unused_s: float) -> None:
        for key, lease in list(self._leases.items()):
            is_idle = lease.asking is None and now_s >= lease.dry_until_s and now_s - lease.used_at_s >= unused_s
            if is_idle and lease.held <= 0:
                del self._leases[key]


def _name(key: Key) -> str:
    return f"{key[0]}:{key[1]}"
