"""Finding archived tasks again."""

from __future__ import annotations

import gzip
import re
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from llm_scheduler.domain.errors import ArchiveUnavailableError
from llm_scheduler.stores.archive.writing import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME: Final = re.compile(r"tasks-(\d{4})(\d\d)(\d\d)-(\d+)-(\d+)-(\d+)-[0-9a-f]+" + re.escape(SUFFIX))


class ArchiveFile(NamedTuple):
    """What a file's name says."""

    path: Path
    day: str
    first: int
    last: int
    tasks: int
    size: int


def files(folder: Path) -> list[ArchiveFile]:
    """All files, oldest day first; anything else in the folder is passed over."""
    found: list[ArchiveFile] = []
    for path in folder.glob(f"[0-9]*/[0-9]*/tasks-*{SUFFIX}"):
        match = _NAME.fullmatch(path.name)
        if match:
            year, month, day, *numbers = match.groups()
            first, last, count = map(int, numbers)
            found.append(ArchiveFile(path, f"{year}-{month}-{day}", first, last, count, path.stat().st_size))
    return sorted(found, key=lambda file: (file.day, file.first, file.path.name))


def lines(file: ArchiveFile) -> Iterator[bytes]:
    """The lines of one file.

    Raises:
        ArchiveUnavailableError: it cannot be read, or is damaged.
    """
    try:
        with gzip.open(file.path, "rb") as packed:
            yield from packed
    except (OSError, EOFError, zlib.error) as error:
        raise ArchiveUnavailableError(f"{file.path} cannot be read: {error}") from error


def find(folder: Path, task_id: int) -> dict[str, Any] | None:
    """The newest line about a task; None if no file has it.

    Raises:
        ArchiveUnavailableError: a file that may have it cannot be read.
    """
    begin = b'{"v":1,"id":%d,' % task_id
    newest: dict[str, Any] | None = None
    for file in files(folder):
        if file.first <= task_id <= file.last:
            for line in lines(file):
                if line.startswith(begin):
                    task = orjson.loads(line)
                    if newest is None or task["updated_at"] >= newest["updated_at"]:
                        newest = task
    return newest
