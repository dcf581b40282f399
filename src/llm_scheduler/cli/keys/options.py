"""Options that several commands about API keys have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

PATH: Final = "/api/v1/api-keys"
_F = TypeVar("_F", bound=Callable[..., Any])
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_LONGEST_S: Final = 10 * 366 * 86_400
NEVER: Final = "never"


class EndType(click.ParamType):
    """`12h`, `90d`, `1y`, an instant, or `never`; gives the fields of the request."""

    name = "end"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """What to send, or a usage error."""
        if isinstance(value, dict):
            return value
        text = str(value).strip()
        if text == NEVER:
            return {"expires_at": None}
        number, unit = text[:-1], _SECONDS.get(text[-1:])
        if unit is not None and number.isascii() and number.isdigit() and 1 <= int(number[:9]) * unit <= _LONGEST_S:
            return {"expires_in_s": int(number[:9]) * unit}
        if len(text) >= 20 and "T" in text:
            return {"expires_at": text}
        self.fail(f"'{value}' is no end; write 12h, 90d, 1y, 2030-01-31T09:00:00Z or never.", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What the help shows."""
        del param, ctx
        return "90d|INSTANT|never"


END: Final = EndType()


def _names(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[str]:
    """Given several times or with commas."""
    del ctx, param
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def key_options(command: _F) -> _F:
    """What a key may do, and its limits."""
    options = (
        click.option(
            "--scopes",
            multiple=True,
            callback=_names,
            metavar="NAMES",
            help="read, submit, manage, all, or permissions such as tasks:read; with commas.",
        ),
        click.option("--models", multiple=True, callback=_names, metavar="NAMES", help="Only these models."),
        click.option("--rpm", type=click.IntRange(min=0), metavar="N", help="Requests a minute; 0: no limit."),
        click.option(
            "--network",
            "networks",
            multiple=True,
            callback=_names,
            metavar="CIDR",
            help="Only from there; may be given several times.",
        ),
        click.option("--expires", type=END, help="When it ends by itself."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def key_fields(options: dict[str, Any]) -> dict[str, Any]:
    """The given options as fields of a request."""
    found: dict[str, Any] = dict(options["expires"] or {})
    if options["scopes"]:
        found["scopes"] = options["scopes"]
    if options["models"]:
        found["allowed_models"] = None if options["models"] == ["*"] else options["models"]
    if options["rpm"] is not None:
        found["rpm"] = options["rpm"] or None
    if options["networks"]:
        found["networks"] = [] if options["networks"] == ["*"] else options["networks"]
    return found
