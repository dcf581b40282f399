"""`llms models list|get|test`."""

from __future__ import annotations

import json
from typing import Any, Final

import click

from llm_scheduler.cli.connection import Call, segment
from llm_scheduler.cli.faults import CliError
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.screen import count, local_time, say, show_facts, show_json, show_table, span

MODEL_COLUMNS: Final = ("NAME", "TYPE", "STATUS", ">WORKERS", ">QUEUED", ">RPM", ">TPM", ">REQUESTS", ">OK")
# A local model may be loaded first.
_TEST_READ_S: Final = 300.0


def model_row(model: dict[str, Any]) -> tuple[Any, ...]:
    """A model under `MODEL_COLUMNS`."""
    total = model.get("total_requests") or 0
    ended = total - (model.get("current_workers") or 0)
    share = f"{min(100.0, 100 * (model.get('success_requests') or 0) / ended):.1f} %" if ended > 0 else None
    return (
        model["name"],
        model["type"],
        model["status"],
        f"{model.get('current_workers') or 0}/{model['max_workers']}{' auto' if model.get('auto_workers') else ''}",
        count(model.get("queued") or 0),
        count(model.get("rpm")),
        count(model.get("tpm")),
        count(total),
        share,
    )


@click.command("list", short_help="List models with their queues.")
@server_options
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List models: workers busy/allowed, tasks waiting, limits, share of good calls.

    Example: llms models list.
    """
    with here(ctx).connect() as connection:
        items = connection.get("/api/v1/models")["items"]
    if here(ctx).is_json:
        show_json({"items": items})
    elif items:
        show_table(MODEL_COLUMNS, (model_row(model) for model in items))
    else:
        say("No models yet. Register one: llms models add --help")


@click.command(short_help="Show one model.")
@click.argument("name")
@server_options
@click.pass_context
def get(ctx: click.Context, name: str) -> None:
    """Show a model; secrets are masked. Example: llms models get gpt-4o-mini."""
    with here(ctx).connect() as connection:
        model = connection.get(f"/api/v1/models/{segment(name)}")
    if here(ctx).is_json:
        show_json(model)
        return
    show_facts(
        (key.replace("_", " "), local_time(value) if key.endswith("_at") else _plain(value))
        for key, value in model.items()
    )


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


@click.command(short_help="Make one real call, timed.")
@click.argument("name")
@server_options
@click.pass_context
def test(ctx: click.Context, name: str) -> None:
    """Make one real call to a model and time it. Example: llms models test gpt-4o-mini."""
    with here(ctx).connect() as connection:
        trial = connection.send(Call("POST", f"/api/v1/models/{segment(name)}/test", read_s=_TEST_READ_S))
    if here(ctx).is_json:
        show_json(trial)
        raise SystemExit(0 if trial["ok"] else CliError.exit_code)
    if not trial["ok"]:
        error = trial["error"]
        raise CliError(
            f"✗ {name}: {error.get('message')} ({error.get('code')})", f"Its settings: llms models get {name}"
        )
    first = trial.get("ttft_ms")
    speed = f"{span(trial['latency_ms'] / 1000)}" + (f", first token after {span(first / 1000)}" if first else "")
    usage = trial.get("usage") or {}
    say(f"✓ {name} answers in {speed}; {count(usage.get('total_tokens') or 0)} tokens.")
    click.echo(trial.get("text") or "")
