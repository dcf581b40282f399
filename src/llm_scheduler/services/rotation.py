"""Sealing everything anew with the secret key in force: in the background, with progress, over restarts.

Each text is written only if it still is what was read, so that whoever changes a model meanwhile wins; the walk
comes by again until no text is left that an older key sealed. Two processes at once do each other no harm.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from llm_scheduler.domain.access_errors import KeyNotEverywhereError
from llm_scheduler.domain.errors import ConflictError, SchedulerError, UnsealError
from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.secrecy import SEALED_TEXT
from llm_scheduler.ports.states import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from llm_scheduler.domain.session import Session
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.sealed import SealedRow
    from llm_scheduler.ports.store import Store
    from llm_scheduler.ports.vault import Vault

PAGE: Final = 100
MOST_WALKS: Final = 5
"""One is enough where nobody changes anything meanwhile."""
STALE_MS: Final = 15_000
"""A rotation that has not moved for so long has lost its process."""
TAKE_UP_EVERY_S: Final = 60.0
_TRIES: Final = 20
_YOUNG_MS: Final = 600_000
_STATE: Final = "secrets:rotation"
_RINGS: Final = "secrets:rings"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RotationProgress:
    """How far it is. `total` and `done` count sealed texts that were to be sealed anew."""

    key_id: str
    status: str
    """`running`, `completed` or `failed`."""
    total: int
    done: int
    unreadable: int
    """Texts that no key of the ring opens: they stay as they are."""
    started_at: Millis
    updated_at: Millis
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SecretsState:
    """Which key seals, which open, and how many texts each one has sealed, by key id."""

    key_id: str
    old_key_ids: Sequence[str]
    counts: Mapping[str, int]


class Rotation:
    """Of one process; all of them work on the same progress.

    Args:
        store: the record.
        vault: the ring of keys.
        clock: of the record.
        renew: has every process take over what the record says of models.
    """

    def __init__(self, store: Store, vault: Vault, clock: Clock, renew: Callable[[], Awaitable[None]]) -> None:
        self._store, self._vault, self._clock, self._renew = store, vault, clock, renew
        self._job: asyncio.Task[None] | None = None

    async def announce(self) -> None:
        """Tell the others which keys this process has; before it opens its session."""
        for _ in range(_TRIES):
            state = await self._store.state(_RINGS)
            alive = {_process(session) for session in await self._store.sessions()}
            rings = {} if state is None else orjson.loads(state.data)
            # One that has announced itself may not have its session yet.
            young = self._clock.now() - _YOUNG_MS
            rings = {name: ring for name, ring in rings.items() if name in alive or ring["at"] > young}
            ids = list(self._vault.key_ids)
            rings[f"{socket.gethostname()[:255]}:{os.getpid()}"] = {"ids": ids, "at": self._clock.now()}
            data = orjson.dumps(rings).decode()
            if await self._store.save_state(_RINGS, data, 0 if state is None else state.version):
                return

    async def state(self) -> SecretsState:
        """By counting."""
        key_id, *old = self._vault.key_ids
        return SecretsState(key_id, tuple(old), await self._counts())

    async def progress(self) -> RotationProgress | None:
        """Of the last rotation; None if there never was one."""
        found = await self._kept()
        return None if found is None else _unpacked(found)

    async def begin(self) -> RotationProgress:
        """Start one, or join the one that runs.

        Raises:
            KeyNotEverywhereError: a process that runs could not open what is sealed anew, or goes on sealing with
                another key.
        """
        await self._check_rings()
        key_id, now = self._vault.key_ids[0], self._clock.now()
        for _ in range(_TRIES):
            kept = await self._kept()
            before = None if kept is None else _unpacked(kept)
            if (
                before is not None
                and before.status == "running"
                and before.key_id == key_id
                and not self._is_stale(before)
            ):
                return before
            counts = await self._counts()
            total = sum(count for sealed_with, count in counts.items() if sealed_with != key_id)
            begun = RotationProgress(key_id, "running", total, 0, 0, now, now)
            if await self._store.save_state(_STATE, _packed(begun), 0 if kept is None else kept.version):
                self._start()
                return begun
        raise ConflictError("Another process begins a rotation at this moment; ask again.")

    async def step(self) -> None:
        """Take up a rotation whose process is gone; the leader calls it now and then."""
        found = await self.progress()
        is_ours = found is not None and found.status == "running" and found.key_id == self._vault.key_ids[0]
        if found is not None and is_ours and self._is_stale(found):
            self._start()

    async def close(self) -> None:
        """Leave it; another process, or the next start, goes on."""
        if self._job is not None:
            self._job.cancel()
            await asyncio.gather(self._job, return_exceptions=True)

    def _start(self) -> None:
        if self._job is None or self._job.done():
            self._job = asyncio.create_task(self._run(), name="rotation")

    async def _run(self) -> None:
        _log.info("rotation_begins", key_id=self._vault.key_ids[0])
        try:
            for _ in range(MOST_WALKS):
                unreadable, lost = await self._walk()
                await self._renew()
                if not lost and not await self._left(unreadable):
                    await self._note(status="completed", unreadable=unreadable)
                    _log.info("rotation_done", key_id=self._vault.key_ids[0], unreadable=unreadable)
                    return
            await self._note(status="failed", error="Texts were changed again and again meanwhile; begin it anew.")
        except SchedulerError as error:
            # The record is away: the rotation stands still, and is taken up by `step`.
            _log.warning("rotation_stands_still", error=str(error))
        except Exception:  # noqa: BLE001 - the outermost place of a job, logged
            _log.exception("rotation_failed")
            await self._note(status="failed", error="internal error; see the log")

    async def _walk(self) -> tuple[int, int]:
        """Once through everything: texts that cannot be opened, rows that others changed meanwhile."""
        unreadable = lost = 0
        async for page in self._pages():
            done = 0
            for row in page:
                text, count, closed = self._sealed_anew(row)
                unreadable += closed
                if not count:
                    continue
                if await self._store.reseal(row, text):
                    done += count
                else:
                    lost += 1
            await self._note(done=done)
        return unreadable, lost

    def _sealed_anew(self, row: SealedRow) -> tuple[str, int, int]:
        """The column with what older keys sealed sealed anew: (text, how many, how many could not be opened)."""
        key_id, text, count, closed = self._vault.key_ids[0], row.text, 0, 0
        for sealed, context in row.contexts.items():
            if _key_id(sealed) == key_id:
                continue
            try:
                text = text.replace(sealed, self._vault.seal(self._vault.open(sealed, context), context))
                count += 1
            except UnsealError as error:
                closed += 1
                _log.warning("secret_unreadable", place=row.place, id=row.id, error=str(error))
        return text, count, closed

    async def _pages(self) -> AsyncIterator[Sequence[SealedRow]]:
        for place in self._store.sealed_places():
            after: int | str | None = None
            while page := await self._store.sealed_rows(place, after, PAGE):
                yield page
                if len(page) < PAGE:
                    break
                after = page[-1].id

    async def _counts(self) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        async for page in self._pages():
            counts.update(_key_id(sealed) for row in page for sealed in row.contexts)
        return counts

    async def _left(self, unreadable: int) -> int:
        """Texts under older keys, without those that cannot be opened."""
        counts = await self._counts()
        return sum(count for key_id, count in counts.items() if key_id != self._vault.key_ids[0]) - unreadable

    async def _check_rings(self) -> None:
        state = await self._store.state(_RINGS)
        rings: dict[str, dict[str, Any]] = {} if state is None else orjson.loads(state.data)
        in_force = {name: ring["ids"][0] for name, ring in rings.items()}
        key_id = self._vault.key_ids[0]
        others = [
            f"{session.host} (pid {session.pid}, {session.role})"
            for session in await self._store.sessions()
            if in_force.get(_process(session)) != key_id
        ]
        if others:
            raise KeyNotEverywhereError(others)

    def _is_stale(self, progress: RotationProgress) -> bool:
        return self._clock.now() - progress.updated_at > STALE_MS

    async def _kept(self) -> State | None:
        return await self._store.state(_STATE)

    async def _note(
        self, *, done: int = 0, status: str = "running", unreadable: int = 0, error: str | None = None
    ) -> None:
        for _ in range(_TRIES):
            kept = await self._kept()
            if kept is None:
                return
            before = _unpacked(kept)
            after = replace(
                before,
                done=min(before.total, before.done + done),
                status=status,
                unreadable=unreadable,
                updated_at=self._clock.now(),
                error=error,
            )
            if await self._store.save_state(_STATE, _packed(after), kept.version):
                return


def _process(session: Session) -> str:
    return f"{session.host}:{session.pid}"


def _key_id(sealed: str) -> str:
    found = SEALED_TEXT.match(sealed)
    return "unknown" if found is None else found[1]


def _packed(progress: RotationProgress) -> str:
    return orjson.dumps(asdict(progress)).decode()


def _unpacked(state: State) -> RotationProgress:
    return RotationProgress(**orjson.loads(state.data))
