"""`llms plugins …`: what installed packages add."""

from __future__ import annotations

from typing import Any, Final

import click

from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.screen import say, show_json, show_table

_COLUMNS: Final = ("KIND", "NAME", "PACKAGE", "STATUS", ">FAULTS", "PROBLEM")


@click.group()
def plugins() -> None:
    """Strategies, task types and providers of other packages. Example: llms plugins list."""


@plugins.command("list", short_help="List what installed packages add, and what is wrong with it.")
@click.option("--live", is_flag=True, help="Ask the running server, which also counts faults.")
@server_options
@click.pass_context
def list_(ctx: click.Context, live: bool) -> None:
    """List plugins, those that cannot be used included. Needs no server: this environment is loaded.

    Example: llms plugins list --live.
    """
    items = _of_server(ctx) if live else _of_environment()
    if here(ctx).is_json:
        show_json({"items": items})
    elif items:
        show_table(_COLUMNS, map(_row, items))
    else:
        say("No plugins. A package brings some by its entry points: see docs/plugins.md.")


def _of_server(ctx: click.Context) -> list[dict[str, Any]]:
    with here(ctx).connect() as connection:
        return connection.get("/api/v1/plugins")["items"]


def _of_environment() -> list[dict[str, Any]]:
    from llm_scheduler.app.extensions import installed_plugins

    return [
        {
            "kind": str(plugin.kind),
            "name": plugin.name,
            "target": plugin.target,
            "package": plugin.package,
            "version": plugin.version,
            "state": "active" if plugin.problem is None else "refused" if plugin.is_refused else "broken",
            "problem": plugin.problem,
            "faults": {},
        }
        for plugin in installed_plugins()
    ]


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    package = f"{item['package']} {item['version']}" if item["package"] else None
    faults = ", ".join(f"{count} {sort}" for sort, count in sorted(item["faults"].items()))
    return item["kind"], item["name"], package, item["state"], faults or None, item["problem"]
