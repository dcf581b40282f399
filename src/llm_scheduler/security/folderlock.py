"""One data folder, one server: an advisory lock that the kernel drops when the process dies."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Self

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.paths import LOCK_FILE

if TYPE_CHECKING:
    from pathlib import Path


class FolderLock:
    """Held from `acquire` to `release`. The file tells who holds it."""

    def __init__(self, folder: Path, name: str = LOCK_FILE) -> None:
        self._path = folder / name
        self._descriptor: int | None = None

    def acquire(self) -> Self:
        """Take the lock.

        Raises:
            StoreUnusableError: another server has it, or the folder cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreUnusableError(
                f"The data folder {self._path.parent} cannot be written: {error.strerror}. "
                "Choose another with LLMS_DATA_DIR or --data-dir."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            os.close(descriptor)
            raise StoreUnusableError(
                f"Another server uses the data folder {self._path.parent} ({holder or 'starting'}). "
                "Stop it, or give this one its own folder with --data-dir."
            ) from None
        self._descriptor = descriptor
        return self

    def describe(self, text: str) -> None:
        """Write who holds the lock, for the one who finds it taken."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        """Let go."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def locks_of(folder: Path, database: Path) -> list[FolderLock]:
    """One for the data folder, and one beside a database that lives elsewhere; not yet taken."""
    locks = [FolderLock(folder)]
    if database.absolute().parent != folder.absolute():
        locks.append(FolderLock(database.absolute().parent, f"{database.name}.lock"))
    return locks
