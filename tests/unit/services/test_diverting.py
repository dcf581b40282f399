"""When what waits leaves a model that is down: over a real record and the memory broker, with a clock that stands."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.store_scene import CountingMeter, Scene, opened, sqlite_store

from llm_scheduler.brokers.memory import MemoryBroker
from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId
from llm_scheduler.domain.model import Endpoint, Model, ModelOptions, ModelStatus
from llm_scheduler.domain.task import TaskOptions
from llm_scheduler.ports.broker import GateState, Hold, LaneState, Release
from llm_scheduler.providers.scripted import ScriptedKind
from llm_scheduler.relay.live import LocalFeed
from llm_scheduler.services.catalogue import Catalogue
from llm_scheduler.services.diverting import DOWN_FOR_S, MOST_PAGES, PAGE, Diverting, is_down

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from llm_scheduler.domain.ids import TaskId


class House:
    """A model `m` that falls back to `spare`, and their queues."""

    def __init__(self, scene: Scene, spare: Model) -> None:
        self.scene, self.spare = scene, spare
        self.broker = MemoryBroker(scene.clock)
        self.catalogue = Catalogue({"scripted": ScriptedKind()}, "fair")
        self.diverting = Diverting(scene.store, self.broker, self.catalogue, LocalFeed(), scene.clock)

    async def configure(self, model: Model) -> None:
        for one in (model, self.spare):
            self.catalogue.put(one)
        await self.broker.set_rules([self.catalogue.rules(one) for one in (model, self.spare)])

    async def fill(self, count: int, **fields: object) -> list[TaskId]:
        ids = await self.scene.submitted(count, **fields)
        await self.broker.enqueue(self.catalogue.entries(await self.scene.store.waiting_page(None, 10_000)))
        return ids

    async def break_all(self) -> None:
        """Ten calls fail: the circuit opens. Their tasks are cancelled, so that they are out of the way."""
        await self.fill(10)
        claims = (await self.broker.claim(self.scene.session, [self.scene.model.id], 10)).claims
        await self.scene.store.cancel([claim.task_id for claim in claims])
        await self.broker.release([Release(claim, is_failure=True) for claim in claims])

    def waiting(self) -> tuple[int, int]:
        return self.broker.waiting(self.scene.model.id), self.broker.waiting(self.spare.id)


@asynccontextmanager
async def house(folder: Path, **fields: object) -> AsyncIterator[House]:
    async with opened(sqlite_store, folder, CountingMeter()) as scene:
        spare = await scene.store.add_model(Model(ModelId(0), DEFAULT_TENANT, "spare", "scripted", {}))
        made = House(scene, spare)
        options = ModelOptions(fallback_models=("spare",))
        await made.configure(replace(scene.model, max_workers=64, options=options, **fields))
        yield made


async def test_a_circuit_that_stays_open_for_ten_seconds_sends_what_waits_on(tmp_path: Path) -> None:
    async with house(tmp_path) as it:
        await it.break_all()
        ids = await it.fill(3)

        early = await it.diverting.step()
        it.scene.clock.pass_s(DOWN_FOR_S)
        moved = await it.diverting.step()

        assert (early, moved, it.waiting()) == (0, 3, (0, 3))
        task = await it.scene.task(ids[0])
        assert (task.options.first_model, task.options.moved_for) == ("m", "circuit_open")
        assert (await it.scene.said(ids[0]))[-1] == "moved from 'm' to 'spare': too many of its calls failed"


async def test_a_circuit_that_closes_in_time_moves_nobody(tmp_path: Path) -> None:
    async with house(tmp_path) as it:
        await it.break_all()
        await it.fill(3)
        await it.diverting.step()
        it.scene.clock.pass_s(16)  # half open: nothing holds the next call
        closed = await it.diverting.step()
        it.scene.clock.pass_s(1)

        assert (closed, await it.diverting.step(), it.waiting()) == (0, 0, (3, 0))


async def test_those_with_nowhere_to_go_stay(tmp_path: Path) -> None:
    async with house(tmp_path, status=ModelStatus.UNHEALTHY) as it:
        await it.fill(2, options=TaskOptions(fallback_models=()))
        await it.fill(2)

        assert (await it.diverting.step(), it.waiting()) == (2, (2, 2))


async def test_a_long_queue_moves_page_by_page(tmp_path: Path) -> None:
    """A look moves so many and no more; what stays behind is not looked at again and again before the rest."""
    async with house(tmp_path, status=ModelStatus.UNHEALTHY) as it:
        stuck = PAGE * MOST_PAGES
        await it.fill(stuck, options=TaskOptions(fallback_models=()))
        it.scene.clock.pass_s(1)
        await it.fill(5)

        assert [await it.diverting.step() for _ in range(2)] == [0, 5]
        assert it.waiting() == (stuck, 5)


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        ([("circuit",)], True),
        ([("circuit",), ()], False),
        ([("circuit", "throttled"), ("circuit",)], True),
        ([("circuit",), ("drained",)], True),
        ([("drained",), ("drained", "circuit")], False),
        ([("throttled",)], False),
        ([], False),
    ],
)
def test_a_model_is_down_when_every_way_that_is_in_use_has_an_open_circuit(
    gates: list[tuple[str, ...]], expected: bool
) -> None:
    states = tuple(GateState(str(number), 0, 0, 0, tuple(map(Hold, holds))) for number, holds in enumerate(gates))

    assert is_down(LaneState(ModelId(1), (), states)) is expected


def test_an_endpoint_that_refuses_leaves_the_others_until_none_is_left() -> None:
    from llm_scheduler.workers.refusing import OUT_FOR_S, Refusing

    model = Model(ModelId(1), DEFAULT_TENANT, "m", "scripted", {}, endpoints=(Endpoint("a"), Endpoint("b")))
    refusing = Refusing()
    refusing.note((model.id, "a"), 0.0)
    first = refusing.has_others(model, 1.0)
    refusing.note((model.id, "b"), 1.0)

    assert (first, refusing.has_others(model, 2.0), refusing.has_others(model, OUT_FOR_S)) == (True, False, True)
    assert not refusing.has_others(replace(model, endpoints=(Endpoint("a", is_drained=True), Endpoint("b"))), 2.0)
    refusing.forget((model.id, "b"))
    assert refusing.has_others(model, 2.0)
