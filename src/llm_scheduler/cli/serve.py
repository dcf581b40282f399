"""`llms serve`: parses, and hands over to the server."""

from __future__ import annotations

from typing import Any

import click

from llm_scheduler.cli.faults import explained


@click.command(short_help="Run the server: API, worker or both.")
@click.option(
    "--role", type=click.Choice(["all", "api", "worker"]), help="What this process does. Default all: API and worker."
)
@click.option("--host", metavar="ADDRESS", help="Default 127.0.0.1; 0.0.0.0 opens it to the network.")
@click.option("--port", type=click.IntRange(0, 65535), help="Default 8000; 0 takes a free one.")
@click.option("--data-dir", metavar="FOLDER", type=click.Path(file_okay=False), help="Database, keys and lock.")
@click.option("--grace", "grace_s", type=click.FloatRange(min=0), metavar="S", help="What running calls get at a stop.")
@click.option("--log-format", type=click.Choice(["console", "json"]))
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option(
    "--strategy",
    metavar="NAME",
    help="Order of tasks; default: fair. See docs/strategies.md.",
)
@click.option("--sample-model", is_flag=True, help="Without any model: register a small local one, to try things out.")
def serve(sample_model: bool, **overrides: Any) -> None:
    """Run API and worker until Ctrl-C.

    What is not given here comes from LLMS_* or llm-scheduler.toml. Example: llms serve --port 8080.
    Roles other than all need LLMS_DATABASE_URL=mysql://… and LLMS_REDIS_URL=redis://… to share.
    """
    with explained():
        from llm_scheduler.app import commands

        commands.serve(overrides, is_sampling=sample_model)


@click.command(short_help="Run a worker only: tasks, no API.")
@click.option("--models", metavar="NAMES", help="Serve only these, with commas between. Default: all.")
@click.option("--max-running", type=click.IntRange(min=1), metavar="N", help="Calls at once, over all models.")
@click.option("--host", metavar="ADDRESS", help="Where /healthz, /readyz and /metrics answer. Default 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="Their port. Default: a free one, told in the log.")
@click.option("--data-dir", metavar="FOLDER", type=click.Path(file_okay=False), help="For files of its own.")
@click.option("--grace", "grace_s", type=click.FloatRange(min=0), metavar="S", help="What running calls get at a stop.")
@click.option("--log-format", type=click.Choice(["console", "json"]))
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
def worker(**overrides: Any) -> None:
    """Run tasks until Ctrl-C; any number of workers share one record and one index.

    Needs LLMS_DATABASE_URL=mysql://…, LLMS_REDIS_URL=redis://… and the installation's LLMS_SECRET_KEY.
    Example: llms worker --models gpt-4o-mini,claude-haiku --grace 120.
    """
    with explained():
        from llm_scheduler.app import commands

        commands.worker(overrides)
