"""The filter grammar of tasks, as options: one wording for list, counts and actions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import click

from llm_scheduler.cli.values import PRIORITY, STATUSES, pairs

_NAMES: Final = ("status", "model", "type", "priority", "created_after", "created_before", "metadata", "q")
_TIME_HELP: Final = "2026-01-31, or 2026-01-31T09:00:00 with or without a zone."
_INSTANTS: Final = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tasks are meant. `fields` holds only what was given."""

    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    def __bool__(self) -> bool:
        """Whether it narrows anything."""
        return bool(self.fields or self.metadata)

    def params(self) -> dict[str, Any]:
        """As query parameters."""
        return {**self.fields, **{f"metadata.{key}": value for key, value in self.metadata.items()}}

    def body(self) -> dict[str, Any]:
        """As the `filter` of an action."""
        return {**self.fields, **({"metadata": dict(self.metadata)} if self.metadata else {})}


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the filter's options; the command gets them as `where`."""

    @functools.wraps(command)
    def gathered(*args: Any, **options: Any) -> Any:
        given = {name: options.pop(name) for name in _NAMES}
        return command(*args, where=_filter(given), **options)

    for option in (
        click.option("--q", metavar="TEXT", help="A task's id, or text in its error or input."),
        click.option("--metadata", "-m", multiple=True, callback=pairs, metavar="KEY=VALUE", help="Repeatable."),
        click.option("--created-before", type=click.DateTime(_INSTANTS), metavar="TIME", help=_TIME_HELP),
        click.option("--created-after", type=click.DateTime(_INSTANTS), metavar="TIME", help=_TIME_HELP),
        click.option("--priority", type=PRIORITY),
        click.option("--type", metavar="TYPE", help="chat, completion, embedding, …"),
        click.option("--model", metavar="NAME"),
        click.option("--status", multiple=True, type=click.Choice(STATUSES), help="Repeatable."),
    ):
        gathered = option(gathered)
    return gathered


def _filter(given: dict[str, Any]) -> Filter:
    metadata = given.pop("metadata")
    given["status"] = list(given["status"])
    for name in ("created_after", "created_before"):
        if given[name] is not None:
            given[name] = given[name].astimezone().isoformat()
    return Filter({name: value for name, value in given.items() if value not in (None, [])}, metadata)
