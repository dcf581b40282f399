"""Which plugins there are beside what is built in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.plugins import Kind, load
from llm_scheduler.ports.task_type import WIRE_TYPES
from llm_scheduler.providers.kinds import KINDS
from llm_scheduler.scheduling.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from llm_scheduler.plugins import Plugin


def installed_plugins() -> list[Plugin]:
    """What the packages of this environment bring along, imported."""
    return load({Kind.STRATEGY: STRATEGIES, Kind.TASK_TYPE: WIRE_TYPES, Kind.PROVIDER: KINDS})
