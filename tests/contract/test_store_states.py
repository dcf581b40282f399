"""What controllers keep: one text for each name, changed only by who has seen the last one."""

import asyncio
from pathlib import Path

from tests.contract import store_scene
from tests.contract.store_scene import MAKERS, Scene, opened

from llm_scheduler.ports.states import State

scene = store_scene.scene


async def test_a_state_is_none_until_it_is_saved_and_grows_by_one(scene: Scene) -> None:
    assert await scene.store.state("a") is None

    assert await scene.store.save_state("a", '{"n": 1}', 0)
    assert await scene.store.save_state("a", '{"n": "é"}', 1)
    assert await scene.store.save_state("b", "{}", 0)

    assert await scene.store.state("a") == State(2, '{"n": "é"}')
    assert await scene.store.state("b") == State(1, "{}")


async def test_a_state_that_somebody_else_changed_is_not_overwritten(scene: Scene) -> None:
    await scene.store.save_state("a", "first", 0)
    await scene.store.save_state("a", "second", 1)

    assert not await scene.store.save_state("a", "late", 1)
    assert not await scene.store.save_state("a", "later", 0)
    assert not await scene.store.save_state("a", "early", 7)
    assert not await scene.store.save_state("none", "early", 7)

    assert await scene.store.state("a") == State(2, "second")
    assert await scene.store.state("none") is None


async def test_saying_the_same_twice_is_true_twice(scene: Scene) -> None:
    """A commit whose answer was lost is played again."""
    assert await scene.store.save_state("a", "first", 0)
    assert await scene.store.save_state("a", "first", 0)

    assert await scene.store.state("a") == State(1, "first")


async def test_of_many_who_begin_a_state_at_once_one_wins(scene: Scene) -> None:
    answers = await asyncio.gather(*(scene.store.save_state("a", f"by {one}", 0) for one in range(20)))

    kept = await scene.store.state("a")
    assert answers.count(True) == 1
    assert kept == State(1, f"by {answers.index(True)}")


async def test_a_state_survives_a_restart(tmp_path: Path) -> None:
    for make in MAKERS.values():
        async with opened(make, tmp_path) as scene:
            await scene.store.save_state("a", "kept", 0)
        async with opened(make, tmp_path) as scene:
            assert await scene.store.state("a") == State(1, "kept")


async def test_the_limit_that_was_found_is_noted_without_a_change_of_the_model(scene: Scene) -> None:
    await scene.store.set_max_workers(scene.model.id, scene.model.version, 17)
    await scene.store.set_max_workers(scene.model.id, scene.model.version + 1, 99)

    (model,) = await scene.store.models()
    assert (model.max_workers, model.version) == (17, scene.model.version)
