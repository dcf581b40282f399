"""`llms serve`: parses, and hands over to the server."""

from __future__ import annotations

from typing import Any

import click

from llm_scheduler.cli.faults import explained


@click.command(short_help="Run the server: API and worker in one process.")
@click.option("--host", metavar="ADDRESS", help="Default 127.0.0.1; 0.0.0.0 opens it to the network.")
@click.option("--port", type=click.IntRange(0, 65535), help="Default 8000; 0 takes a free one.")
@click.option("--data-dir", metavar="FOLDER", type=click.Path(file_okay=False), help="Database, keys and lock.")
@click.option("--grace", "grace_s", type=click.FloatRange(min=0), metavar="S", help="What running calls get at a stop.")
@click.option("--log-format", type=click.Choice(["console", "json"]))
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--strategy", metavar="NAME", help="Order of tasks: fair, priority, fifo.")
@click.option("--sample-model", is_flag=True, help="Without any model: register a small local one, to try things out.")
def serve(sample_model: bool, **overrides: Any) -> None:
    """Run API and worker until Ctrl-C.

    What is not given here comes from LLMS_* or llm-scheduler.toml. Example: llms serve --port 8080.
    """
    with explained():
        from llm_scheduler.app import commands

        commands.serve(overrides, is_sampling=sample_model)
