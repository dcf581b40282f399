"""The strategies by name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.scheduling.strategies.fair import Fair
from llm_scheduler.scheduling.strategies.fifo import Fifo
from llm_scheduler.scheduling.strategies.priority import Priority

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.ports.strategy import Strategy

DEFAULT: Final = "fair"
_BUILT_IN: Final[tuple[Strategy, ...]] = (Fair(), Fifo(), Priority())
STRATEGIES: Final[Mapping[str, Strategy]] = MappingProxyType({one.name: one for one in _BUILT_IN})


def find(name: str) -> Strategy:
    """The strategy of that name.

    Raises:
        InvalidInputError: there is none; the message lists those that exist.
    """
    strategy = STRATEGIES.get(name)
    if strategy is None:
        known = ", ".join(sorted(STRATEGIES))
        raise InvalidInputError(f"There is no strategy '{name[:100]}'. Known strategies: {known}.", "strategy")
    return strategy
