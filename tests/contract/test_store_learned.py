"""What was learned of finished calls, on record: sums that several processes add to."""

import asyncio
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract import store_scene
from tests.contract.store_scene import MAKERS, NOON, Scene, opened

from llm_scheduler.domain.ids import Millis
from llm_scheduler.ports.learned import LONGEST_SCOPE, Learned, Sums
from llm_scheduler.stores.mysql import MysqlStore

scene = store_scene.scene
ONE = Sums(1, 20, 1_500, 120, 100)


async def known(scene: Scene) -> dict[str, Sums]:
    return {one.scope: one.sums for one in await scene.store.samples(Millis(0), 1_000)}


async def test_what_is_added_is_summed_up(scene: Scene) -> None:
    await scene.store.add_samples({"5": ONE, "5/*/chat": ONE})
    await scene.store.add_samples({"5": Sums(2, 1, 0.5, 0, 0)})

    assert await known(scene) == {"5": Sums(3, 21, 1_500.5, 120, 100), "5/*/chat": ONE}


async def test_nothing_added_writes_nothing(scene: Scene) -> None:
    await scene.store.add_samples({})

    assert await known(scene) == {}


async def test_two_adding_at_once_lose_nothing(scene: Scene) -> None:
    """Each names the scopes in another order; more of them than one transaction takes."""
    names = [f"5/{number}/7/chat" for number in range(300)]
    rounds = 8

    await asyncio.gather(
        *(scene.store.add_samples(dict.fromkeys(names if turn % 2 else reversed(names), ONE)) for turn in range(rounds))
    )

    wanted = Sums(*(rounds * value for value in ONE))
    assert await known(scene) == dict.fromkeys(names, wanted)


async def test_two_processes_adding_at_once_lose_nothing(tmp_path: Path) -> None:
    async with opened(MAKERS["mysql"], tmp_path) as scene:
        other = MysqlStore(store_scene.mysql_url(tmp_path), scene.clock, store_scene.CountingMeter())
        await other.open()
        names = [f"5/{number}/7/chat" for number in range(100)]
        for _ in range(5):
            await asyncio.gather(
                scene.store.add_samples(dict.fromkeys(names, ONE)),
                other.add_samples(dict.fromkeys(reversed(names), ONE)),
            )
        await other.close()

        assert await known(scene) == dict.fromkeys(names, Sums(*(10 * value for value in ONE)))


async def test_only_what_changed_is_read_the_latest_first(scene: Scene) -> None:
    for number in range(4):
        await scene.store.add_samples({str(number): ONE})
        scene.clock.pass_s(1)

    assert [one.scope for one in await scene.store.samples(Millis(NOON + 1_000), 2)] == ["3", "2"]
    assert list(await scene.store.samples(Millis(NOON + 3_000), 9)) == [Learned("3", ONE, Millis(NOON + 3_000))]


async def test_scopes_with_many_samples_fade(scene: Scene) -> None:
    """What is new then counts for more. It is told as a change, so that every process takes it over."""
    await scene.store.add_samples({"many": Sums(100, 20, 30, 40, 50), "few": ONE})
    scene.clock.pass_s(5)

    assert await scene.store.fade_samples(50) == 1
    assert await scene.store.fade_samples(50) == 0

    assert await known(scene) == {"many": Sums(50, 10, 15, 20, 25), "few": ONE}
    assert [one.scope for one in await scene.store.samples(scene.clock.at, 9)] == ["many"]


async def test_scopes_that_nobody_adds_to_are_forgotten(scene: Scene) -> None:
    await scene.store.add_samples({"old": ONE, "older": ONE, "used": ONE})
    scene.clock.pass_s(10)
    await scene.store.add_samples({"used": ONE})

    assert await scene.store.forget_samples(Millis(NOON + 1), 1) == 1
    assert await scene.store.forget_samples(Millis(NOON + 1), 10) == 1
    assert await scene.store.forget_samples(Millis(NOON + 1), 10) == 0

    assert set(await known(scene)) == {"used"}


async def test_a_scope_of_any_words_is_kept(scene: Scene) -> None:
    names = ["é" * LONGEST_SCOPE, "5/1/7/a'b", "5/1/7/a\\b", "5/1/7/?", "5/1/7/A", "5/1/7/a", '5/1/7/{ids}"']
    await scene.store.add_samples(dict.fromkeys(names, ONE))

    assert await known(scene) == dict.fromkeys(names, ONE)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 10**9), max_size=3), max_size=6))
async def test_any_parts_add_up(tmp_path: Path, parts: list[dict[str, int]]) -> None:
    """On both engines the same."""
    for make in MAKERS.values():
        async with opened(make, tmp_path) as scene:
            before = await known(scene)
            for part in parts:
                await scene.store.add_samples({name: Sums(1, value, 0, 0, 0) for name, value in part.items()})
            after = await known(scene)
            for name in "abc":
                values = [part[name] for part in parts if name in part]
                gained = after.get(name, Sums()).output_tokens - before.get(name, Sums()).output_tokens
                assert gained == sum(values)


async def test_sums_survive_a_restart(tmp_path: Path) -> None:
    for make in MAKERS.values():
        async with opened(make, tmp_path) as scene:
            await scene.store.add_samples({"5": ONE})
        async with opened(make, tmp_path) as scene:
            assert await known(scene) == {"5": ONE}
