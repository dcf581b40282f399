"""Endpoints that refuse calls for what an operator must mend: a bad key, a used-up quota, a model they lack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from llm_scheduler.domain.model import Model
    from llm_scheduler.services.opened import Way

OUT_FOR_S: Final = 300.0
"""So long nothing starts through it; then one call tries."""


class Refusing:
    """What this process was told, by way. Others learn of it by the endpoint's pause, which they share."""

    def __init__(self) -> None:
        self._until_s: dict[Way, float] = {}

    def note(self, way: Way, now_s: float) -> None:
        """It refused just now."""
        self._until_s[way] = now_s + OUT_FOR_S

    def forget(self, way: Way) -> None:
        """It took a call."""
        self._until_s.pop(way, None)

    def has_others(self, model: Model, now_s: float) -> bool:
        """Whether some endpoint of the model is neither drained nor known to refuse."""
        return any(
            not one.is_drained and self._until_s.get((model.id, one.name), 0.0) <= now_s for one in model.endpoints
        )
