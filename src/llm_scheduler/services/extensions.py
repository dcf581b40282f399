"""What plugins add to an installation, contained, and how they fare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from llm_scheduler.plugins import Kind, Plugin
from llm_scheduler.services.containment import ContainedKind, ContainedStrategy, ContainedType, Faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import PluginMeter
    from llm_scheduler.ports.provider import ProviderKind
    from llm_scheduler.ports.strategy import Strategy
    from llm_scheduler.ports.task_type import TaskType

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PluginState:
    """A plugin and how it is: `active`, `off` (switched off for being slow), `broken` or `refused`."""

    plugin: Plugin
    state: str
    faults: Mapping[str, int] = field(default_factory=dict[str, int])


class Extensions:
    """Strategies, task types and provider kinds by name."""

    def __init__(self, plugins: Sequence[Plugin], clock: Clock, meter: PluginMeter) -> None:
        self._plugins = plugins
        self.strategies: dict[str, Strategy] = {}
        self.task_types: dict[str, TaskType] = {}
        self.kinds: dict[str, ProviderKind] = {}
        self._faults: dict[str, Faults] = {}
        for plugin in plugins:
            if plugin.problem is not None:
                _log.error("plugin_not_loaded", plugin=plugin.label, package=plugin.package, problem=plugin.problem)
                continue
            faults = self._faults[plugin.label] = Faults(plugin, clock, meter)
            if plugin.kind is Kind.STRATEGY:
                self.strategies[plugin.name] = ContainedStrategy(plugin, faults)
            elif plugin.kind is Kind.TASK_TYPE:
                self.task_types[plugin.name] = ContainedType(plugin, faults)
            else:
                self.kinds[plugin.name] = ContainedKind(plugin, faults)

    def states(self) -> list[PluginState]:
        """Every plugin that was found, by kind and name."""
        return [self._state(plugin) for plugin in self._plugins]

    def _state(self, plugin: Plugin) -> PluginState:
        if plugin.problem is not None:
            return PluginState(plugin, "refused" if plugin.is_refused else "broken")
        strategy = self.strategies.get(plugin.name) if plugin.kind is Kind.STRATEGY else None
        is_off = isinstance(strategy, ContainedStrategy) and strategy.is_off
        return PluginState(plugin, "off" if is_off else "active", dict(self._faults[plugin.label].counts))
