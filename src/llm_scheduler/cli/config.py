"""`llms config …`: which settings are in force, and why."""

from __future__ import annotations

import click

from llm_scheduler.cli.faults import CliError
from llm_scheduler.cli.invocation import here, json_option
from llm_scheduler.cli.screen import say, show_json, show_table


@click.group()
def config() -> None:
    """Show the settings in force. Example: llms config show."""


@config.command()
@json_option
@click.pass_context
def show(ctx: click.Context) -> None:
    """Show every server setting, its value and where it comes from; secrets are masked.

    Example: LLMS_PORT=8080 llms config show.
    """
    from llm_scheduler.settings import Settings, SettingsError, load, open_files

    try:
        settings, sources = load()
    except SettingsError as error:
        raise CliError(str(error), "Mend it, then: llms config show") from error
    for path in open_files(sources):
        say(f"Warning: everybody on this machine can read {path}; chmod o-r {path}")
    values = settings.shown()
    if here(ctx).is_json:
        show_json({name: {"value": value, "source": sources.get(name, "default")} for name, value in values.items()})
        return
    meanings = {name: field.description or "" for name, field in Settings.model_fields.items()}
    rows = [(name, value, sources.get(name, "default"), meanings.get(name, "")) for name, value in values.items()]
    show_table(("SETTING", "VALUE", "FROM", "MEANING"), rows)
