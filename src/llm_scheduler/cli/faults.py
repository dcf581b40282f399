"""How a command ends when it does not end well: one class per exit code, each with the next step."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILED: Final = 1
NOT_REACHABLE: Final = 3
REFUSED: Final = 4
INTERRUPTED: Final = 130

_NEXT_BY_CODE: Final = {
    "model_not_found": "See what there is: llms models list. Register one: llms models add --help",
    "task_not_found": "Find it: llms tasks list",
    "wait_too_long": "Send it later (llms tasks why ID shows what waits), or raise the model's max_wait_s.",
    "queue_full": "Wait until the queue is shorter (llms top) or add workers (llms models scale NAME N).",
    "name_taken": "Look at it: llms models get NAME. Replace it: llms models remove NAME, then add it again.",
    "model_changed": "Look at it with `llms models get NAME`, then try again.",
    "model_in_use": "Cancel what waits, then try again: llms tasks cancel --model NAME",
    "wrong_status": "See where it stands: llms tasks get ID",
    "wrong_credentials": "Check it, then try again.",
    "wrong_totp": "Give the next code, or a recovery code.",
    "address_not_allowed": "Send it from a network that is listed for it.",
    "totp_required": "Give the code: llms login --totp CODE",
    "too_many_attempts": "Wait as long as it says, then try again.",
    "setup_closed": "Sign in: llms login",
    "wrong_setup_token": "Take the line that the last start of the server printed.",
    "sign_in_needed": "Sign in: llms login",
    "session_over": "Sign in again: llms login",
    "refresh_reused": "Sign in again: llms login",
    "no_tenant": "Ask an owner of a tenant, or an administrator, to add you.",
    "tenant_not_found": "See where you may act: llms whoami",
    "weak_password": "Choose another one.",
    "too_large": "Shorten the input or split it into several tasks.",
}
_NEXT_BY_STATUS: Final = {
    401: "Set LLMS_API_KEY. On the server's machine the key is in its data folder, file 'api-key'.",
    403: "See what you may: llms whoami. Sign in as somebody who may do this, or use such a key.",
    429: "Try again later, or send less at a time.",
}


class CliError(click.ClickException):
    """A command failed."""

    exit_code = FAILED

    def __init__(self, message: str, next_step: str | None = None) -> None:
        super().__init__(message)
        self.next_step = next_step

    def lines(self) -> list[str]:
        """What to tell a person, line by line."""
        return [self.message, *([f"  → {self.next_step}"] if self.next_step else [])]

    def facts(self) -> dict[str, Any]:
        """What to tell a program."""
        return {"code": "failed", "detail": self.message}

    def show(self, file: IO[Any] | None = None) -> None:
        """Write it to stderr."""
        for line in self.lines():
            click.echo(line, file=file or sys.stderr)


class UnreachableError(CliError):
    """No server, or nothing that answers as one."""

    exit_code = NOT_REACHABLE

    def facts(self) -> dict[str, Any]:
        """What to tell a program."""
        return {"code": "not_reachable", "detail": self.message}


class RefusedError(CliError):
    """The server said no, with a problem document (RFC 9457)."""

    exit_code = REFUSED

    def __init__(self, status: int, problem: dict[str, Any], retry_after_s: float | None = None) -> None:
        self.status, self.problem, self.retry_after_s = status, problem, retry_after_s
        self.code = str(problem.get("code") or "")
        super().__init__(_sentence(status, problem), _NEXT_BY_CODE.get(self.code) or _NEXT_BY_STATUS.get(status))

    def lines(self) -> list[str]:
        """Title, detail, each fault of the body, the next step."""
        # One fault alone stands in the detail already.
        found = [fault for fault in self._faults() if str(fault.get("msg")) not in self.message]
        faults = [f"  {_where(fault)}{fault.get('msg', '')}" for fault in found]
        return [self.message, *faults, *([f"  → {self.next_step}"] if self.next_step else [])]

    def facts(self) -> dict[str, Any]:
        """The problem document as it came."""
        return {"status": self.status, **self.problem}

    def _faults(self) -> list[dict[str, Any]]:
        found = self.problem.get("errors")
        return [fault for fault in found if isinstance(fault, dict)] if isinstance(found, list) else []


class ServerFailedError(RefusedError):
    """The server tried and failed (5xx)."""

    exit_code = FAILED


def _sentence(status: int, problem: dict[str, Any]) -> str:
    title, detail = problem.get("title"), problem.get("detail")
    head = f"{title} ({status})" if title else f"The server answered {status}"
    return f"{head}: {detail}" if detail and detail != title else f"{head}."


def _where(fault: dict[str, Any]) -> str:
    loc = fault.get("loc")
    return ".".join(str(part) for part in loc) + ": " if isinstance(loc, list) and loc else ""


@contextmanager
def explained() -> Iterator[None]:
    """Errors of this machine's own server parts end the command with their message, not with a traceback."""
    from llm_scheduler.domain.errors import SchedulerError

    try:
        yield
    except SchedulerError as error:
        raise CliError(str(error)) from error
