"""A strategy places, a broker sorts."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.placement import Placement, ShareRule
    from llm_scheduler.domain.task import WaitingTask


class Option(NamedTuple):
    """A number that a model may set for its strategy, from `least` to `most`, both included."""

    default: float
    least: float
    most: float


NO_OPTIONS: Final[Mapping[str, Option]] = MappingProxyType({})
ALL_DEFAULTS: Final[Mapping[str, float]] = MappingProxyType({})


class PlacementContext(NamedTuple):
    """What a strategy may look at besides the task. None or 0 = no such limit, or not known."""

    weight: float
    """The tenant's weight, above 0."""
    rpm: int | None = None
    """Calls per minute over the whole lane."""
    tpm: int | None = None
    """Tokens per minute over the whole lane."""
    concurrency: int = 0
    """Calls that may run at once."""
    service_s: float = 0.0
    """Expected seconds of one call."""
    options: Mapping[str, float] = ALL_DEFAULTS
    """Those of the strategy; one that is absent has its default."""
    tenant_backlog_ms: float = 0.0
    """Costs of what the tenant has waiting in the lane, summed up; only for a strategy that `reads_backlog`."""
    active_tenants: int = 0
    """Tenants with something waiting, this one included; only for a strategy that `reads_backlog`."""
    input_tpm: int | None = None
    output_tpm: int | None = None
    output_tokens: float = 0.0
    """Output of that expected call of `service_s`: a task that is expected to say more takes longer in proportion."""


class Strategy(Protocol):
    """Pure: same task, same context, same placement. No clock, no I/O, under 50 µs."""

    name: str
    share_rule: ShareRule
    options: Mapping[str, Option]
    """What `PlacementContext.options` may hold."""
    reads_backlog: bool
    """Whether it looks at `tenant_backlog_ms` and `active_tenants`; they are not kept for others."""

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """Where the task stands in its lane."""
        ...
