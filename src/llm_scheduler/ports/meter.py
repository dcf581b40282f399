"""Counting what happens, for the operator's graphs.

Every call is cheap and never fails. `model` is a model's name (bounded by what is registered). Who counts little asks
for little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from llm_scheduler.domain.task import AttemptOutcome, Usage


class CommitMeter(Protocol):
    """What a record counts."""

    def committed(self, batch_size: int) -> None:
        """One group commit of that many operations."""
        ...


class CacheMeter(Protocol):
    """What caches count."""

    def cache_asked(self, cache: str, level: str, *, is_hit: bool) -> None:
        """A level (`memory`, `shared`) of a cache of that name was asked."""
        ...

    def cache_evicted(self, cache: str, count: int) -> None:
        """Entries of a memory level had to make room."""
        ...


class PluginMeter(Protocol):
    """What is counted of plugins."""

    def plugin_fault(self, plugin: str, kind: str) -> None:
        """A plugin (`strategy:night_owl`) `raised`, gave `nonsense` or was `slow`."""
        ...


class ConcurrencyMeter(Protocol):
    """What the search for a limit counts."""

    def concurrency(self, model: str, limit: int | None, share: float | None) -> None:
        """The limit that was found for a model, and the share of waiting in its calls' time, if known.

        `limit` None: the model finds none any more.
        """
        ...


class RatesMeter(Protocol):
    """What the limits of the API count among processes."""

    def rates_shared(self, is_shared: bool) -> None:
        """Whether the API's limits are shared with other processes; if not, each process keeps to its part of them."""
        ...


class RetentionMeter(Protocol):
    """What retention counts."""

    def retired(self, archived: int, removed: int) -> None:
        """Finished tasks were written to the archive, and left the record."""
        ...

    def retention_ran(self, at_s: float | None) -> None:
        """A walk over the record ended at that time (seconds of the epoch); None: it failed."""
        ...


class Meter(CommitMeter, CacheMeter, PluginMeter, ConcurrencyMeter, RatesMeter, RetentionMeter, Protocol):
    """All of it."""

    def submitted(self, model: str, count: int) -> None:
        """Tasks were recorded."""
        ...

    def started(self, model: str, wait_s: float) -> None:
        """An attempt began after the task waited that long."""
        ...

    def attempt_ended(self, model: str, outcome: AttemptOutcome, seconds: float) -> None:
        """A provider call ended."""
        ...

    def retried(self, model: str, outcome: str) -> None:
        """A call is to be tried again: `allowed`, or `put_off` by the model's retry budget."""
        ...

    def spent(self, model: str, usage: Usage, cost_microusd: int) -> None:
        """Tokens and money of one call."""
        ...

    def predicted(self, model: str, expected_tokens: int, actual_tokens: int) -> None:
        """A call brought that many tokens where others had been expected, at least one."""
        ...

    def unpriced(self, model: str) -> None:
        """A call used tokens whose price nobody knows: its cost is counted as nothing."""
        ...

    def budget_told(self, percent: int) -> None:
        """A budget came to the mark of so many per cent."""
        ...

    def observe_budgets(self, reserved_microusd: int, gap_microusd: int) -> None:
        """What budgets have put aside, and by how much that differs from the reservations of open attempts."""
        ...

    def task_ended(self, model: str, is_success: bool) -> None:
        """A task reached a terminal status by running."""
        ...

    def held(self, change: int) -> None:
        """So many more (or fewer) ends of attempts wait in memory for a record that is away."""
        ...

    def repaired(self, kind: str, count: int) -> None:
        """The reconciler or the rescuer mended something."""
        ...

    def audit_waits(self, count: int) -> None:
        """So many entries of the audit log wait in memory for a record that is away."""
        ...

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """An API request was answered; `route` is the template, never the path."""
        ...

    def rate_limited(self, limit: str) -> None:
        """A request was refused by a limit of the API: `key`, `user`, `tenant`, `address`, `open`, `failures`."""
        ...

    def response_cache(self, outcome: str, count: int) -> None:
        """Tasks that ask for the response cache: `hit`, `miss` or `joined` (they follow an equal one in flight)."""
        ...

    def limit_used(self, model: str, limit: str, share: float) -> None:
        """What a provider's answer said: so much of its limit (`requests`, `tokens`, …) is used up, 0 to 1."""
        ...

    def quota_exhausted(self, model: str) -> None:
        """A provider refused a call because nothing is left to spend there."""
        ...
