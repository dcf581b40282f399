"""`llms submit`: one task."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass
from typing import Any

import click

from llm_scheduler.cli.connection import Call, Connection
from llm_scheduler.cli.faults import CliError
from llm_scheduler.cli.following import Printer, TaskFailedError, account, finished, followed, text_of
from llm_scheduler.cli.invocation import Invocation, here, server_options
from llm_scheduler.cli.screen import harmless, say, show_json
from llm_scheduler.cli.values import PRIORITY, SPAN, pairs


@dataclass(frozen=True, slots=True)
class _Order:
    """The command's arguments."""

    model: str
    prompt: str
    type: str
    priority: int | None
    max_tokens: int | None
    system: str | None
    metadata: dict[str, str]
    cache: int | None
    wait: bool
    stream: bool
    timeout: float | None
    key: str | None

    def body(self) -> dict[str, Any]:
        """The task, as POST /tasks takes it."""
        body = {"model": self.model, "type": self.type, "input": self._input()}
        if self.priority is not None:
            body["priority"] = self.priority
        if self.metadata:
            body["metadata"] = self.metadata
        if self.cache is not None:
            body["cache"] = {"ttl_s": self.cache}
        return body

    def _input(self) -> dict[str, Any] | str:
        prompt = sys.stdin.read() if self.prompt == "-" else self.prompt
        if not prompt.strip():
            raise click.UsageError("The prompt is empty.")
        limit = {"max_tokens": self.max_tokens} if self.max_tokens else {}
        if self.type == "chat":
            system = [{"role": "system", "content": self.system}] if self.system else []
            return {"messages": [*system, {"role": "user", "content": prompt}], **limit}
        if self.system:
            raise click.UsageError(f"--system is for tasks of type chat, not {self.type}.")
        if self.type == "completion":
            return {"prompt": prompt, **limit}
        return {"input": prompt, **limit} if limit else prompt


@click.command(short_help="Hand over one task; wait for it or stream it.")
@click.argument("model")
@click.argument("prompt")
@click.option("--type", default="chat", show_default=True, help="chat, completion, embedding or a plugin's.")
@click.option("--priority", "-p", type=PRIORITY, help="Default: medium.")
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="The most that the answer may have.")
@click.option("--system", metavar="TEXT", help="System message.")
@click.option("--metadata", "-m", multiple=True, callback=pairs, metavar="KEY=VALUE", help="Repeatable.")
@click.option("--cache", type=SPAN, help="Take a stored answer of an equal task, or keep this one's so long: 1h.")
@click.option("--wait", is_flag=True, help="Wait for the answer and print it.")
@click.option("--stream", is_flag=True, help="Print the answer while it is written.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Wait no longer; the task goes on."
)
@click.option("--idempotency-key", "key", metavar="KEY", help="The same key gives the same task.")
@server_options
@click.pass_context
def submit(ctx: click.Context, **options: Any) -> None:
    """Hand one task for MODEL over; a PROMPT of '-' is read from stdin.

    Prints the task's id, or with --wait or --stream the answer.

    \b
    Example: llms submit gpt-4o-mini "Say hi" --priority high --wait
             llms submit gpt-4o-mini - --system "Summarise." --stream < report.txt
    """  # noqa: D301
    invocation, order = here(ctx), _Order(**options)
    body = order.body()
    with invocation.connect() as connection:
        key = {"Idempotency-Key": order.key or f"cli-{secrets.token_hex(16)}"}
        task = connection.send(Call("POST", "/api/v1/tasks", body=body, headers=key, is_repeatable=True))
        if order.stream:
            _stream(connection, invocation, task)
        elif order.wait:
            _wait(connection, invocation, task, order.timeout)
        elif invocation.is_json:
            show_json(task)
        else:
            click.echo(task["id"])
            place = task.get("queue_position")
            ahead = f" ({place} ahead of it)" if place else ""
            say(f"Task {task['id']} is {task['status']}{ahead}. Follow it: llms tasks watch {task['id']}")


def _wait(connection: Connection, invocation: Invocation, task: dict[str, Any], timeout_s: float | None) -> None:
    task = finished(connection, task["id"], timeout_s)
    if invocation.is_json:
        show_json(task)
        raise SystemExit(0 if task["status"] == "completed" else CliError.exit_code)
    if task["status"] != "completed":
        raise TaskFailedError(task)
    click.echo(harmless(text_of(task)))
    say(account(task))


def _stream(connection: Connection, invocation: Invocation, task: dict[str, Any]) -> None:
    printer = Printer(is_json=invocation.is_json, is_telling=False)
    printer.end(followed(connection, task["id"], printer))
