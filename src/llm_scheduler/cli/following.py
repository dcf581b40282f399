"""Following one task to its end: by its events, or by asking when the events break off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.connection import segment
from llm_scheduler.cli.faults import FAILED, CliError, UnreachableError
from llm_scheduler.cli.screen import (
    count,
    harmless,
    local_time,
    money,
    say,
    seconds_between,
    show_json_line,
    span,
)
from llm_scheduler.cli.values import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.cli.connection import Connection

POLL_S: Final = 30
_LEAST_POLL_S: Final = 0.5


class TaskFailedError(CliError):
    """The task ended without a result."""

    def __init__(self, task: dict[str, Any]) -> None:
        error = task.get("error") or {}
        why = f": {error.get('message')} ({error.get('code')})" if error else "."
        step = f"Look closer: llms tasks logs {task['id']}"
        super().__init__(f"Task {task['id']} {_ended(task['status'])}{why}", step)
        self.task = task

    def facts(self) -> dict[str, Any]:
        """The task's own error."""
        error = self.task.get("error") or {}
        return {"code": "task_" + self.task["status"], "detail": self.message, "task": self.task, "error": error}


def finished(connection: Connection, task_id: int, timeout_s: float | None = None) -> dict[str, Any]:
    """The task once it is over, by long polls.

    Raises:
        CliError: it is not over within `timeout_s`.
    """
    began = connection.pace.monotonic_s()
    while True:
        left_s = None if timeout_s is None else timeout_s - (connection.pace.monotonic_s() - began)
        if left_s is not None and left_s <= 0:
            raise CliError(
                f"Task {task_id} is not over after {span(timeout_s)}; it goes on.", f"llms tasks watch {task_id}"
            )
        wait_s = POLL_S if left_s is None else max(1, min(POLL_S, int(left_s)))
        asked = connection.pace.monotonic_s()
        task = connection.get(f"/api/v1/tasks/{segment(task_id)}", {"wait": wait_s}, read_s=wait_s + 30.0)
        if task["status"] in TERMINAL:
            return task
        if connection.pace.monotonic_s() - asked < _LEAST_POLL_S:
            # The server answered early (it is stopping, say): do not spin.
            connection.pace.sleep_s(_LEAST_POLL_S)


def followed(connection: Connection, task_id: int, on_event: Callable[[str, dict[str, Any]], None]) -> dict[str, Any]:
    """The task once it is over; each `status` and `delta` event on the way."""
    try:
        with connection.events(f"/api/v1/tasks/{segment(task_id)}/events") as events:
            for name, data in events:
                if name == "done":
                    return data
                on_event(name, data)
    except UnreachableError as error:
        connection.notice(f"{error.message} Asking for the result instead.")
    return finished(connection, task_id)


class Printer:
    """Shows a task's events: its text on stdout while it is written, the rest on stderr.

    Args:
        is_json: each event as a line of JSON on stdout instead.
        is_telling: whether status changes are told.
    """

    def __init__(self, *, is_json: bool, is_telling: bool) -> None:
        self._is_json, self._is_telling = is_json, is_telling
        self._attempt: int | None = None
        self._text = ""

    def __call__(self, name: str, data: dict[str, Any]) -> None:
        """Show one event."""
        if self._is_json:
            show_json_line({"event": name, **data})
        elif name == "delta":
            self._add(data["text"], data.get("attempt"))
        elif name == "status" and self._is_telling:
            say(f"{local_time(data.get('at')) or ''}  {data['status']}  attempt {data.get('attempt', 0)}".strip())

    def end(self, task: dict[str, Any]) -> None:
        """Show the end; what was missed of the text is made up for.

        Raises:
            TaskFailedError: it ended without a result.
            SystemExit: the same, for a program.
        """
        if self._is_json:
            show_json_line({"event": "done", "task": task})
            raise SystemExit(0 if task["status"] == "completed" else FAILED)
        if task["status"] != "completed":
            if self._text:
                click.echo()
            raise TaskFailedError(task)
        text = text_of(task)
        if text.startswith(self._text):
            click.echo(harmless(text.removeprefix(self._text)))
        else:
            # The beginning was written before we listened.
            click.echo("\n" + harmless(text))
        say(account(task))

    def _add(self, text: str, attempt: int | None) -> None:
        if self._text and attempt != self._attempt:
            click.echo()
            say(f"Attempt {attempt} starts over.")
            self._text = ""
        self._attempt = attempt
        self._text += text
        click.echo(harmless(text), nl=False)


def account(task: dict[str, Any]) -> str:
    """How a task went, in a line: completed in 1.2 s, 12 + 40 tokens, $0.0001."""
    usage = task.get("usage") or {}
    parts = [f"Task {task['id']} {_ended(task['status'])}"]
    ran = seconds_between(task.get("started_at"), task.get("completed_at"))
    waited = seconds_between(task.get("created_at"), task.get("started_at"))
    if ran is not None:
        parts.append(f"ran {span(ran)}, waited {span(waited)}")
    if usage.get("total_tokens"):
        parts.append(f"{count(usage.get('prompt_tokens'))} + {count(usage.get('completion_tokens'))} tokens")
    if task.get("cost_microusd"):
        parts.append(str(money(task["cost_microusd"])))
    if (task.get("cache") or {}).get("hit"):
        parts.append(f"from the cache (task {task['cache']['task_id']})")
    return " · ".join(parts)


def text_of(task: dict[str, Any]) -> str:
    """The text of the answer; for an answer without text, its JSON."""
    output = task.get("output") or {}
    if output.get("text"):
        return output["text"]
    from json import dumps

    return dumps(output.get("raw") or {}, ensure_ascii=False)


def _ended(status: str) -> str:
    return f"was {status}" if status == "cancelled" else status
