"""`llms db`: the record from outside. A file is for one server; MySQL and MariaDB may be in use meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.security.folderlock import FolderLock
from llm_scheduler.stores import schema

if TYPE_CHECKING:
    from pathlib import Path

    from llm_scheduler.settings import Settings
    from llm_scheduler.stores.mysql.address import Address


def upgrade(settings: Settings) -> str:
    """Bring the schema to this program's version; the revision now. A file must not be in use.

    Raises:
        StoreUnusableError: a server uses the folder, there is no way in, or it cannot be upgraded.
    """
    if settings.is_mysql:
        from llm_scheduler.stores.mysql import examining, migrating

        address = _address(settings)
        found = examining.revision(address)
        if not schema.needs_upgrade(found):
            return str(found)
        migrating.upgrade(address)
        return schema.HEAD
    lock = FolderLock(settings.data_dir).acquire()
    try:
        if settings.database_path.exists():
            schema.check(settings.database_path)
        schema.upgrade(schema.sqlite_url(settings.database_path))
        return schema.HEAD
    finally:
        lock.release()


def check(settings: Settings) -> dict[str, object]:
    """Look for damage: revision, row counts, what the engine's own check says, and harmful settings.

    Raises:
        StoreUnusableError: it cannot be read at all.
    """
    if settings.is_mysql:
        from llm_scheduler.stores.mysql import examining

        address = _address(settings)
        where, found = str(address), examining.check(address)
    else:
        where, found = str(settings.database_path), schema.check(settings.database_path)
    return {
        "database" if settings.is_mysql else "file": where,
        "is_sound": not found.problems,
        "revision": found.revision,
        "is_current": found.is_current,
        "problems": list(found.problems),
        **({"warnings": list(found.warnings)} if settings.is_mysql else {}),
        **{f"rows_{name}": count for name, count in found.counts.items()},
    }


def backup(settings: Settings, target: Path) -> int:
    """Copy the database while it may be in use; bytes written.

    Raises:
        StoreUnusableError: the source cannot be read or the target not written.
    """
    if settings.is_mysql:
        from llm_scheduler.stores.mysql import backup

        backup.backup(_address(settings), target)
    else:
        schema.backup(settings.database_path, target)
    return target.stat().st_size


def restore(settings: Settings, source: Path) -> int:
    """Fill an empty MySQL or MariaDB database from a backup; rows written.

    Raises:
        StoreUnusableError: it is not empty, or the file is not whole.
    """
    if not settings.is_mysql:
        raise StoreUnusableError(
            f"A backup of a file is a file: stop the server and copy {source} over {settings.database_path}."
        )
    from llm_scheduler.stores.mysql import backup

    return sum(backup.restore(_address(settings), source).values())


def _address(settings: Settings) -> Address:
    from llm_scheduler.stores.mysql.address import parse

    url = settings.database_url
    return parse("" if url is None else url.get_secret_value())
