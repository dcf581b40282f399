"""`llms keys …`."""

from __future__ import annotations

import click

from llm_scheduler.cli.lazy import Entry, LazyGroup


@click.group(
    cls=LazyGroup,
    entries={
        "ring": Entry("llm_scheduler.cli.keys.rotating:ring", "Show which secret keys seal and open stored secrets."),
        "rotate": Entry("llm_scheduler.cli.keys.rotating:rotate", "Seal stored secrets anew with the key in force."),
    },
)
def keys() -> None:
    """See to keys. Example: llms keys ring."""
