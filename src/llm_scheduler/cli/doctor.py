"""`llms doctor`: checks, each with the next step when it fails."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler import __version__
from llm_scheduler.cli.faults import FAILED, CliError
from llm_scheduler.cli.invocation import Invocation, data_dir, here, server_options
from llm_scheduler.cli.screen import harmless, show_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_scheduler.cli.connection import Connection

_OLDEST_PYTHON: Final = (3, 11)
_AUDIT_ROWS: Final = 1_000
"""So many rows are looked at in no time; all of them: llms audit verify."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `is_ok` None: it could not be looked at, or does not matter here."""

    name: str
    is_ok: bool | None
    found: str
    next_step: str | None = None


@click.command(short_help="Check this installation and say what to mend.")
@server_options
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Check Python, settings, data folder, server, key and models. Exit code 1 when something is wrong.

    Example: llms doctor.
    """
    invocation = here(ctx)
    checks: list[Check] = []
    for check in _checks(invocation):
        checks.append(check)
        if not invocation.is_json:
            _show(check)
    is_well = all(check.is_ok is not False for check in checks)
    if invocation.is_json:
        show_json({"ok": is_well, "checks": [asdict(check) for check in checks]})
    raise SystemExit(0 if is_well else FAILED)


def _show(check: Check) -> None:
    mark = click.style("✓", fg="green") if check.is_ok else click.style("✗", fg="red")
    mark = click.style("–", dim=True) if check.is_ok is None else mark
    click.echo(f"{mark} {check.name:<14} {harmless(check.found)}")
    if check.next_step and not check.is_ok:
        click.echo(f"  {'':<14} → {check.next_step}")


def _checks(invocation: Invocation) -> Iterator[Check]:
    yield _python()
    yield _settings()
    yield _folder(data_dir())
    yield _local_models()
    with invocation.connect(patience_s=0) as connection:
        yield from _server(connection, invocation)


def _python() -> Check:
    found = f"{platform.python_version()} at {sys.executable}, llm-scheduler {__version__}"
    return Check("python", sys.version_info >= _OLDEST_PYTHON, found, "Install Python 3.11 or newer.")


def _settings() -> Check:
    from llm_scheduler.settings import SettingsError, load

    try:
        _, sources = load()
    except SettingsError as error:
        return Check("settings", False, str(error), "Mend it, then: llms config show")
    chosen = ", ".join(sorted(sources)) or "all defaults"
    return Check("settings", True, chosen)


def _folder(folder: Path) -> Check:
    """The data folder, or the nearest folder above it that exists."""
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    is_ok = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    found = str(folder) if nearest == folder else f"{folder} (made at the first start)"
    return Check("data folder", is_ok, found, f"Make {nearest} writable, or set LLMS_DATA_DIR.")


def _local_models() -> Check:
    is_there = find_spec("xllamacpp") is not None
    found = "models of type 'local' can run here" if is_there else "not installed; only for models of type 'local'"
    return Check("local models", True if is_there else None, found, "pip install 'llm-scheduler-server[local]'")


def _server(connection: Connection, invocation: Invocation) -> Iterator[Check]:
    url = invocation.server_url
    try:
        status, _ = connection.status("/healthz")
    except CliError as error:
        yield Check("server", False, error.message, error.next_step or "llms serve")
        return
    is_ok = status == 200
    yield Check("server", is_ok, f"{url} answers {status}", "Check LLMS_URL: is that LLM Scheduler?")
    if is_ok:
        yield from _parts(connection)
        yield from _key(connection, invocation)


def _parts(connection: Connection) -> Iterator[Check]:
    status, body = connection.status("/readyz")
    parts: dict[str, str] = body.get("parts", {}) if isinstance(body, dict) else {}
    for name, state in parts.items():
        yield Check(f"  {name}", state == "ok", state, "See the server's log.")
    if not parts:
        yield Check("  ready", status == 200, f"/readyz answers {status}", "See the server's log.")


def _key(connection: Connection, invocation: Invocation) -> Iterator[Check]:
    key, source = invocation.key()
    status, body = connection.status("/api/v1/models")
    if status != 200:
        found = f"{source}: refused ({status})" if key else f"no key; {source}"
        yield Check("key", False, found, "Set LLMS_API_KEY to a key of this server.")
        return
    yield Check("key", True, f"accepted, from {source}" if key else "none needed")
    yield from _audit(connection)
    yield from _models(body["items"])


def _audit(connection: Connection) -> Iterator[Check]:
    """The newest rows of the audit log; only for who may see it."""
    status, found = connection.status(f"/api/v1/audit/verify?last={_AUDIT_ROWS}")
    if status != 200:
        return
    if not found["ok"]:
        yield Check("audit log", False, found["detail"], "Somebody changed it: llms audit verify; docs/audit.md")
    elif not found["is_guarded"]:
        said = "whole, but the database does not refuse to change it: its triggers are missing"
        yield Check("audit log", None, said, "Grant TRIGGER to the database user and make them: docs/audit.md")
    else:
        yield Check("audit log", True, f"whole (last {found['rows']} rows), guarded by the database")


def _models(models: list[dict[str, Any]]) -> Iterator[Check]:
    if not models:
        yield Check("models", None, "none registered", "llms models add --help")
    for model in models:
        is_ok = None if model["status"] == "paused" else model["status"] == "active"
        found = f"{model['status']}, {model.get('queued') or 0} waiting"
        yield Check(f"  {model['name']}", is_ok, found, f"llms models test {model['name']}")
