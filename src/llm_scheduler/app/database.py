"""`llms db`: the record from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.security.folderlock import FolderLock
from llm_scheduler.stores import schema

if TYPE_CHECKING:
    from pathlib import Path

    from llm_scheduler.settings import Settings


def upgrade(settings: Settings) -> str:
    """Bring the schema to this program's version, while no server runs; the revision now.

    Raises:
        StoreUnusableError: a server uses the folder, or the file cannot be upgraded.
    """
    lock = FolderLock(settings.data_dir).acquire()
    try:
        if settings.database_path.exists():
            schema.check(settings.database_path)
        schema.upgrade(schema.sqlite_url(settings.database_path))
        return schema.HEAD
    finally:
        lock.release()


def check(settings: Settings) -> dict[str, object]:
    """Look for damage: revision, row counts, and what SQLite's own check says.

    Raises:
        StoreUnusableError: the file cannot be read at all.
    """
    found = schema.check(settings.database_path)
    return {
        "file": str(settings.database_path),
        "is_sound": not found.problems,
        "revision": found.revision,
        "is_current": found.is_current,
        "problems": list(found.problems),
        **{f"rows_{name}": count for name, count in found.counts.items()},
    }


def backup(settings: Settings, target: Path) -> int:
    """Copy the database while it may be in use; bytes written.

    Raises:
        StoreUnusableError: the source cannot be read or the target not written.
    """
    schema.backup(settings.database_path, target)
    return target.stat().st_size
