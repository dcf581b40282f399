"""`llms db`: the record from outside, while no server runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.security.folderlock import FolderLock
from llm_scheduler.stores.sqlite import admin

if TYPE_CHECKING:
    from pathlib import Path

    from llm_scheduler.settings import Settings


def upgrade(settings: Settings) -> str:
    """Bring the schema to this program's version; the revision now.

    Raises:
        StoreUnusableError: a server uses the folder, or the file cannot be upgraded.
    """
    lock = FolderLock(settings.data_dir).acquire()
    try:
        return admin.upgrade(settings.database_path)
    finally:
        lock.release()


def check(settings: Settings) -> dict[str, object]:
    """Look for damage: revision, row counts, and what SQLite's own check says.

    Raises:
        StoreUnusableError: the file cannot be read at all.
    """
    return admin.check(settings.database_path)


def backup(settings: Settings, target: Path) -> int:
    """Copy the database while it may be in use; bytes written.

    Raises:
        StoreUnusableError: the source cannot be read or the target not written.
    """
    return admin.backup(settings.database_path, target)
