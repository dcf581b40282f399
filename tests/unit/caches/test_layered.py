"""Memory over a shared level over the source: who is asked, who hears of a drop, and what is never kept."""

from __future__ import annotations

import asyncio

import pytest
from tests.contract.cache_scene import Hub, Process, Source
from tests.contract.store_scene import StillClock

from llm_scheduler.caches.layered import Ttl
from llm_scheduler.caches.memory import MemoryCache


class Scene:
    """Two processes over one shared level."""

    def __init__(self) -> None:
        self.clock, self.hub, self.source = StillClock(), Hub(), Source()
        self.far = MemoryCache(self.clock)
        self.a, self.b = (Process(self.clock, self.hub, self.far, Ttl(60, 300, 2)) for _ in "ab")

    async def read(self, process: Process) -> bytes | None:
        return await process.cache.fetch("k", self.source.read)


async def test_the_source_is_read_once_for_all_processes() -> None:
    it = Scene()

    values = [await it.read(process) for process in (it.a, it.a, it.b, it.b)]

    assert values == [b"one"] * 4
    assert it.source.reads == 1
    assert it.a.meter.asked == ["memory miss", "shared miss", "memory hit"]
    assert it.b.meter.asked == ["memory miss", "shared hit", "memory hit"]


async def test_a_thundering_herd_loads_once() -> None:
    it = Scene()
    gate = asyncio.Event()

    async def slow() -> bytes | None:
        await gate.wait()
        return await it.source.read()

    herd = [asyncio.create_task(it.a.cache.fetch("k", slow)) for _ in range(100)]
    await asyncio.sleep(0)
    herd[0].cancel()
    gate.set()
    answers = await asyncio.gather(*herd, return_exceptions=True)

    assert isinstance(answers[0], asyncio.CancelledError)
    assert set(answers[1:]) == {b"one"}
    assert it.source.reads == 1


async def test_what_the_source_raises_goes_to_all_and_is_not_kept() -> None:
    it = Scene()

    async def broken() -> bytes | None:
        raise OSError("gone")

    answers = await asyncio.gather(*(it.a.cache.fetch("k", broken) for _ in range(3)), return_exceptions=True)

    assert [str(answer) for answer in answers] == ["gone"] * 3
    assert await it.read(it.a) == b"one"


async def test_nothing_is_kept_for_a_short_time() -> None:
    it = Scene()
    it.source.value = None
    assert [await it.read(it.a), await it.read(it.a), await it.read(it.b)] == [None, None, None]
    assert it.source.reads == 1
    it.source.value = b"now"
    it.clock.pass_s(2)

    assert await it.read(it.b) == b"now"


async def test_a_drop_reaches_every_process_at_once() -> None:
    it = Scene()
    heard: list[object] = []
    it.a.cache.on_drop(heard.append)
    undo = it.b.cache.on_drop(heard.append)
    await it.read(it.a)
    await it.read(it.b)
    it.source.value = b"two"

    await it.a.cache.drop(["k"])

    assert [await it.read(it.b), await it.read(it.a)] == [b"two", b"two"]
    assert heard == [["k"]]
    undo()
    await it.a.cache.drop(["k"])
    assert heard == [["k"]]


async def test_who_may_have_missed_a_drop_forgets_everything() -> None:
    it = Scene()
    heard: list[object] = []
    it.b.cache.on_drop(heard.append)
    await it.read(it.b)
    it.b.channel.is_deaf = True
    it.source.value = b"two"
    await it.a.cache.drop(["k"])
    assert await it.read(it.b) == b"one"

    it.b.channel.reconnect()

    assert await it.read(it.b) == b"two"
    assert heard == [None]


@pytest.mark.parametrize("is_read_between", [True, False])
@pytest.mark.parametrize("who", ["own", "other"])
async def test_a_load_that_a_drop_overtakes_is_not_kept(who: str, is_read_between: bool) -> None:
    """It read the source before the change: keeping that would hide the change for a minute."""
    it = Scene()
    has_read, gate = asyncio.Event(), asyncio.Event()

    async def slow() -> bytes | None:
        value = await it.source.read()
        has_read.set()
        await gate.wait()
        return value

    early = asyncio.create_task(it.a.cache.fetch("k", slow))
    await has_read.wait()
    it.source.value = b"two"
    await (it.a if who == "own" else it.b).cache.drop(["k"])
    if is_read_between:
        assert await it.read(it.a) == b"two"
    gate.set()

    assert await early == b"one"
    assert await it.read(it.a) == b"two"


async def test_without_a_shared_level_it_is_memory_and_source() -> None:
    it = Scene()
    alone = Process(it.clock, it.hub, None)
    await it.read(alone)
    it.source.value = b"two"
    assert await it.read(alone) == b"one"
    await alone.cache.drop(["k"])

    assert await it.read(alone) == b"two"
    assert alone.meter.asked == ["memory miss", "memory hit", "memory miss"]


async def test_after_close_nothing_listens_and_nothing_loads() -> None:
    it = Scene()
    never = asyncio.create_task(it.a.cache.fetch("k", asyncio.Event().wait))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await it.a.cache.close()

    with pytest.raises(asyncio.CancelledError):
        await never
    assert (it.a.channel.listeners, it.a.channel.gaps) == ([], [])
