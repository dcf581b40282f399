"""What a simulation runs on: the broker and the catalogue of an embedded server, on the clock that it is given."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING

from llm_scheduler.app.extensions import installed_plugins
from llm_scheduler.brokers.memory import MemoryBroker
from llm_scheduler.plugins import Kind
from llm_scheduler.scheduling.strategies.registry import DEFAULT
from llm_scheduler.services.backlogs import Backlogs
from llm_scheduler.services.catalogue import Catalogue
from llm_scheduler.simulation.run import Scene, replay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.strategy import Strategy
    from llm_scheduler.simulation.load import Load
    from llm_scheduler.simulation.run import Run
    from llm_scheduler.simulation.setting import Setting


def scene(clock: Clock) -> Scene:
    """An empty one."""
    broker = MemoryBroker(clock)
    catalogue = Catalogue({}, DEFAULT, _plugged())
    catalogue.backlogs = Backlogs(broker.backlog, clock)
    return Scene(broker, catalogue)


@cache
def _plugged() -> Mapping[str, Strategy]:
    """Strategies of plugins in this environment; one that raises ends the simulation, and says so."""
    found = [one for one in installed_plugins() if one.kind is Kind.STRATEGY and one.problem is None]
    return {one.name: one.value for one in found}


def replayed(load: Load, setting: Setting) -> Run:
    """Run the load under the setting to its end.

    Raises:
        InvalidInputError: no such strategy, or something can never start.
    """
    return asyncio.run(replay(load, setting, scene))
