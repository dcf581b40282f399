"""`llms models predict`."""

from __future__ import annotations

from typing import Any, Final

import click

from llm_scheduler.cli.connection import segment
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.screen import count, say, show_facts, show_json, show_table, span

LEARNED_COLUMNS: Final = ("TEMPLATE", ">INPUT", ">OUTPUT", ">TIME", ">FACTOR", ">SAMPLES")


@click.command(short_help="Show what its calls are expected to bring.")
@click.argument("name")
@click.option("--template", "-t", default="chat", show_default=True, help="Of the task; its type if it has none.")
@click.option(
    "--input-tokens",
    type=click.IntRange(min=0, max=100_000_000),
    default=100,
    show_default=True,
    metavar="N",
    help="Length of the input: bytes divided by four.",
)
@server_options
@click.pass_context
def predict(ctx: click.Context, name: str, template: str, input_tokens: int) -> None:
    """Show the output and the time that a call of NAME is expected to take, and what was learned of your calls.

    Example: llms models predict gpt-4o-mini --template summary --input-tokens 2000.
    """
    params = {"template": template, "input_tokens": input_tokens}
    with here(ctx).connect() as connection:
        found = connection.get(f"/api/v1/models/{segment(name)}/predictions", params)
    if here(ctx).is_json:
        show_json(found)
        return
    expected = found["expected"]
    show_facts(
        (
            ("output tokens", count(expected["output_tokens"])),
            ("time", span(expected["service_s"])),
            ("input factor", f"{expected['input_factor']:.2f}"),
            ("calls like it", count(expected["samples"])),
            ("calls in all", count(expected["model_samples"])),
        )
    )
    if found["learned"]:
        click.echo()
        show_table(LEARNED_COLUMNS, (_row(one) for one in found["learned"]))
    elif not expected["model_samples"]:
        say(f"{name} has answered no call yet; these are what every model begins with.")


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    return (
        one["template"],
        f"{count(one['input_tokens_from'])}–{count(one['input_tokens_to'])}",
        count(one["output_tokens"]),
        span(one["service_s"]),
        f"{one['input_factor']:.2f}",
        count(one["samples"]),
    )
