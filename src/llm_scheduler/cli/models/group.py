"""`llms models …`."""

from __future__ import annotations

import click

from llm_scheduler.cli.lazy import Entry, LazyGroup


@click.group(
    cls=LazyGroup,
    entries={
        "list": Entry("llm_scheduler.cli.models.reading:list_", "List models with their queues."),
        "get": Entry("llm_scheduler.cli.models.reading:get", "Show one model."),
        "test": Entry("llm_scheduler.cli.models.reading:test", "Make one real call, timed."),
        "predict": Entry("llm_scheduler.cli.models.predicting:predict", "Show what its calls are expected to bring."),
        "add": Entry("llm_scheduler.cli.models.adding:add", "Register a model."),
        "pause": Entry("llm_scheduler.cli.models.steering:pause", "Start no further calls; tasks wait."),
        "resume": Entry("llm_scheduler.cli.models.steering:resume", "Start calls again."),
        "endpoints": Entry("llm_scheduler.cli.models.endpoints:endpoints", "Several ways to one model."),
        "scale": Entry("llm_scheduler.cli.models.steering:scale", "Change how many calls run at once."),
        "set": Entry("llm_scheduler.cli.models.setting:set_", "Change a model while it works."),
        "remove": Entry("llm_scheduler.cli.models.steering:remove", "Remove a model and its finished tasks."),
    },
)
def models() -> None:
    """Register, test, pause and scale models. Example: llms models list."""
