"""Sign-ins that this user's command line keeps: one for each server, in a file that only they can read."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llm_scheduler.cli.faults import CliError
from llm_scheduler.paths import default_config_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE: Final = "logins.json"
_LOCK: Final = "logins.lock"


class KeptLogin(NamedTuple):
    """A sign-in: the access token until it is over, the refresh token for the next one."""

    username: str
    tenant: str
    access_token: str
    refresh_token: str

    @classmethod
    def of(cls, answer: dict[str, Any]) -> KeptLogin:
        """From the server's answer to a sign-in."""
        return cls(*(str(answer[name]) for name in cls._fields))


def file() -> Path:
    """Where they are kept."""
    return default_config_dir() / FILE


def kept_login(url: str) -> KeptLogin | None:
    """That of a server, if there is one."""
    found = _all().get(url)
    try:
        return None if found is None else KeptLogin(**found)
    except TypeError:
        return None


def keep_login(url: str, login: KeptLogin | None) -> None:
    """Keep it instead of an earlier one; None forgets that."""
    logins = _all()
    logins.pop(url, None)
    if login is not None:
        logins[url] = login._asdict()
    path = file()
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            os.fchmod(out.fileno(), 0o600)
            json.dump(logins, out, indent=2)
        # Another process reads the old file or the new one, never half of one.
        fresh.replace(path)
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else of this user renews a sign-in meanwhile: a refresh token is good for one use."""
    path = default_config_dir() / _LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _all() -> dict[str, Any]:
    try:
        found = json.loads(file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CliError(f"{file()} cannot be read: {error}", f"Delete it and sign in again: rm {file()}") from error
    return found if isinstance(found, dict) else {}
