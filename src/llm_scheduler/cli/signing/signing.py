"""`llms login`, `logout`, `whoami` and `setup`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.connection import Call
from llm_scheduler.cli.faults import CliError, RefusedError
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.kept_login import KeptLogin, keep_login, kept_login
from llm_scheduler.cli.screen import say, show_facts, show_json, show_table

if TYPE_CHECKING:
    from llm_scheduler.cli.connection import Connection
    from llm_scheduler.cli.invocation import Invocation

_AUTH: Final = "/api/v1/auth"
_SECRET: Final = frozenset({"access_token", "refresh_token", "csrf_token"})


def password_of(question: str, *, from_stdin: bool, is_new: bool = False) -> str:
    """A password, asked for or from the first line of stdin; a new one is asked for twice."""
    if from_stdin:
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise CliError("No password came on stdin.", "echo the password into: llms … --password-stdin")
        return line
    return click.prompt(question, hide_input=True, err=True, confirmation_prompt=is_new)


@click.command(short_help="Sign in to a server.")
@click.option("--username", "-u", metavar="NAME", help="Asked for if it is not given.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin.")
@click.option("--totp", metavar="CODE", help="Code of the second factor, or a recovery code; asked for where needed.")
@server_options
@click.pass_context
def login(ctx: click.Context, username: str | None, password_stdin: bool, totp: str | None) -> None:
    """Sign in; later commands to this server go in your name, until llms logout. Example: llms login -u ann."""
    invocation = here(ctx)
    name = username or click.prompt("Username", err=True)
    body: dict[str, Any] = {
        "username": name,
        "password": password_of("Password", from_stdin=password_stdin),
        "totp": totp,
        "tenant": invocation.tenant_name,
        "cookie": False,
    }
    with invocation.connect(is_stranger=True) as connection:
        try:
            answer = _sent(connection, "login", body)
        except RefusedError as error:
            if error.code != "totp_required" or totp is not None or password_stdin:
                raise
            body["totp"] = click.prompt("Code of your second factor", err=True)
            answer = _sent(connection, "login", body)
    _keep(invocation, answer)


@click.command(short_help="Make the first user of an installation.")
@click.option("--token", required=True, metavar="TOKEN", help="Of the line that the server's start printed.")
@click.option("--username", "-u", required=True, metavar="NAME", help="Letters, digits and ._@+-")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin.")
@server_options
@click.pass_context
def setup(ctx: click.Context, token: str, username: str, password_stdin: bool) -> None:
    """Make the first user, an administrator, and sign in. Example: llms setup --token TOKEN --username ann."""
    password = password_of("New password", from_stdin=password_stdin, is_new=True)
    body = {"token": token, "username": username, "password": password, "cookie": False}
    with here(ctx).connect(is_stranger=True) as connection:
        answer = _sent(connection, "setup", body)
    _keep(here(ctx), answer)


@click.command(short_help="Sign out of a server.")
@click.option("--everywhere", is_flag=True, help="End all your sign-ins, on every machine.")
@server_options
@click.pass_context
def logout(ctx: click.Context, everywhere: bool) -> None:
    """Sign out; keys go on. Example: llms logout --everywhere."""
    invocation = here(ctx)
    login = kept_login(invocation.server_url)
    if login is None:
        raise CliError(f"You are not signed in at {invocation.server_url}.", "llms login")
    if everywhere:
        with invocation.connect(needs_login=True) as connection:
            ended = connection.post(f"{_AUTH}/logout-everywhere")["ended_sessions"]
    else:
        with invocation.connect(is_stranger=True) as connection:
            body = {"refresh_token": login.refresh_token}
            connection.send(Call("POST", f"{_AUTH}/logout", body=body, is_repeatable=True))
        ended = 1
    keep_login(invocation.server_url, None)
    if invocation.is_json:
        show_json({"ended_sessions": ended})
    else:
        say(f"Signed out of {invocation.server_url}" + (f" everywhere ({ended})." if everywhere else "."))


@click.command(short_help="Show who you are to a server, and what you may.")
@server_options
@click.pass_context
def whoami(ctx: click.Context) -> None:
    """Show who is calling, in which tenant, and what that allows. Example: llms whoami --json."""
    invocation = here(ctx)
    with invocation.connect() as connection:
        me = connection.get("/api/v1/me")
    if invocation.is_json:
        show_json(me)
        return
    user, key = me["user"], me["key"]
    show_facts(
        (
            ("server", invocation.server_url),
            ("by", invocation.key()[1]),
            ("user", user["username"] if user else "the installation's own key"),
            ("key", key["name"] if key else None),
            ("tenant", me["tenant"]),
            ("role", me["role"]),
            ("may", " ".join(me["permissions"])),
        )
    )
    if len(me["tenants"]) > 1:
        rows = ((place["name"], place["role"], place["state"]) for place in me["tenants"])
        show_table(("TENANT", "ROLE", "STATUS"), rows)
    if user and user["must_change_password"]:
        say("Choose a password of your own first: llms passwd")


def _sent(connection: Connection, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Who has to wait is told how long, and not kept waiting."""
    return connection.send(Call("POST", f"{_AUTH}/{path}", body=body, is_patient=False))


def _keep(invocation: Invocation, answer: dict[str, Any]) -> None:
    keep_login(invocation.server_url, KeptLogin.of(answer))
    if invocation.is_json:
        show_json({name: value for name, value in answer.items() if name not in _SECRET})
        return
    where = f"at {invocation.server_url}, in tenant {answer['tenant']}"
    say(f"Signed in as {answer['username']} ({answer['role']}) {where}.")
    if answer["must_change_password"]:
        say("Choose a password of your own first: llms passwd")
