"""The one thread that writes: it takes everything that waits and commits it at once.

While a transaction is on its way to disk the next operations gather; no timer is involved. Operations
of one kind run merged. One whose data cannot be stored fails alone; when the disk fails everyone is
told and the thread goes on with the next batch.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.stores.portable.kinds import KINDS, LARGEST_BATCH, run_merged
from llm_scheduler.stores.sqlite.blocks import IdBlocks
from llm_scheduler.stores.sqlite.connection import open_writer, outage, refusal
from llm_scheduler.stores.sqlite.transaction import Transaction

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import CommitMeter


class Job(NamedTuple):
    """One operation that somebody awaits."""

    kind: str
    payload: Any
    future: asyncio.Future[Any]


class Writer:
    """Runs jobs of the `KINDS`."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        meter: CommitMeter,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._path, self._clock, self._meter, self._loop = path, clock, meter, loop
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._ids = IdBlocks()
        self._connection: sqlite3.Connection | None = open_writer(path)
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    @property
    def is_connected(self) -> bool:
        """Whether a connection is open."""
        return self._connection is not None

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def put(self, kind: str, payload: Any) -> Any:
        """Have a job done; returns when its transaction is on disk.

        Raises:
            StoreUnavailableError: nothing of it was written.
        """
        if self._is_closed:
            raise StoreUnavailableError("it is closed.")
        future = self._loop.create_future()
        self._jobs.put(Job(kind, payload, future))
        return await future

    async def close(self) -> None:
        """Write what waits, then stop."""
        if self._is_closed:
            return
        self._is_closed = True
        self._jobs.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            batch, is_last = self._gather()
            if batch:
                outcomes = self._commit(batch)
                self._answer(batch, outcomes)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _gather(self) -> tuple[list[Job], bool]:
        batch: list[Job] = []
        job = self._jobs.get()
        try:
            while job is not None:
                batch.append(job)
                if len(batch) == LARGEST_BATCH:
                    return batch, False
                job = self._jobs.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _commit(self, batch: list[Job]) -> list[Any]:
        """One outcome per job."""
        before = self._ids.snapshot()
        try:
            return self._in_transaction(batch, self._merged)
        except Exception as error:  # noqa: BLE001 - the outermost loop: the thread must survive anything
            self._ids.restore(before)
            down = outage(error)
            if down is not None:
                return [outage(error) for _ in batch]
            if len(batch) == 1:
                return [refusal(error)]
        try:
            return self._in_transaction(batch, self._one_by_one)
        except Exception as error:  # noqa: BLE001 - as above
            self._ids.restore(before)
            return [outage(error) or refusal(error) for _ in batch]

    def _in_transaction(self, batch: list[Job], run: Callable[[sqlite3.Connection, list[Job]], list[Any]]) -> list[Any]:
        if self._connection is None:
            self._connection = open_writer(self._path)
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = run(connection, batch)
            connection.execute("COMMIT")
        except BaseException:
            self._roll_back(connection)
            raise
        return outcomes

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            # A connection that cannot even roll back is let go; the file's own log undoes its work.
            self._connection = None
            connection.close()

    def _merged(self, connection: sqlite3.Connection, batch: list[Job]) -> list[Any]:
        transaction = Transaction(connection, self._ids, self._clock.now())
        return run_merged(transaction, [(job.kind, job.payload) for job in batch])

    def _one_by_one(self, connection: sqlite3.Connection, batch: list[Job]) -> list[Any]:
        transaction = Transaction(connection, self._ids, self._clock.now())
        outcomes: list[Any] = []
        for job in batch:
            before = self._ids.snapshot()
            connection.execute("SAVEPOINT job")
            try:
                outcomes += KINDS[job.kind](transaction, [job.payload])
            except Exception as error:
                if outage(error) is not None:
                    raise
                connection.execute("ROLLBACK TO job")
                self._ids.restore(before)
                outcomes.append(refusal(error))
            connection.execute("RELEASE job")
        return outcomes

    def _answer(self, batch: Sequence[Job], outcomes: list[Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._resolve, batch, outcomes)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _resolve(self, batch: Sequence[Job], outcomes: list[Any]) -> None:
        self._meter.committed(len(batch))
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.future.done():  # its caller was cancelled; what was written stays
                continue
            if isinstance(outcome, BaseException):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)
