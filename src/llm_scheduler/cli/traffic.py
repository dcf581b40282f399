"""Sample traffic for a demo: scripted models of several tempers, and a mix of tasks for them."""

from __future__ import annotations

from random import Random
from typing import Any, Final

MODELS: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "swift",
        "type": "scripted",
        "max_workers": 8,
        "config": {"delay_ms": 120, "jitter_ms": 200, "tokens_per_s": 80},
    },
    {
        "name": "thoughtful",
        "type": "scripted",
        "max_workers": 3,
        "rpm": 120,
        "config": {"delay_ms": 900, "jitter_ms": 1500, "tokens_per_s": 25},
    },
    {
        "name": "moody",
        "type": "scripted",
        "max_workers": 4,
        "retry": {"max_retries": 1, "initial_delay_s": 0.5},
        "config": {
            "delay_ms": 250,
            "errors": [
                {"probability": 0.2, "code": "overloaded", "message": "The model is overloaded."},
                {"probability": 0.03, "seed": 7, "code": "content_filtered", "message": "The answer was filtered."},
            ],
        },
    },
)
_PROMPTS: Final = (
    "Summarise the meeting in three sentences.",
    "Translate to French: the train leaves at nine.",
    "Write a haiku about queues.",
    "Classify the review as positive or negative: it never broke once.",
    "Name three risks of the plan.",
    "Explain back-off with jitter to a child.",
)
_PRIORITIES: Final = (0, 5, 5, 5, 9, 9)
_TEAMS: Final = ("search", "support", "research")


def tasks(random: Random, count: int) -> list[dict[str, Any]]:
    """That many tasks, mixed."""
    return [_task(random) for _ in range(count)]


def _task(random: Random) -> dict[str, Any]:
    names = [model["name"] for model in MODELS]
    return {
        "model": random.choices(names, weights=(6, 2, 3))[0],  # no secret
        "input": {"messages": [{"role": "user", "content": random.choice(_PROMPTS)}], "max_tokens": 64},
        "priority": random.choice(_PRIORITIES),  # no secret
        "metadata": {"team": random.choice(_TEAMS), "source": "demo"},  # no secret
    }
