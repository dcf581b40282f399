"""`llms db move`: an embedded installation becomes the record of a cluster."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.security.folderlock import locks_of
from llm_scheduler.stores.mysql.arriving import Target
from llm_scheduler.stores.rowsum import RowSum
from llm_scheduler.stores.sqlite.leaving import COPIED, Source
from llm_scheduler.telemetry.clock import SystemClock
from llm_scheduler.telemetry.prometheus import PrometheusMeter

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.settings import Settings

    Progress = Callable[[str, int, int], None]


def move(
    settings: Settings, url: str, *, is_dry_run: bool = False, progress: Progress | None = None
) -> dict[str, object]:
    """Copy every row, ids kept, and compare; what was found or done.

    Raises:
        StoreUnusableError: a server runs, a side cannot be used, or the copy differs.
    """
    if settings.is_mysql:
        raise StoreUnusableError("LLMS_DATABASE_URL names MySQL already; unset it for the move, and name it with --to.")
    with ExitStack() as stack:
        for lock in locks_of(settings.data_dir, settings.database_path):
            stack.callback(lock.acquire().release)
            lock.describe("llms db move")
        source = stack.enter_context(closing(Source(settings.database_path)))
        return asyncio.run(_move(source, url, is_dry_run, progress or _silent))


async def _move(source: Source, url: str, is_dry_run: bool, progress: Progress) -> dict[str, object]:
    clock = SystemClock()
    target = Target(url, clock, PrometheusMeter())
    if is_dry_run:
        return await _look(source, target)
    await target.enter()
    try:
        put_back = source.put_back(clock.now())
        counts, mark = source.counts(), source.mark()
        is_resumed = await target.begin(mark)
        next_ids = source.next_ids()
        await target.make_ranges(next_ids["tasks"])
        for table in COPIED:
            await _copy(source, target, table, mark, counts[table], progress)
        await target.reserve(next_ids)
        for table in COPIED:
            progress(f"checking {table}", 0, counts[table])
            await _compare(source, target, table)
        await target.finish()
    finally:
        await target.close()
    return {"is_dry_run": False, "is_resumed": is_resumed, "put_back": put_back, "rows": counts}


async def _look(source: Source, target: Target) -> dict[str, object]:
    """What a move would do."""
    found = await target.look(source.mark())
    return {
        "is_dry_run": True,
        "is_resumed": found.is_begun,
        "put_back": source.running(),
        "rows": source.counts(),
        "occupied": list(found.occupied),
    }


async def _copy(source: Source, target: Target, table: str, mark: str, total: int, progress: Progress) -> None:
    note = await target.note(table)
    progress(table, note.rows, total)
    for batch in source.batches(table, note.last_key):
        note = await target.write(table, batch, mark, note)
        progress(table, note.rows, total)


async def _compare(source: Source, target: Target, table: str) -> None:
    """Both sides are read anew.

    Raises:
        StoreUnusableError: they differ.
    """
    here = RowSum()
    for batch in source.batches(table, None):
        here.add(batch)
    there = await target.sum_of(table)
    if here != there:
        raise StoreUnusableError(
            f"The copy of {table} differs: {here.count} rows here, {there.count} there, "
            f"{'with other values' if here.count == there.count else 'not the same rows'}. "
            "Empty the database (DROP DATABASE, CREATE DATABASE) and move again; the source is as it was."
        )


def _silent(table: str, rows: int, total: int) -> None:
    """Nobody watches."""
