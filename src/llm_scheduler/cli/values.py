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
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_S: Final = 30 * 86_400


class SpanType(click.ParamType):
    """`90s`, `15m`, `1h`, `7d`, or seconds; 1 second to 30 days. Gives seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The seconds, or a usage error."""
        text = str(value).strip().lower()
        number, unit = (text[:-1], _SECONDS[text[-1]]) if text[-1:] in _SECONDS else (text, 1)
        if number.isascii() and number.isdigit() and 1 <= int(number[:9]) * unit <= _LONGEST_S:
            return int(number[:9]) * unit
        self.fail(f"'{value}' is no time from 1s to 30d; write 90s, 15m, 1h or 7d.", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What the help shows."""
        del param, ctx
        return "TIME"


SPAN: Final = SpanType()


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
