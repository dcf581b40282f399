"""Small loads and their runs, for tests that work them out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_scheduler.app.simulating import replayed
from llm_scheduler.simulation.load import Load, Request, ordered
from llm_scheduler.simulation.setting import Estimate, Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.simulation.run import Run


def request(at_s: float, service_s: float = 1.0, tokens: int = 100, **fields: Any) -> Request:
    """A request of so many tokens, half of them out."""
    values: dict[str, Any] = {"input_tokens": tokens - tokens // 2, "output_tokens": tokens // 2, "tenant": "a"}
    return Request(at_s, service_s=service_s, **(values | fields))


def load(*requests: Request, weights: Mapping[str, float] | None = None) -> Load:
    """These, by arrival."""
    return ordered(requests, weights)


def run(of: Load, strategy: str = "fair", **fields: Any) -> Run:
    """Under a setting that knows what will come out, unless it says otherwise."""
    values: dict[str, Any] = {"estimate": Estimate.ACTUAL, **fields}
    return replayed(of, Setting(strategy, **values))
