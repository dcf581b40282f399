"""`llms archive`: what left the record, from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_scheduler.stores.archive import reading

if TYPE_CHECKING:
    from llm_scheduler.settings import Settings


def listed(settings: Settings) -> list[dict[str, Any]]:
    """The files of the archive, oldest day first."""
    return [
        {
            "day": file.day,
            "tasks": file.tasks,
            "first_id": file.first,
            "last_id": file.last,
            "bytes": file.size,
            "file": str(file.path),
        }
        for file in reading.files(settings.archive_path)
    ]


def found(settings: Settings, task_id: int) -> dict[str, Any] | None:
    """An archived task; None if there is none of that id.

    Raises:
        ArchiveUnavailableError: a file that may have it cannot be read.
    """
    return reading.find(settings.archive_path, task_id)
