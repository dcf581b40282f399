"""What an attempt does when something goes wrong around its call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.inside import Inside, inside, until

from llm_scheduler.domain.errors import InvalidInputError, StoreUnavailableError
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.ports.provider import Answer, Call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llm_scheduler.domain.outcome import Ended
    from llm_scheduler.ports.store import Recorded

QUICK = RetryPolicy(max_retries=1, initial_delay_s=0.01, max_delay_s=0.01)


class Odd:
    """A provider that misbehaves as it is told."""

    def __init__(self, act: Callable[[Call], Answer]) -> None:
        self._act = act
        self.calls = 0

    async def call(self, call: Call, on_delta: Any = None) -> Answer:
        self.calls += 1
        return self._act(call)

    async def close(self) -> None:
        return


class OddKind:
    """Opens it."""

    name = "odd"
    task_types = frozenset({"chat"})
    secret_fields = frozenset[str]()

    def __init__(self, provider: Odd) -> None:
        self._provider = provider

    def check(self, config: Any) -> dict[str, object]:
        return dict(config)

    def open(self, model: str, config: Any) -> Odd:
        return self._provider


def breaks(_call: Call) -> Answer:
    raise ZeroDivisionError("a bug")


def answers(_call: Call) -> Answer:
    return Answer("fine", {"fine": True})


async def test_a_bug_in_a_provider_is_a_failure_of_the_task_and_leaks_no_slot(tmp_path: Path) -> None:
    """Tried again by the policy, then a dead letter; the lane goes on."""
    provider = Odd(breaks)
    async with inside(tmp_path) as it:
        it.installation.catalogue.kinds = {**it.installation.catalogue.kinds, "odd": OddKind(provider)}
        model = await it.add_model(kind="odd", max_workers=1, retry=QUICK)
        ids = await it.submit(model, 3, max_retries=1)
        for task_id in ids:
            task = await it.wait_for(task_id, "failed")
            assert task.error is not None
            assert task.error.code == "internal_error"
        assert provider.calls == 6
        assert not await it.broker.slots()


@pytest.mark.parametrize("times", [1, 3])
async def test_an_answer_is_held_while_the_record_is_away(tmp_path: Path, times: int) -> None:
    """It was paid for: it is recorded as soon as the record takes it, and the call is not repeated."""
    provider = Odd(answers)
    async with inside(tmp_path) as it:
        it.installation.catalogue.kinds = {**it.installation.catalogue.kinds, "odd": OddKind(provider)}
        real, left = it.store.record, times

        async def record(ended: Ended) -> Recorded:
            nonlocal left
            if left:
                left -= 1
                raise StoreUnavailableError("the disk is away")
            return await real(ended)

        it.store.record = record
        model = await it.add_model(kind="odd")
        [task_id] = await it.submit(model)
        task = await it.wait_for(task_id, "completed")

        assert (task.output, task.attempt, provider.calls) == ("fine", 1, 1)
        await until(lambda: it.broker.waiting() == 0, "nothing waits")


async def test_an_answer_that_the_record_refuses_ends_the_task_with_the_reason(tmp_path: Path) -> None:
    """It does not run for ever, and it is not paid for again."""
    provider = Odd(answers)
    async with inside(tmp_path) as it:
        it.installation.catalogue.kinds = {**it.installation.catalogue.kinds, "odd": OddKind(provider)}
        real = it.store.record

        async def record(ended: Ended) -> Recorded:
            if ended.output is not None:
                raise InvalidInputError("it is not text")
            return await real(ended)

        it.store.record = record
        model = await it.add_model(kind="odd")
        [task_id] = await it.submit(model)
        task = await it.wait_for(task_id, "failed")

        assert task.error is not None
        assert (task.error.code, provider.calls) == ("unstorable_answer", 1)
        assert not await it.broker.slots()


async def test_a_start_that_cannot_be_recorded_is_tried_again(tmp_path: Path) -> None:
    """No call is made without a START on disk; the tasks come back into the index by themselves."""
    async with inside(tmp_path) as it:
        real, left = it.store.start, 2

        async def start(session_id: Any, orders: Any) -> Any:
            nonlocal left
            if left:
                left -= 1
                raise StoreUnavailableError("the disk is away")
            return await real(session_id, orders)

        it.store.start = start
        model = await it.add_model()
        ids = await it.submit(model, 5)
        for task_id in ids:
            assert (await it.wait_for(task_id, "completed")).attempt == 1


async def test_a_claim_of_a_model_that_is_not_known_yet_makes_the_worker_learn_of_it(tmp_path: Path) -> None:
    """Another process added it a moment ago: the task runs, and no retry is burnt."""
    async with inside(tmp_path) as it:
        model = await it.add_model()
        it.installation.catalogue.lanes = lambda: [model.id]
        it.installation.catalogue.forget(model.id)
        [task_id] = await it.submit(model)

        assert (await it.wait_for(task_id, "completed")).attempt == 1
        assert it.installation.catalogue.by_id(model.id) == model


async def test_a_claim_of_a_model_that_is_gone_is_given_back_unstarted(tmp_path: Path) -> None:
    """No START without a model to call, and no slot is lost."""
    async with inside(tmp_path) as it:
        model = await it.add_model()
        it.installation.catalogue.lanes = lambda: [model.id]
        it.installation.catalogue.forget(model.id)
        looks = 0

        async def load() -> None:
            nonlocal looks
            looks += 1
            it.installation.catalogue.lanes = list

        it.models.load = load
        [task_id] = await it.submit(model)
        await until(lambda: looks > 0, "it looked")
        await until(lambda: _has_no_slot(it), "the slot is free again")

        assert looks == 1
        assert (await it.task(task_id)).attempt == 0


async def _has_no_slot(it: Inside) -> bool:
    return not await it.broker.slots()
