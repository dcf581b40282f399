"""What the command line does on the server's own machine: serve, and look after the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_scheduler.settings import load, open_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def serve(overrides: dict[str, Any], *, is_sampling: bool = False) -> None:
    """Run the server until a signal ends it.

    Raises:
        SettingsError, StoreUnusableError: nothing was started; the message says what to do.
    """
    from llm_scheduler.app import server

    settings, sources = load(overrides)
    server.serve(settings, is_sampling=is_sampling, open_files=open_files(sources))


def worker(overrides: dict[str, Any]) -> None:
    """Run a worker until a signal ends it.

    Raises:
        SettingsError, StoreUnusableError: nothing was started; the message says what to do.
    """
    from llm_scheduler.app import server

    settings, sources = load(overrides | {"role": "worker"})
    server.serve(settings, open_files=open_files(sources))


def database_upgrade() -> str:
    """Bring the schema to this program's version; the revision now."""
    from llm_scheduler.app import database

    return database.upgrade(load()[0])


def database_check() -> dict[str, object]:
    """Revision, row counts, and what the engine's own check says."""
    from llm_scheduler.app import database

    return database.check(load()[0])


def database_backup(target: Path) -> int:
    """Copy the database, also while it is in use; bytes written."""
    from llm_scheduler.app import database

    return database.backup(load()[0], target)


def database_restore(source: Path) -> int:
    """Fill an empty database from a backup; rows written."""
    from llm_scheduler.app import database

    return database.restore(load()[0], source)


def database_move(
    url: str, *, is_dry_run: bool = False, progress: Callable[[str, int, int], None] | None = None
) -> dict[str, object]:
    """Copy this machine's installation into MySQL; what was found or done.

    Args:
        url: of the empty database.
        is_dry_run: look at both sides, write to neither.
        progress: is told a table, its rows so far, and all of them.

    Raises:
        StoreUnusableError: says why and what to do; a move that was begun can be taken up again.
    """
    from llm_scheduler.app import moving

    return moving.move(load()[0], url, is_dry_run=is_dry_run, progress=progress)


def audit_verify(database: str | None, *, last: int | None, expected: str) -> dict[str, Any]:
    """Go along the audit log's chain in the database itself; a server may use it meanwhile, and need not.

    Args:
        database: a URL or a file; None: the one that the settings name.
        last: look only at so many rows.
        expected: a hash that must be met.

    Raises:
        StoreUnusableError, StoreUnavailableError: it cannot be read.
    """
    from llm_scheduler.app import audit

    settings = load({} if database is None else {"database_url": audit.url_of(database)})[0]
    return audit.verify(settings, last=last, expected=expected)


def archive_files() -> list[dict[str, Any]]:
    """The files of the archive, oldest day first."""
    from llm_scheduler.app import archive

    return archive.listed(load()[0])


def archived_task(task_id: int) -> dict[str, Any] | None:
    """An archived task; None if there is none of that id."""
    from llm_scheduler.app import archive

    return archive.found(load()[0], task_id)
