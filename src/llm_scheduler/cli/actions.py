"""Actions on everything that matches a filter: asked for, confirmed, watched to the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.connection import segment
from llm_scheduler.cli.faults import CliError
from llm_scheduler.cli.screen import count, say

if TYPE_CHECKING:
    from llm_scheduler.cli.connection import Connection
    from llm_scheduler.cli.filters import Filter

_FIRST_POLL_S: Final = 0.1
_LAST_POLL_S: Final = 2.0


def confirm(connection: Connection, where: Filter, verb: str, statuses: tuple[str, ...]) -> bool:
    """Ask a person whether they mean that many; False when there are none.

    Raises:
        click.Abort: they do not.
    """
    asked = where.fields.get("status")
    narrowed = [status for status in statuses if not asked or status in asked]
    answer = connection.get("/api/v1/tasks/counts", {**where.params(), "status": narrowed}) if narrowed else {}
    total = answer.get("total", 0)
    if not total:
        say(f"Nothing to {verb}.")
        return False
    click.confirm(f"{verb.capitalize()} {count(total)} tasks?", abort=True, err=True)
    return True


def watched(connection: Connection, action: dict[str, Any]) -> dict[str, Any]:
    """The action once it has ended; says how far it is.

    Raises:
        CliError: it failed on the server.
    """
    delay_s, told = _FIRST_POLL_S, 0
    while action.get("status") == "running":
        connection.pace.sleep_s(delay_s)
        delay_s = min(_LAST_POLL_S, delay_s * 1.5)
        action = connection.get(f"/api/v1/tasks/actions/{segment(action['id'])}")
        if action["seen"] - told >= 10_000:
            told = action["seen"]
            say(f"{count(action['changed'])} changed so far …")
    if action.get("status") == "failed":
        raise CliError(
            f"The action failed after {action['changed']} tasks: {action.get('error') or 'no reason given'}."
        )
    return action
