"""Group commit over a connection: everything that waits goes into one transaction.

While a transaction is on its way the next operations gather, and for two milliseconds more if several did
before; one that comes alone goes at once. When the connection is lost before COMMIT was sent, nothing was
written and the batch is done again. When it is lost after, nobody knows: the old connection is ended on the
server, and the mark of the transaction (the first row with an id of its own that it inserted) tells. The
mark is read with a lock, so that a commit under way is waited for. Is it there, the outcomes found before
the commit hold; is it not, the batch is done again. Transactions without a mark may be done twice without
harm: they change a priority, a model, a tenant, or delete what may be deleted. (Sums of samples count twice then;
the means that are made of them hardly change.)
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from asyncmy.errors import MySQLError
from sqlalchemy.util import greenlet_spawn

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.stores.mysql.faults import Fault, fault_of, outage, refusal
from llm_scheduler.stores.mysql.transaction import Mark, MysqlTransaction
from llm_scheduler.stores.portable.kinds import KINDS, LARGEST_BATCH, run_merged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import CommitMeter
    from llm_scheduler.stores.mysql.blocks import IdBlocks
    from llm_scheduler.stores.mysql.connection import Connection
    from llm_scheduler.stores.mysql.readers import Readers
    from llm_scheduler.stores.mysql.server import Server

_log = structlog.get_logger(__name__)

LOOSE: Final = "loose"
"""The kind of moves whose statements may stand alone: they run first, each statement commits by itself."""
HEAVIEST_BATCH: Final = 8_000
"""Rows, or KiB of input, of one transaction, unless a single job is heavier."""
BATCH_LIMIT_S: Final = 60.0
_GATHER_S: Final = 0.002
"""After a batch of several the next one gathers for so long: a commit is so quick that it would hold two or three."""
PATIENCE_S: Final = 3.0
"""How long a batch is tried again after its connection was lost."""
CONTENTION_PATIENCE_S: Final = 10.0
"""How long, if other transactions are in the way."""
UNKNOWN_PATIENCE_S: Final = 10.0
"""How long the outcome of a commit is asked for."""
MOST_COLLISIONS: Final = 3
_FIRST_PAUSE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 0.3

Pairs = list[tuple[str, Any]]


class Job(NamedTuple):
    """One operation that somebody awaits."""

    kind: str
    payload: Any
    weight: int
    future: asyncio.Future[Any]


class _Unknown(Exception):  # noqa: N818 - not an error yet
    """The connection was lost during COMMIT."""

    def __init__(self, mark: Mark | None, outcomes: list[Any]) -> None:
        super().__init__()
        self.mark, self.outcomes = mark, outcomes


class Committer:
    """One connection that writes, and the queue before it."""

    def __init__(self, server: Server, clock: Clock, meter: CommitMeter, ids: IdBlocks, spare: Readers) -> None:
        self._server, self._clock, self._meter, self._ids, self._spare = server, clock, meter, ids, spare
        self._jobs: deque[Job] = deque()
        self._wake = asyncio.Event()
        self._is_closed = False
        self._is_down = False
        self._connection: Connection | None = None
        self._ghosts: list[Connection] = []
        self._task: asyncio.Task[None] | None = None
        self.last_mark: Mark | None = None
        self.unmarked_at_s = -1e9

    @property
    def is_connected(self) -> bool:
        """Whether a connection is open."""
        return self._connection is not None

    def begin(self, connection: Connection | None = None) -> None:
        """Start working."""
        self._connection = connection
        self._task = asyncio.create_task(self._serve(), name="store-committer")

    async def put(self, kind: str, payload: Any) -> Any:
        """Have a job done; returns when its transaction is on the server's disk.

        Raises:
            StoreUnavailableError: nothing of it was written, or (the message says so) perhaps all of it.
        """
        if self._is_closed:
            raise StoreUnavailableError("it is closed.")
        future = asyncio.get_running_loop().create_future()
        self._jobs.append(Job(kind, payload, _weight(kind, payload), future))
        self._wake.set()
        return await future

    async def close(self) -> None:
        """Write what waits, then stop."""
        self._is_closed = True
        self._wake.set()
        if self._task is not None:
            await asyncio.shield(self._task)
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def _serve(self) -> None:
        while self._jobs or not self._is_closed:
            self._wake.clear()
            batch = self._gather()
            if not batch:
                if not self._is_closed:  # closing has rung already, if callers that left were all that waited
                    await self._wake.wait()
                continue
            loose = [job for job in batch if job.kind == LOOSE]
            for job in loose:
                self._answer([job], await self._outcomes([job]))
            if bound := [job for job in batch if job.kind != LOOSE]:
                self._answer(bound, await self._outcomes(bound))
            if len(batch) > 1:
                await asyncio.sleep(_GATHER_S)

    def _gather(self) -> list[Job]:
        batch: list[Job] = []
        weight = 0
        while self._jobs and len(batch) < LARGEST_BATCH:
            if batch and weight + self._jobs[0].weight > HEAVIEST_BATCH:
                break
            job = self._jobs.popleft()
            if not job.future.done():  # its caller was cancelled before anything was written
                batch.append(job)
                weight += job.weight
        return batch

    def refuse_waiting(self, told: StoreUnavailableError) -> None:
        """Let go whoever waits behind a batch that the server keeps silent about."""
        while self._jobs:
            if not (future := self._jobs.popleft().future).done():
                future.set_exception(told)

    def _answer(self, batch: Sequence[Job], outcomes: list[Any]) -> None:
        self._meter.committed(len(batch))
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.future.done():  # its caller was cancelled; what was written stays
                continue
            if isinstance(outcome, BaseException):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)

    async def _outcomes(self, batch: list[Job]) -> list[Any]:
        try:
            return await _Attempts(self, [(job.kind, job.payload) for job in batch]).outcomes()
        except Exception as error:  # noqa: BLE001 - the outermost loop: it must survive anything
            _log.exception("commit_failed")
            return [outage(error)] * len(batch)

    async def attempt(self, jobs: Pairs, run: Callable[[MysqlTransaction, Pairs], list[Any]]) -> list[Any]:
        """One transaction; what it raises says what became of it, see `faults`."""
        connection = await self.connected()
        is_loose = jobs[0][0] == LOOSE
        transaction = MysqlTransaction(connection, self._take_ids, self._clock.now(), is_loose=is_loose)
        outcomes: list[Any] | None = None
        try:
            async with self._server.watched(BATCH_LIMIT_S):
                if not is_loose:
                    await self._ids.top_up(connection)
                await self._server.keep_time(connection)
                transaction.now = self._clock.now()
                found, last = await greenlet_spawn(_run, run, transaction, jobs)
                if last:
                    outcomes = found  # from here on they may hold, whatever happens
                    await connection.send(last)
        except BaseException as error:
            await self._abandon(connection, transaction, error)
            if outcomes is not None and fault_of(error) is Fault.LOST:
                raise _Unknown(transaction.mark, outcomes) from error
            raise
        if transaction.is_begun:
            self._note(transaction.mark)
        return found

    def _note(self, mark: Mark | None) -> None:
        if mark is None:
            self.unmarked_at_s = time.monotonic()
        else:
            self.last_mark = mark

    async def _take_ids(self, name: str, count: int) -> Iterable[int]:
        taken = self._ids.taken(name, count)
        if taken is not None:
            return taken
        return await self._spare.use(lambda connection: self._ids.take(connection, name, count))

    async def connected(self) -> Connection:
        """The connection, opened anew if it was lost.

        Raises:
            TimeoutError, MySQLError, OSError: no way in.
        """
        if self._connection is None:
            self._connection = await self._server.connect()
        while self._ghosts:
            try:
                async with self._server.watched(BATCH_LIMIT_S):
                    await self._server.end(self._ghosts[-1], self._connection)
            except BaseException as error:
                await self._abandon(self._connection, None, error)
                raise
            self._ghosts.pop()
        return self._connection

    async def _abandon(
        self, connection: Connection, transaction: MysqlTransaction | None, error: BaseException
    ) -> None:
        is_lost = not isinstance(error, Exception) or fault_of(error) is Fault.LOST
        if not is_lost and transaction is not None and transaction.is_begun:
            try:
                async with self._server.watched(PATIENCE_S):
                    await connection.execute("ROLLBACK")
            except (MySQLError, OSError, TimeoutError):
                is_lost = True
        if is_lost:
            connection.drop()
            self._connection = None
            if transaction is not None and transaction.is_begun:
                self._ghosts.append(connection)

    async def is_written(self, mark: Mark) -> bool:
        """Whether the transaction with this mark was committed; waits for one that is under way."""
        connection = await self.connected()
        try:
            async with self._server.watched(BATCH_LIMIT_S):
                query = f"SELECT 1 FROM {mark.table} WHERE id = {mark.id} LOCK IN SHARE MODE"  # noqa: S608 - ours
                found = await connection.execute(query)
                if not found.rows:
                    return False
                # Locks are let go before the log is on disk. The log is written in order, so one more commit waits.
                await connection.execute("UPDATE id_blocks SET next_id = next_id + 1 WHERE name = 'system_stats'")
        except BaseException as error:
            await self._abandon(connection, None, error)
            raise
        self._note(mark)
        return True

    @property
    def is_down(self) -> bool:
        """Whether the last batch got no connection."""
        return self._is_down

    @is_down.setter
    def is_down(self, value: bool) -> None:
        if value != self._is_down:
            _log.warning("store_down" if value else "store_back", address=str(self._server.address))
        self._is_down = value


class _Attempts:
    """One batch, tried until it is clear what became of it."""

    def __init__(self, committer: Committer, jobs: Pairs) -> None:
        self._committer, self._jobs = committer, jobs
        self._run: Callable[[MysqlTransaction, Pairs], list[Any]] = _run_loose if jobs[0][0] == LOOSE else run_merged
        self._began_at_s = time.monotonic()
        self._failed_at_s: float | None = None
        self._collisions = 0
        self._pause_s = _FIRST_PAUSE_S

    async def outcomes(self) -> list[Any]:
        """One per job; an exception is for its caller."""
        while True:
            try:
                outcomes = await self._committer.attempt(self._jobs, self._run)
            except _Unknown as unknown:
                outcomes = await self._settled(unknown)
            except Exception as error:  # noqa: BLE001 - all kinds are told apart below
                outcomes = self._judged(error)
            else:
                self._committer.is_down = False
            if outcomes is not None:
                return outcomes
            await self._rest()

    def _judged(self, error: Exception) -> list[Any] | None:
        """What everyone is told; None: try again."""
        fault = fault_of(error)
        if fault is Fault.TAKEN:
            self._collisions += 1
        if fault is Fault.DATA or (fault is Fault.TAKEN and self._collisions > MOST_COLLISIONS):
            if len(self._jobs) == 1 or self._run is _run_one_by_one:
                return [refusal(error) for _ in self._jobs]
            self._run = _run_one_by_one
            return None
        if fault is Fault.TAKEN:
            return None
        if fault is Fault.OUTAGE or self._is_past(fault, error):
            self._committer.is_down = fault is Fault.LOST
            return [outage(error) for _ in self._jobs]
        return None

    def _is_past(self, fault: Fault, error: Exception) -> bool:
        now_s = time.monotonic()
        if self._failed_at_s is None:
            self._failed_at_s = now_s
        if fault is Fault.AGAIN:
            return now_s - self._began_at_s > CONTENTION_PATIENCE_S
        # A server that is silent stays so for longer than one that refused is away.
        is_hopeless = self._committer.is_down or isinstance(error, TimeoutError)
        return is_hopeless or now_s - self._failed_at_s > PATIENCE_S

    async def _settled(self, unknown: _Unknown) -> list[Any] | None:
        """The outcomes, if the commit is found; None: it is not, so do it again."""
        began_at_s = time.monotonic()
        if isinstance(unknown.__cause__, TimeoutError):
            self._committer.refuse_waiting(outage(unknown.__cause__))
        while unknown.mark is not None:
            try:
                is_written = await self._committer.is_written(unknown.mark)
            except (MySQLError, OSError, TimeoutError) as error:
                waited_s = time.monotonic() - began_at_s
                if isinstance(error, TimeoutError) or waited_s > PATIENCE_S:
                    self._committer.is_down = True
                    self._committer.refuse_waiting(outage(error))
                if waited_s > UNKNOWN_PATIENCE_S:
                    why = "the connection was lost during a commit, and nobody can tell whether it was written."
                    told = StoreUnavailableError(why)
                    told.__cause__ = error
                    return [told for _ in self._jobs]
                await self._rest()
            else:
                _log.info("commit_settled", is_written=is_written)
                self._committer.is_down = False
                return unknown.outcomes if is_written else None
        return None

    async def _rest(self) -> None:
        await asyncio.sleep(self._pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)


def _weight(kind: str, payload: Any) -> int:
    if kind == "submit":
        return len(payload) + sum(len(task.input) for task in payload) // 1024
    return 1


def _run(
    run: Callable[[MysqlTransaction, Pairs], list[Any]], transaction: MysqlTransaction, jobs: Pairs
) -> tuple[list[Any], list[bytes]]:
    return run(transaction, jobs), transaction.finish()


def _run_loose(transaction: MysqlTransaction, jobs: Pairs) -> list[Any]:
    return [move(transaction) for _, move in jobs]


def _run_one_by_one(transaction: MysqlTransaction, jobs: Pairs) -> list[Any]:
    """Each after a savepoint, so that a poisonous one leaves no trace."""
    outcomes: list[Any] = []
    for kind, payload in jobs:
        before = transaction.savepoint()
        try:
            answers = KINDS[kind](transaction, [payload])
            transaction.flush()
            outcomes += answers
        except Exception as error:
            if isinstance(error, MySQLError) and fault_of(error) not in (Fault.DATA, Fault.TAKEN):
                raise
            transaction.undo(before)
            outcomes.append(refusal(error))
    return outcomes
