"""Options and words that the commands about tenants and people share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.connection import Call
from llm_scheduler.cli.invocation import here
from llm_scheduler.cli.listing import PAGE
from llm_scheduler.cli.screen import say, show_json

if TYPE_CHECKING:
    from llm_scheduler.cli.connection import Connection

ROLES: Final = ("owner", "developer", "viewer")
NONE: Final = "none"


class _MostType(click.ParamType):
    """A whole number, or `none` for no bound (which is told apart from an option that is not given)."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """The number, or the word."""
        if value == NONE:
            return NONE
        if not str(value).isdigit():
            self.fail(f"'{value}' is neither a whole number nor 'none'.", param, ctx)
        return int(value)


MOST: Final = _MostType()


def bound(value: int | str) -> int | None:
    """As the API takes it."""
    return None if isinstance(value, str) else value


def listed(connection: Connection, path: str, **where: Any) -> list[dict[str, Any]]:
    """Every item of a list, of all its pages."""
    items: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": PAGE, **{name: value for name, value in where.items() if value is not None}}
    while True:
        found = connection.send(Call("GET", path, params, is_repeatable=True))
        items += found["items"]
        if found["next_cursor"] is None:
            return items
        params["cursor"] = found["next_cursor"]


def told(ctx: click.Context, answer: Any, text: str) -> None:
    """The answer as JSON, or the sentence."""
    if here(ctx).is_json:
        show_json(answer)
    else:
        say(text)
