"""How many calls at once, on the command line: a number, or `auto`."""

from __future__ import annotations

from typing import Any, Final

import click


class _Workers(click.ParamType):
    name = "workers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """A number from 1, or `auto`."""
        if value == "auto" or isinstance(value, int):
            return value
        text = str(value)
        if text.isascii() and text.isdigit() and int(text) > 0:
            return int(text)
        self.fail(f"{text!r} is neither a number from 1 nor 'auto'.", param, ctx)


WORKERS: Final = _Workers()


def auto_fields(options: dict[str, Any]) -> dict[str, Any]:
    """The bounds of `auto`, for the body of a request.

    Raises:
        click.UsageError: there are bounds, but a number as well or no `auto`.
    """
    given = {"min": options["min_workers"], "max": options["most_workers"]}
    bounds = {name: value for name, value in given.items() if value is not None}
    if bounds and options["max_workers"] != "auto":
        raise click.UsageError("--min-workers and --most-workers are bounds of 'auto': add --max-workers auto.")
    return {"auto_workers": bounds} if bounds else {}
