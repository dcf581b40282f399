"""`llms run`: works through a JSONL file, pays for no line twice, and goes on where it was stopped."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.connection import Connection, segment
from llm_scheduler.cli.faults import FAILED, INTERRUPTED, CliError, RefusedError
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.run.engine import Run
from llm_scheduler.cli.run.forecast import forecast
from llm_scheduler.cli.run.ledger import Ledger, Tally
from llm_scheduler.cli.run.lines import RunOptions
from llm_scheduler.cli.run.output import Output
from llm_scheduler.cli.run.progress import BarProgress, LineProgress, Progress
from llm_scheduler.cli.run.source import Source
from llm_scheduler.cli.screen import count, money, say, show_json, span
from llm_scheduler.cli.values import PRIORITY, SPAN

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE_S: Final = 600.0
_SHOWN_BAD_LINES: Final = 10
_MOST_MODELS_CHECKED: Final = 20


@dataclass(frozen=True, slots=True)
class _Choices:
    """How the run goes; nothing here changes what is asked of the models."""

    is_unordered: bool
    is_skipping_bad: bool
    is_retrying_failed: bool
    is_cancelling: bool
    is_quiet: bool


@click.command(short_help="Work through a JSONL file; safe to interrupt and repeat.")
@click.argument("source", metavar="IN.jsonl", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", "-o", metavar="OUT.jsonl", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--model", metavar="NAME", help="For lines that name no model.")
@click.option("--force-model", is_flag=True, help="--model is for every line, whatever it names.")
@click.option("--priority", "-p", type=PRIORITY, help="For lines without one.")
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="For lines without one.")
@click.option("--system", metavar="TEXT", help="System message, for lines without one.")
@click.option("--cache", type=SPAN, help="Take stored answers of equal tasks, keep new ones so long: 1h, 7d.")
@click.option("--name", metavar="TEXT", help="Another name makes another run of the same file.")
@click.option("--unordered", "is_unordered", is_flag=True, help="Write answers as they come.")
@click.option("--skip-bad", "is_skipping_bad", is_flag=True, help="Write an error for bad lines and go on.")
@click.option("--retry-failed", "is_retrying_failed", is_flag=True, help="Queue failed lines of an earlier run again.")
@click.option("--cancel-on-interrupt", "is_cancelling", is_flag=True, help="Ctrl-C cancels what is left.")
@click.option("--dry-run", is_flag=True, help="Submit nothing; say what it would cost and when it would be done.")
@click.option("--quiet", "-q", "is_quiet", is_flag=True, help="No progress.")
@server_options
@click.pass_context
def run(ctx: click.Context, source: Path, output: Path | None, **options: Any) -> None:
    """Submit every line of IN.jsonl as a task and write every answer to OUT.jsonl.

    A line is a JSON string, {"prompt": …}, {"messages": […]} or an OpenAI batch line. After Ctrl-C or a
    crash the same command goes on; what was submitted is not submitted again.

    \b
    Example: llms run prompts.jsonl -o answers.jsonl --model gpt-4o-mini
             llms run prompts.jsonl --model gpt-4o-mini --dry-run
    """  # noqa: D301
    if options["dry_run"]:
        forecast(here(ctx), _scanned(source, options, _choices(options)))
        return
    if output is None:
        raise click.MissingParameter(param_hint="'--output' / '-o'", param_type="option", ctx=ctx)
    if output.exists() and output.samefile(source):
        raise click.UsageError("Input and output are the same file.")
    choices = _choices(options)
    lines = _scanned(source, options, choices)
    invocation = here(ctx)
    run_id = lines.run_id(invocation.server_url, options["name"])
    with invocation.connect(_PATIENCE_S) as connection:
        _check_models(connection, lines)
        began_s = invocation.pace.monotonic_s()
        tally = _work(connection, lines, run_id, output, choices)
        took_s = invocation.pace.monotonic_s() - began_s
    if invocation.is_json:
        show_json({"run": run_id, "took_s": round(took_s, 3), **_sums(tally)})
    _tell(tally, took_s, output)
    raise SystemExit(FAILED if tally.failed else 0)


def _choices(options: dict[str, Any]) -> _Choices:
    return _Choices(**{name: options[name] for name in _Choices.__slots__})


def _scanned(path: Path, options: dict[str, Any], choices: _Choices) -> Source:
    asked = RunOptions(
        options["model"],
        options["priority"],
        options["max_tokens"],
        options["system"],
        options["force_model"],
        options["cache"],
    )
    if asked.is_model_forced and not asked.model:
        raise click.UsageError("--force-model needs --model.")
    lines = Source.scan(path, asked)
    if lines.bad and not choices.is_skipping_bad:
        for number, reason in list(lines.bad.items())[:_SHOWN_BAD_LINES]:
            say(f"{path}:{number}: {reason}")
        more = len(lines.bad) - _SHOWN_BAD_LINES
        raise click.UsageError(
            f"{len(lines.bad)} bad lines{f' ({more} not shown)' if more > 0 else ''}; nothing was submitted. "
            "Mend them, or go on without them: --skip-bad"
        )
    if not lines.numbers and not lines.bad:
        raise click.UsageError(f"{path} has no lines.")
    return lines


def _check_models(connection: Connection, lines: Source) -> None:
    """Find out about an unknown model before anything is submitted.

    Raises:
        RefusedError: there is no such model.
    """
    for name, _ in lines.models.most_common(_MOST_MODELS_CHECKED):
        try:
            connection.get(f"/api/v1/models/{segment(name)}")
        except RefusedError as error:
            # A key may be good for tasks and not for models.
            if error.status != 403:
                raise


def _work(connection: Connection, lines: Source, run_id: str, path: Path, choices: _Choices) -> Tally:
    total = len(lines.numbers) + len(lines.bad)
    every = sorted([*lines.numbers, *lines.bad])
    with (
        _progress(choices, total, connection.pace.monotonic_s) as progress,
        Output(path, None if choices.is_unordered else every) as output,
    ):
        connection.notice = progress.notice
        ledger = Ledger(lines, run_id, output)
        work = Run(connection, ledger, output, progress)
        try:
            for number, reason in lines.bad.items():
                ledger.refuse(number, "bad_line", reason)
            _go(work, ledger, choices, progress)
        except KeyboardInterrupt:
            output.release()
            _interrupted(work, ledger, choices, progress)
        except CliError:
            output.release()
            progress.notice(f"{_done(ledger.tally)}; run the same command again to go on.")
            raise
        return ledger.tally


def _go(work: Run, ledger: Ledger, choices: _Choices, progress: Progress) -> None:
    revived = work.revive(["cancelled", "failed"] if choices.is_retrying_failed else ["cancelled"])
    if revived:
        progress.notice(f"{count(revived)} tasks of this run are queued again.")
    known = work.recall() - len(ledger.source.bad)
    if known:
        progress.notice(f"Going on: {count(known)} of {count(ledger.tally.total)} lines were submitted before.")
    work.go()


def _interrupted(work: Run, ledger: Ledger, choices: _Choices, progress: Progress) -> None:
    done = _done(ledger.tally)
    if choices.is_cancelling:
        try:
            cancelled = work.cancel()
        except CliError as error:
            progress.notice(f"Cancelling failed. {error.message}")
        else:
            progress.notice(f"{done}, {count(cancelled)} cancelled; run the same command again to go on.")
            sys.exit(INTERRUPTED)
    progress.notice(f"{done}; run the same command again to go on. Tasks already submitted keep running on the server.")
    sys.exit(INTERRUPTED)


def _done(tally: Tally) -> str:
    return f"{count(tally.ended)} of {count(tally.total)} done"


def _progress(choices: _Choices, total: int, now_s: Callable[[], float]) -> Progress:
    if choices.is_quiet:
        return Progress(total, now_s)
    return (BarProgress if sys.stderr.isatty() else LineProgress)(total, now_s)


def _sums(tally: Tally) -> dict[str, Any]:
    return {
        "total": tally.total,
        "completed": tally.completed,
        "failed": tally.failed,
        "tokens": tally.tokens,
        "cost_microusd": tally.cost_microusd,
        "errors": {code: {"count": group.count, "lines": group.lines} for code, group in tally.errors.items()},
    }


def _tell(tally: Tally, took_s: float, output: Path) -> None:
    cost = f" · {money(tally.cost_microusd)}" if tally.cost_microusd else ""
    say(
        f"{count(tally.completed)} of {count(tally.total)} completed, {count(tally.failed)} failed in {span(took_s)}"
        f" · {count(tally.tokens)} tokens{cost} → {output}"
    )
    for code, group in sorted(tally.errors.items(), key=lambda item: -item[1].count):
        where = ", ".join(map(str, sorted(group.lines))) + (", …" if group.count > len(group.lines) else "")
        say(f"  {count(group.count)} × {code}: {group.message}  (lines {where})")
