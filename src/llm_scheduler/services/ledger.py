"""Where requests are counted against rate limits: in this process alone, or by tokens leased from a shared bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from llm_scheduler.domain.rate import Buckets

if TYPE_CHECKING:
    from llm_scheduler.domain.rate import Rule
    from llm_scheduler.ports.clock import Clock

Key = tuple[str, object]
"""What is limited, and whose: ("key", 7), ("address", "192.0.2.1")."""


class Standing(NamedTuple):
    """How a bucket is after it was asked. `is_known` False: ask again after `Ledger.settled`."""

    is_allowed: bool
    remaining: int
    wait_s: float
    reset_s: float
    is_known: bool = True


class Ledger(Protocol):
    """Counts tokens. Only `settled` waits for anybody."""

    def spend(self, key: Key, rule: Rule) -> Standing:
        """Take one token, if there is one."""
        ...

    def look(self, key: Key, rule: Rule) -> Standing:
        """Whether there is a token; takes none. What is not known counts as allowed."""
        ...

    def charge(self, key: Key, rule: Rule) -> None:
        """Take a token, also where there is none."""
        ...

    def give_back(self, key: Key, rule: Rule) -> None:
        """A token that `spend` took was not used."""
        ...

    async def settled(self, key: Key, rule: Rule) -> None:
        """Until more is known of this bucket, or its keeper does not answer."""
        ...

    def begin(self) -> None:
        """What is done now and then is done from now on."""
        ...

    async def close(self) -> None:
        """Leave nothing behind."""
        ...


class LocalLedger:
    """Every token counted here, exactly."""

    def __init__(self, clock: Clock) -> None:
        self._now_s = clock.monotonic_s
        self._buckets = Buckets()

    def spend(self, key: Key, rule: Rule) -> Standing:
        """See `Ledger`."""
        granted, remaining, wait_s, reset_s = self._buckets.take(key, rule, self._now_s())
        return Standing(granted > 0, remaining, wait_s, reset_s)

    def look(self, key: Key, rule: Rule) -> Standing:
        """See `Ledger`."""
        _, remaining, wait_s, reset_s = self._buckets.take(key, rule, self._now_s(), want=0)
        return Standing(remaining > 0, remaining, wait_s, reset_s)

    def charge(self, key: Key, rule: Rule) -> None:
        """See `Ledger`."""
        self._buckets.take(key, rule, self._now_s(), spent=1, want=0)

    def give_back(self, key: Key, rule: Rule) -> None:
        """See `Ledger`."""
        self._buckets.take(key, rule, self._now_s(), spent=-1, want=0)

    async def settled(self, key: Key, rule: Rule) -> None:
        """See `Ledger`: all is known at once."""

    def begin(self) -> None:
        """See `Ledger`: there is nothing."""

    async def close(self) -> None:
        """See `Ledger`: there is nothing."""
