"""The archive as compressed files of JSON lines: `YYYY/MM/tasks-YYYYMMDD-<first>-<last>-<count>-<mark>.ndjson.gz`.

A file grows under a hidden name and gets its own only when it is whole and on disk. No file is ever
written twice or replaced, also not by two processes at once: each has a mark of its own.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import secrets
import time
from typing import IO, TYPE_CHECKING, Final

from llm_scheduler.domain.errors import ArchiveUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from llm_scheduler.domain.ids import TaskId

SUFFIX: Final = ".ndjson.gz"
PART_SUFFIX: Final = ".part"
LARGEST_FILE: Final = 64 * 2**20
MOST_TASKS: Final = 100_000
"""In all open files: the ids of these are kept in memory until their rows are removed."""
MOST_DAYS: Final = 16
"""Files that may be open at once."""
OLD_PART_S: Final = 86_400
LEVEL: Final = 4
"""Of gzip: twice as quick as 6, a tenth larger."""


class _File:
    """One file that grows."""

    def __init__(self, folder: Path, day: str) -> None:
        self.day, self.count, self.first, self.last = day, 0, 0, 0
        year, month, _ = day.split("-")
        self.folder = folder / year / month
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mark = secrets.token_hex(4)
        self.part = self.folder / f".tasks-{day.replace('-', '')}-{self.mark}{PART_SUFFIX}"
        self._raw: IO[bytes] = self.part.open("xb")
        self._packed = gzip.GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=self._raw, mtime=0)

    @property
    def size(self) -> int:
        """Bytes written so far, about."""
        return self._raw.tell()

    def add(self, tasks: Sequence[tuple[TaskId, bytes]]) -> None:
        """A line each."""
        ids = [task_id for task_id, _ in tasks]
        self.first = min([*ids, self.first]) if self.count else min(ids)
        self.last = max([*ids, self.last])
        self.count += len(ids)
        self._packed.write(b"".join([line + b"\n" for _, line in tasks]))

    def seal(self) -> Path:
        """Have it on disk under its own name."""
        self._packed.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()
        day = self.day.replace("-", "")
        name = f"tasks-{day}-{self.first}-{self.last}-{self.count}-{self.mark}{SUFFIX}"
        return self.part.rename(self.folder / name)

    def discard(self) -> None:
        """Away with it."""
        try:
            self._raw.close()
            self.part.unlink(missing_ok=True)
        except OSError:
            # Left-over parts are hidden and never read.
            return


class NdjsonArchive:
    """Writes in a thread: packing and waiting for the disk must not hold the event loop."""

    keeps = True

    def __init__(self, folder: Path, largest_file: int = LARGEST_FILE) -> None:
        self._folder, self._largest_file = folder, largest_file
        self._files: dict[str, _File] = {}
        self._is_tidy = False

    @property
    def is_full(self) -> bool:
        """Whether a file, their number or the tasks in them reached a limit."""
        files = self._files.values()
        return (
            len(files) >= MOST_DAYS
            or sum(file.count for file in files) >= MOST_TASKS
            or any(file.size >= self._largest_file for file in files)
        )

    async def add(self, day: str, tasks: Sequence[tuple[TaskId, bytes]]) -> None:
        """Take lines.

        Raises:
            ArchiveUnavailableError: the disk refuses.
        """
        if tasks:
            await self._do(lambda: self._add(day, tasks))

    def _add(self, day: str, tasks: Sequence[tuple[TaskId, bytes]]) -> None:
        if not self._is_tidy:
            self._tidy()
        if day not in self._files:
            self._files[day] = _File(self._folder, day)
        self._files[day].add(tasks)

    def _tidy(self) -> None:
        """Remove parts that a crash left; young ones may be another process's."""
        for part in self._folder.glob(f"*/*/.tasks-*{PART_SUFFIX}"):
            if time.time() - part.stat().st_mtime > OLD_PART_S:  # noqa: TID251 - files are dated by this clock
                part.unlink(missing_ok=True)
        self._is_tidy = True

    async def seal(self) -> int:
        """Everything on disk; how many tasks.

        Raises:
            ArchiveUnavailableError: the disk refuses; what was added has to be added again.
        """
        return await self._do(self._seal)

    def _seal(self) -> int:
        count = 0
        for day in sorted(self._files):
            file = self._files[day]
            path = file.seal()
            count += file.count
            _sync_folders(path.parent, self._folder)
        self._files.clear()
        return count

    async def discard(self) -> None:
        """Forget what is not sealed."""
        files, self._files = self._files, {}
        for file in files.values():
            await asyncio.to_thread(file.discard)

    async def _do(self, step: Callable[[], int | None]) -> int:
        try:
            return await asyncio.to_thread(step) or 0
        except OSError as error:
            await self.discard()
            raise ArchiveUnavailableError(f"{self._folder}: {error.strerror or error}") from error


class NoArchive:
    """Finished tasks are dropped."""

    keeps = False
    is_full = False

    async def add(self, day: str, tasks: Sequence[tuple[TaskId, bytes]]) -> None:
        """Drop them."""

    async def seal(self) -> int:
        """Nothing is kept."""
        return 0

    async def discard(self) -> None:
        """Nothing is kept."""


def _sync_folders(folder: Path, top: Path) -> None:
    """A new name is on disk only when its folder is, and so on up to the archive's own."""
    while True:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if folder == top or folder == folder.parent:
            return
        folder = folder.parent
