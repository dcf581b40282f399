"""The command line's front door: which commands there are, and what holds for all of them."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from llm_scheduler import __version__
from llm_scheduler.cli.faults import INTERRUPTED, CliError
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.lazy import Entry, LazyGroup

_COMMANDS: Final = {
    "serve": Entry("llm_scheduler.cli.serve:serve", "Run the server: API, worker or both."),
    "worker": Entry("llm_scheduler.cli.serve:worker", "Run a worker only: tasks, no API."),
    "demo": Entry("llm_scheduler.cli.demo:demo", "Run a throw-away server with sample traffic."),
    "submit": Entry("llm_scheduler.cli.submit:submit", "Hand over one task; wait for it or stream it."),
    "run": Entry("llm_scheduler.cli.run.command:run", "Work through a JSONL file; safe to interrupt and repeat."),
    "tasks": Entry("llm_scheduler.cli.tasks.group:tasks", "List, show, follow, cancel and retry tasks."),
    "models": Entry("llm_scheduler.cli.models.group:models", "Register, test, pause and scale models."),
    "plugins": Entry("llm_scheduler.cli.plugins:plugins", "List what installed packages add."),
    "budgets": Entry("llm_scheduler.cli.budgets:budgets", "Bound what may be spent; top budgets up."),
    "prices": Entry("llm_scheduler.cli.prices:prices", "See, set and import what calls cost."),
    "tenants": Entry("llm_scheduler.cli.tenants:tenants", "Add teams, bound what they use, suspend and remove them."),
    "users": Entry("llm_scheduler.cli.users:users", "Add, change, disable and remove users."),
    "members": Entry("llm_scheduler.cli.members:members", "Say who belongs to a tenant, and as what."),
    "service-accounts": Entry("llm_scheduler.cli.members:service_accounts", "Accounts of programs."),
    "keys": Entry("llm_scheduler.cli.keys.group:keys", "API keys; seal stored secrets anew."),
    "dlq": Entry("llm_scheduler.cli.dlq:dlq", "Look at dead letters; requeue or discard them."),
    "simulate": Entry("llm_scheduler.cli.simulate.command:simulate", "Replay a load under other settings; compare."),
    "advise": Entry("llm_scheduler.cli.advise:advise", "Say which setting would have served the last day better."),
    "top": Entry("llm_scheduler.cli.top:top", "Watch the queue live."),
    "login": Entry("llm_scheduler.cli.signing.signing:login", "Sign in to a server."),
    "logout": Entry("llm_scheduler.cli.signing.signing:logout", "Sign out of a server."),
    "whoami": Entry("llm_scheduler.cli.signing.signing:whoami", "Show who you are to a server, and what you may."),
    "passwd": Entry("llm_scheduler.cli.signing.account:passwd", "Change your password."),
    "sessions": Entry(
        "llm_scheduler.cli.signing.account:sessions", "See where you are signed in; end what is not you."
    ),
    "setup": Entry("llm_scheduler.cli.signing.signing:setup", "Make the first user of an installation."),
    "doctor": Entry("llm_scheduler.cli.doctor:doctor", "Check this installation and say what to mend."),
    "config": Entry("llm_scheduler.cli.config:config", "Show the settings in force."),
    "db": Entry("llm_scheduler.cli.db:db", "Upgrade, check or back up the database."),
    "audit": Entry("llm_scheduler.cli.audit:audit", "See, export and verify who did what."),
    "archive": Entry("llm_scheduler.cli.archive:archive", "Find tasks that were archived."),
    "completion": Entry("llm_scheduler.cli.completion:completion", "Print a shell completion script."),
    "version": Entry("llm_scheduler.cli.version:version", "Print the version."),
}
_EPILOG: Final = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 server not reachable, 4 refused by the server, "
    "130 interrupted. Server settings: LLMS_*; client settings: LLMS_URL, LLMS_API_KEY, LLMS_TENANT."
)


class _Root(LazyGroup):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except CliError as error:
            if here(ctx).is_json:
                import json

                click.echo(json.dumps({"error": error.facts()}, ensure_ascii=False))
            raise


@click.group(
    cls=_Root,
    entries=_COMMANDS,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@server_options
@click.option("--api-key", metavar="KEY", help="Else LLMS_API_KEY, your sign-in, the data folder's.")
@click.version_option(__version__, "-V", "--version", message="llm-scheduler %(version)s")
@click.pass_context
def main(ctx: click.Context, api_key: str | None) -> None:
    """A durable scheduler for LLM work.

    \b
    Example:
      llms serve                                  # in one terminal
      llms submit gpt-4o-mini "Hello" --wait      # in another
    """  # noqa: D301 - \b is click's mark for keeping the lines
    here(ctx).api_key = api_key


if __name__ == "__main__":
    main(prog_name="llms")
