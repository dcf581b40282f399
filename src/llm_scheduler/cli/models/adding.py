"""`llms models add`."""

from __future__ import annotations

import json
import os
from typing import Any, Final

import click

from llm_scheduler.cli.connection import Call
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.models.workers import WORKERS, auto_fields
from llm_scheduler.cli.screen import say, show_json
from llm_scheduler.cli.values import pairs

_LIMITS: Final = ("max_workers", "rpm", "tpm", "strategy")


@click.command(short_help="Register a model.")
@click.argument("name")
@click.option(
    "--type", default="openai", show_default=True, help="openai (and compatible), anthropic, local, scripted."
)
@click.option("--base-url", metavar="URL", help="Of the provider, such as https://api.openai.com/v1.")
@click.option("--model", "provider_model", metavar="ID", help="What the provider calls it; default NAME.")
@click.option("--key-env", metavar="VARIABLE", help="Environment variable with the provider's key.")
@click.option("--key-stdin", is_flag=True, help="Read the provider's key from stdin (hidden at a terminal).")
@click.option("--max-workers", type=WORKERS, metavar="N|auto", help="Calls at once; auto has it found.")
@click.option("--min-workers", type=click.IntRange(min=1), metavar="N", help="With auto: never fewer (1).")
@click.option("--most-workers", type=click.IntRange(min=1), metavar="N", help="With auto: never more (64).")
@click.option("--rpm", type=click.IntRange(min=1), metavar="N", help="Requests a minute.")
@click.option("--tpm", type=click.IntRange(min=1), metavar="N", help="Tokens a minute.")
@click.option("--strategy", metavar="NAME", help="Order of its tasks; default: the server's.")
@click.option(
    "--fallback", "fallbacks", multiple=True, metavar="MODEL", help="Where tasks go when it is down; in order."
)
@click.option("--pacing", type=click.Choice(["headers", "configured"]), help="Which limits count.")
@click.option(
    "--option", "options_", multiple=True, callback=pairs, metavar="NAME=VALUE", help="Further options; JSON or text."
)
@click.option("--max-retries", type=click.IntRange(min=0), metavar="N", help="Of a failed call.")
@click.option(
    "--config", "-c", multiple=True, callback=pairs, metavar="KEY=VALUE", help="Further config; JSON or text."
)
@server_options
@click.pass_context
def add(ctx: click.Context, name: str, **options: Any) -> None:
    """Register a model under NAME. The provider's key is never given as an argument: others could see it.

    \b
    Example: llms models add gpt-4o-mini --base-url https://api.openai.com/v1 --key-env OPENAI_API_KEY --rpm 500
             llms models add qwen --type local -c model_path=/models/qwen.gguf
             llms models add toy --type scripted -c delay_ms=200
             llms models add vllm --base-url http://gpu:8000/v1 --max-workers auto --most-workers 256
             llms models add flaky --type scripted -c 'errors=[{"every": 10, "code": "server_error"}]'
             llms models add gpt-4o --key-env OPENAI_API_KEY --fallback qwen --option retry_share=0.05

    \b
    Config of openai:    base_url, api_key, model, timeout_s, headers, extra_body, api_key_header,
                         stream (false: answers come whole)
              anthropic: base_url, api_key, model, timeout_s, max_tokens, headers, extra_body
              local:     model_path, threads, parallel, context_tokens, max_tokens, embedding, timeout_s
              scripted:  text, delay_ms, jitter_ms, chunks, tokens_per_s, errors, ledger, timeout_s
    """  # noqa: D301
    body = _body(name, options)
    with here(ctx).connect() as connection:
        model = connection.send(Call("POST", "/api/v1/models", body=body))
    if here(ctx).is_json:
        show_json(model)
    else:
        say(f"{name} is registered. Try it: llms models test {name}")


def _body(name: str, options: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {key: json_or_text(text) for key, text in options["config"].items()}
    key = provider_key(options)
    named = {"base_url": options["base_url"], "model": options["provider_model"], "api_key": key}
    config |= {field: value for field, value in named.items() if value is not None}
    body: dict[str, Any] = {"name": name, "type": options["type"], "config": config}
    body |= {field: options[field] for field in _LIMITS if options[field] is not None}
    body |= {field: json_or_text(text) for field, text in options["options_"].items()}
    if options["fallbacks"]:
        body["fallback_models"] = list(options["fallbacks"])
    if options["pacing"] is not None:
        body["pacing"] = options["pacing"]
    body |= auto_fields(options)
    if options["max_retries"] is not None:
        body["retry"] = {"max_retries": options["max_retries"]}
    return body


def provider_key(options: dict[str, Any]) -> str | None:
    """The provider's key, by `--key-stdin` or `--key-env`; None without either."""
    if options["key_stdin"]:
        return str(click.prompt("Key of the provider", hide_input=True, err=True)).strip()
    variable = options["key_env"]
    if variable is None:
        return None
    if not os.environ.get(variable):
        raise click.UsageError(f"The environment variable {variable} is not set.")
    return os.environ[variable]


def json_or_text(text: str) -> Any:
    """The JSON value in a text, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
