"""A caller inside the process, which writes down what was acknowledged before anything else can happen to it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_scheduler.domain.errors import (
    BrokerUnavailableError,
    NameTakenError,
    StoreUnavailableError,
    WrongStatusError,
)
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, TaskId
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.domain.status import TERMINAL, Status
from llm_scheduler.domain.task import NewTask
from llm_scheduler.ports.store import TaskFilter
from llm_scheduler.services.models import new_model

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from llm_scheduler.app.installation import Installation

MODEL = "m"
QUICK = RetryPolicy(max_retries=3, initial_delay_s=0.05, max_delay_s=0.1)
AGAIN_S = 0.1
GIVE_UP_S = 15.0
QUIET_S = 15.0


class Driver:
    """Asks like a client: what is refused is asked again with the same key.

    Args:
        installation: opened.
        folder: of the case; its `log` holds a line for each acknowledgement, its `ledger` one for each call.
        is_last: no other process follows.
    """

    def __init__(self, installation: Installation, folder: Path, *, is_last: bool) -> None:
        self.it, self._folder, self.is_last = installation, folder, is_last
        self.ids: dict[int, int] = {}
        self.read_log()

    def read_log(self) -> None:
        """Learn what an earlier process was told."""
        self.ids = dict(_acknowledged(self._folder / "log"))

    def note(self, *words: object) -> None:
        """One write of one line: a crash afterwards loses nothing."""
        handle = os.open(self._folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, (" ".join(map(str, words)) + "\n").encode())
        os.close(handle)

    async def model(self, *, is_paused: bool = False, **script: Any) -> None:
        """The model, as it was if it is there."""
        config = {"delay_ms": 30, "ledger": str(self._folder / "ledger"), **script}
        try:
            await self.it.models.add(
                new_model(
                    tenant_id=DEFAULT_TENANT, name=MODEL, type="scripted", config=config, max_workers=3, retry=QUICK
                )
            )
        except NameTakenError:
            await self.it.models.load()
            return
        if is_paused:
            await self.it.models.pause(MODEL, DEFAULT_TENANT)

    async def resume(self) -> None:
        """Let the paused model start."""
        await self._ask("resume", lambda: self.it.models.resume(MODEL, DEFAULT_TENANT))

    async def submit(self, numbers: Iterable[int], **fields: Any) -> None:
        """In one piece, those that are not acknowledged yet; the same again gets the same tasks."""
        todo = [number for number in numbers if number not in self.ids]
        if not todo:
            return
        model = self.it.catalogue.named(MODEL, DEFAULT_TENANT)
        tasks = [_task(model.id, number, **fields) for number in todo]
        stored = await self._ask("submit", lambda: self.it.submissions.submit(tasks))
        for number, done in zip(todo, stored, strict=True):
            self.note("ack", number, done.task_id)
            self.ids[number] = done.task_id

    async def cancel(self, number: int) -> None:
        """Until it is known to be cancelled, or over."""
        try:
            await self._ask("cancel", lambda: self.it.tasks.cancel(TaskId(self.ids[number]), DEFAULT_TENANT))
        except WrongStatusError:
            return
        self.note("cancelled", number)

    async def requeue(self, number: int) -> None:
        """A dead letter, unless it was queued again already."""
        try:
            await self._ask("retry", lambda: self.it.tasks.retry(TaskId(self.ids[number]), DEFAULT_TENANT))
        except WrongStatusError:
            return

    async def set_priority(self, numbers: Iterable[int], priority: int) -> None:
        """Of waiting tasks."""
        ids = [TaskId(self.ids[number]) for number in numbers]
        await self._ask("set_priority", lambda: self.it.tasks.set_priority_many(ids, priority))

    async def status(self, number: int) -> Status:
        """Now."""
        task = await self._ask("read", lambda: self.it.tasks.get(TaskId(self.ids[number]), DEFAULT_TENANT))
        return task.status

    async def until(self, number: int, *statuses: Status) -> None:
        """Wait for a status."""
        await self._wait(lambda: self._is(number, statuses), f"task number {number} is {statuses}")

    async def _is(self, number: int, statuses: tuple[Status, ...]) -> bool:
        return await self.status(number) in statuses

    async def quiet(self) -> None:
        """Everything is over, by the record, and the index holds nothing."""
        await self._wait(self._is_quiet, "all is over and the index is empty")

    async def _is_quiet(self) -> bool:
        counts = await self._ask("counts", lambda: self.it.store.counts(TaskFilter()))
        if any(count for status, count in counts.items() if status not in TERMINAL):
            return False
        slots = await self._ask("slots", self.it.broker.slots)
        return not slots and not self.it.broker.waiting() and not len(self.it.running)

    async def _wait(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + QUIET_S
        while not await condition():
            if loop.time() > until_s:
                raise AssertionError(f"not within {QUIET_S} s: {what}; {await self._state()}")
            await asyncio.sleep(0.02)

    async def _state(self) -> str:
        counts = await self.it.store.counts(TaskFilter())
        slots = await self.it.broker.slots()
        return f"record {dict(counts)}, slots {list(slots)}, waiting {self.it.broker.waiting()}"

    async def _ask(self, what: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + GIVE_UP_S
        while True:
            try:
                return await ask()
            except StoreUnavailableError:
                if loop.time() > until_s:
                    raise
            except BrokerUnavailableError:
                # The record took it: a caller has no business knowing about the index.
                if what not in ("slots", "resume"):
                    self.note("problem", what, "told its caller that the index is away")
            await asyncio.sleep(AGAIN_S)


def _task(model_id: Any, number: int, *, delay_ms: int | None = None, **fields: Any) -> NewTask:
    script = "" if delay_ms is None else f', "script": {{"delay_ms": {delay_ms}}}'
    values: dict[str, Any] = {"type": "chat", "priority": 5, "max_retries": 3, "est_tokens": 10, **fields}
    return NewTask(
        tenant_id=DEFAULT_TENANT,
        model_id=model_id,
        input=f'{{"messages": [{{"role": "user", "content": "number {number}"}}]{script}}}',
        idempotency_key=f"key-{number}",
        fingerprint=f"print-{number}",
        **values,
    )


def soon(installation: Installation, seconds: float) -> Millis:
    """That many seconds from now."""
    return Millis(installation.clock.now() + round(seconds * 1000))


def _acknowledged(log: Path) -> Iterable[tuple[int, int]]:
    if log.exists():
        for line in log.read_text().splitlines():
            words = line.split()
            if words[0] == "ack":
                yield int(words[1]), int(words[2])
