"""Values on the command line that need more than click's own types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

STATUSES: Final = (
    "blocked",
    "scheduled",
    "queued",
    "held",
    "running",
    "completed",
    "failed",
    "cancelled",
    "expired",
)
TERMINAL: Final = ("completed", "failed", "cancelled", "expired")
_NAMED: Final = {"high": 0, "medium": 5, "low": 9}


class PriorityType(click.ParamType):
    """`high`, `medium`, `low` or 0 (first) to 9 (last); gives the number."""

    name = "priority"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or a usage error."""
        text = str(value).lower()
        if text in _NAMED:
            return _NAMED[text]
        if len(text) == 1 and text.isdigit():
            return int(text)
        self.fail(f"'{value}' is none of high, medium, low or 0 (first) to 9 (last).", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What the help shows."""
        del param, ctx
        return "[high|medium|low|0-9]"


PRIORITY: Final = PriorityType()


def pairs(ctx: click.Context, param: click.Parameter, values: Iterable[str]) -> dict[str, str]:
    """Callback: `-m key=value` given several times, as a mapping.

    Raises:
        click.BadParameter: one of them has no '=' or no key.
    """
    del ctx
    found: dict[str, str] = {}
    for value in values:
        key, mark, text = value.partition("=")
        if not mark or not key:
            raise click.BadParameter(f"'{value}' should be KEY=VALUE.", param=param)
        found[key] = text
    return found
