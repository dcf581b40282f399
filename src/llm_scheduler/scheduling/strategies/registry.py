"""The strategies by name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.scheduling.strategies.backlog import Backlog
from llm_scheduler.scheduling.strategies.deadline import Deadline
from llm_scheduler.scheduling.strategies.fair import Fair
from llm_scheduler.scheduling.strategies.fifo import Fifo
from llm_scheduler.scheduling.strategies.priority import Priority
from llm_scheduler.scheduling.strategies.shortest import Shortest
from llm_scheduler.scheduling.strategies.tenant_first import TenantFirst
from llm_scheduler.scheduling.strategies.wfq import WeightedFair

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.ports.strategy import Strategy

DEFAULT: Final = "fair"
_BUILT_IN: Final[tuple[Strategy, ...]] = (
    Fair(),
    Fifo(),
    Priority(),
    WeightedFair(),
    TenantFirst(),
    Deadline(),
    Shortest(),
    Backlog(),
)
STRATEGIES: Final[Mapping[str, Strategy]] = MappingProxyType({one.name: one for one in _BUILT_IN})


def find(name: str, others: Mapping[str, Strategy] = MappingProxyType({})) -> Strategy:
    """The strategy of that name, built in or one of these others.

    Raises:
        InvalidInputError: there is none; the message lists those that exist.
    """
    strategy = STRATEGIES.get(name) or others.get(name)
    if strategy is None:
        known = ", ".join(sorted({*STRATEGIES, *others}))
        raise InvalidInputError(f"There is no strategy '{name[:100]}'. Known strategies: {known}.", "strategy")
    return strategy


def checked_options(strategy: Strategy, given: Mapping[str, float]) -> Mapping[str, float]:
    """The same, if the strategy knows them all and each is in its range.

    Raises:
        InvalidInputError: with `loc` ("strategy_options", name); the message lists what the strategy knows.
    """
    for name, value in given.items():
        option = strategy.options.get(name)
        if option is None:
            known = ", ".join(sorted(strategy.options)) or "none"
            raise InvalidInputError(
                f"Strategy '{strategy.name}' has no option '{name[:50]}'. Known options: {known}.",
                "strategy_options",
                name,
            )
        # Written so that NaN, which is neither above nor below anything, is out of range.
        if not option.least <= value <= option.most:
            raise InvalidInputError(
                f"Option '{name}' of strategy '{strategy.name}' must be from {option.least:g} to {option.most:g}.",
                "strategy_options",
                name,
            )
    return given
