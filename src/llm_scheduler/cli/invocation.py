"""One call of the command line: which server, which key, for a person or a program; and the options that say so.

Imported by every command: what only some need is imported where it is used.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

    from llm_scheduler.cli.connection import Connection
    from llm_scheduler.cli.kept_login import KeptLogin

DEFAULT_URL: Final = "http://127.0.0.1:8000"
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Pace:
    """How time passes: seconds that only grow, and waiting."""

    monotonic_s: Callable[[], float] = time.monotonic
    sleep_s: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class Invocation:
    """What every command may ask about its caller. Tests give `transport` and `pace`."""

    url: str | None = None
    api_key: str | None = None
    tenant: str | None = None
    is_json: bool = False
    transport: httpx2.BaseTransport | None = None
    pace: Pace = field(default_factory=Pace)

    @property
    def server_url(self) -> str:
        """The server, from --url, LLMS_URL, this machine's data folder or the default; no slash at the end."""
        return (self.url or os.environ.get("LLMS_URL") or self._own_server or DEFAULT_URL).rstrip("/")

    @property
    def _own_server(self) -> str | None:
        """The address of the server that uses this machine's data folder: its lock says it."""
        from llm_scheduler.paths import LOCK_FILE

        try:
            text = (data_dir() / LOCK_FILE).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        address = text.rpartition(" ")[2].strip()
        return address if address.startswith("http://") else None

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        from urllib.parse import urlsplit

        return urlsplit(self.server_url).hostname in _LOOPBACK

    @property
    def tenant_name(self) -> str | None:
        """The tenant to act in, from --tenant or LLMS_TENANT; None: one's own."""
        return self.tenant or os.environ.get("LLMS_TENANT") or None

    def login(self) -> KeptLogin | None:
        """The sign-in at the server, if there is one and no key was given."""
        if self.api_key or os.environ.get("LLMS_API_KEY"):
            return None
        from llm_scheduler.cli.kept_login import kept_login

        return kept_login(self.server_url)

    def key(self) -> tuple[str | None, str]:
        """The API key or access token, if there is one, and where it came from.

        The key of this machine's data folder is shown to no other machine.
        """
        if self.api_key:
            return self.api_key, "--api-key"
        if os.environ.get("LLMS_API_KEY"):
            return os.environ["LLMS_API_KEY"], "LLMS_API_KEY"
        if os.environ.get("LLMS_API_KEY_FILE"):
            return _key_in(os.environ["LLMS_API_KEY_FILE"], "LLMS_API_KEY_FILE=")
        login = self.login()
        if login is not None:
            return login.access_token, f"sign-in of {login.username}"
        if not self.is_local:
            return None, "LLMS_API_KEY is not set"
        from llm_scheduler.paths import API_KEY_FILE

        return _key_in(data_dir() / API_KEY_FILE)

    def connect(self, patience_s: float = 15.0, *, is_stranger: bool = False, needs_login: bool = False) -> Connection:
        """A client of the server, not yet connected.

        Args:
            patience_s: how long it may wait for a busy or restarting server, in all per request.
            is_stranger: send no key and no token.
            needs_login: no key will do; who has not signed in is told so.
        """
        from llm_scheduler.cli.connection import Connection
        from llm_scheduler.cli.faults import CliError

        if needs_login and self.login() is None:
            raise CliError(f"You are not signed in at {self.server_url}.", "llms login")
        return Connection(self, patience_s, is_stranger=is_stranger)


def _key_in(file: Path | str, said: str = "") -> tuple[str | None, str]:
    from pathlib import Path

    path = Path(file)
    try:
        return path.read_text(encoding="utf-8").strip() or None, f"{said}{path}"
    except OSError as error:
        return None, f"{said}{path}: {error.strerror or error}"


def data_dir() -> Path:
    """The data folder that a server of this user keeps: LLMS_DATA_DIR or the platform's."""
    from pathlib import Path

    from llm_scheduler.paths import default_data_dir

    chosen = os.environ.get("LLMS_DATA_DIR")
    return Path(chosen).expanduser() if chosen else default_data_dir()


def here(ctx: click.Context) -> Invocation:
    """The invocation that this command belongs to."""
    return ctx.ensure_object(Invocation)


def json_option(command: _F) -> _F:
    """Add --json, which holds wherever it stands."""
    return click.option(
        "--json",
        "is_json",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_note_json,
        help="Answer in JSON on stdout.",
    )(command)


def server_options(command: _F) -> _F:
    """Add --url, --tenant and --json to a command that talks to the server."""
    url = click.option(
        "--url",
        expose_value=False,
        callback=_note_url,
        metavar="URL",
        help=f"The server; else LLMS_URL, else {DEFAULT_URL}.",
    )
    tenant = click.option(
        "--tenant",
        expose_value=False,
        callback=_note_tenant,
        metavar="NAME",
        help="Act in this tenant; else LLMS_TENANT, else your own.",
    )
    return json_option(tenant(url(command)))


def _note_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        here(ctx).is_json = True


def _note_tenant(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        here(ctx).tenant = value


def _note_url(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    from urllib.parse import urlsplit

    if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
        raise click.BadParameter(f"'{value}' is not an http:// or https:// address.")
    here(ctx).url = value
