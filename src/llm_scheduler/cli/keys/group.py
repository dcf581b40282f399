"""`llms keys …`."""

from __future__ import annotations

import click

from llm_scheduler.cli.lazy import Entry, LazyGroup


@click.group(
    cls=LazyGroup,
    entries={
        "list": Entry("llm_scheduler.cli.keys.reading:list_", "List API keys."),
        "get": Entry("llm_scheduler.cli.keys.reading:get", "Show one API key with its budgets."),
        "create": Entry("llm_scheduler.cli.keys.making:create", "Make an API key; shows it once."),
        "renew": Entry("llm_scheduler.cli.keys.making:renew", "Make a key in another's place, with an overlap."),
        "set": Entry("llm_scheduler.cli.keys.changing:set_", "Change an API key's name, scopes, limits or end."),
        "revoke": Entry("llm_scheduler.cli.keys.changing:revoke", "Revoke an API key for good."),
        "ring": Entry("llm_scheduler.cli.keys.rotating:ring", "Show which secret keys seal and open stored secrets."),
        "rotate": Entry("llm_scheduler.cli.keys.rotating:rotate", "Seal stored secrets anew with the key in force."),
    },
)
def keys() -> None:
    """API keys: who calls, and what they may do. Example: llms keys create ci --scopes submit --expires 90d."""
