"""The circuit of a gate: open after too many failures, half open after a pause, closed by a success."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contract import broker_scene
from tests.contract.broker_scene import LANE, Scene, rules, task

from llm_scheduler.ports.broker import GateRules, Hold, Release

if TYPE_CHECKING:
    from llm_scheduler.ports.broker import Claim

scene = broker_scene.scene

EAST, WEST = GateRules("east"), GateRules("west")


async def opened(scene: Scene, *gates: GateRules) -> None:
    await scene.open(rules(gates=gates))
    await scene.enqueue(*(task(number) for number in range(200)))


async def broken(scene: Scene, *gates: GateRules) -> None:
    """Ten calls have failed just now, through one gate."""
    await opened(scene, *gates)
    calls = await scene.claim(30)
    await scene.failed(*[one for one in calls if one.endpoint == calls[0].endpoint][:10])
    await scene.broker.release([Release(one) for one in calls])


async def probe(scene: Scene, after_ms: int) -> Claim:
    """The one call that goes out when the pause is over, which lasts so long."""
    assert await scene.ask(9) == ((), after_ms)
    scene.clock.advance_ms(after_ms)
    (claim,) = await scene.claim(9)
    return claim


async def test_ten_failures_open_the_circuit_of_the_only_gate_and_the_lane_waits(scene: Scene) -> None:
    await broken(scene)

    assert await scene.ask(9) == ((), 15_000)
    assert scene.broker.waiting(LANE) == 170


async def test_nine_failures_tell_too_little(scene: Scene) -> None:
    await opened(scene)

    await scene.failed(*await scene.claim(9))

    assert len(await scene.claim(9)) == 9


async def test_a_lane_whose_calls_fail_less_than_half_the_time_goes_on(scene: Scene) -> None:
    await opened(scene)
    claims = await scene.claim(20)

    await scene.done(*claims[:11])
    await scene.failed(*claims[11:])

    assert len(await scene.claim(9)) == 9


async def test_half_of_the_calls_are_too_many(scene: Scene) -> None:
    await opened(scene)
    claims = await scene.claim(20)

    await scene.done(*claims[:10])
    await scene.failed(*claims[10:])

    assert await scene.claim(9) == []


async def test_calls_that_say_nothing_about_the_gate_are_not_counted(scene: Scene) -> None:
    await opened(scene)
    claims = await scene.claim(30)

    await scene.broker.release([Release(one) for one in claims[:20]])
    await scene.failed(*claims[20:29])

    assert (await scene.gate()).calls == 9
    assert len(await scene.claim(9)) == 9


async def test_failures_of_more_than_half_a_minute_ago_do_not_count(scene: Scene) -> None:
    await opened(scene)
    await scene.failed(*await scene.claim(9))
    scene.clock.advance_ms(30_000)

    await scene.failed(*await scene.claim(9))

    assert await scene.gate() == (None, 0, 9, 9, ())
    assert len(await scene.claim(9)) == 9


async def test_failures_of_the_last_twenty_seconds_count(scene: Scene) -> None:
    await opened(scene)
    await scene.failed(*await scene.claim(9))
    scene.clock.advance_ms(19_999)

    await scene.failed(*await scene.claim(1))

    assert await scene.claim(9) == []


async def test_other_gates_go_on(scene: Scene) -> None:
    await broken(scene, EAST, WEST)

    assert await scene.gates(4) == ["west"] * 4


async def test_one_probe_goes_out_after_the_pause(scene: Scene) -> None:
    await broken(scene, EAST, WEST)
    scene.clock.advance_ms(15_000)

    assert await scene.gates(5) == ["east", "west", "west", "west", "west"]


async def test_a_probe_that_succeeds_closes_the_circuit_and_forgets_the_failures(scene: Scene) -> None:
    await broken(scene)

    await scene.done(await probe(scene, 15_000))

    assert await scene.gate() == (None, 0, 0, 0, ())
    await scene.failed(*await scene.claim(9))
    assert len(await scene.claim(9)) == 9


async def test_a_probe_that_fails_doubles_the_pause_up_to_five_minutes(scene: Scene) -> None:
    await broken(scene)

    for pause_ms in (15_000, 30_000, 60_000, 120_000, 240_000, 300_000, 300_000):
        await scene.failed(await probe(scene, pause_ms))

    assert await scene.ask() == ((), 300_000)


async def test_a_success_resets_the_pause(scene: Scene) -> None:
    await broken(scene)
    await scene.failed(await probe(scene, 15_000))
    await scene.done(await probe(scene, 30_000))

    await scene.failed(*await scene.claim(10))

    assert await scene.ask() == ((), 15_000)


async def test_a_probe_that_says_nothing_makes_room_for_the_next(scene: Scene) -> None:
    await broken(scene)
    await scene.broker.release([Release(await probe(scene, 15_000))])

    assert len(await scene.claim(9)) == 1


async def test_calls_of_before_neither_close_the_circuit_nor_prolong_it(scene: Scene) -> None:
    await opened(scene)
    claims = await scene.claim(30)
    await scene.failed(*claims[:10])
    scene.clock.advance_ms(10_000)

    await scene.failed(*claims[10:20])
    await scene.done(*claims[20:])

    await probe(scene, 5_000)
    assert await scene.claim(9) == []


async def test_a_probe_that_runs_long_counts_as_let_in(scene: Scene) -> None:
    """As after a 429. If it fails in the end, the next pause is the longer one."""
    await broken(scene)
    await probe(scene, 15_000)
    assert await scene.ask(9) == ((), 10_000)
    scene.clock.advance_ms(10_000)
    claims = await scene.claim(12)

    await scene.failed(*claims)

    assert len(claims) == 12
    assert await scene.ask(9) == ((), 30_000)


async def test_a_pause_after_a_429_holds_beside_an_open_circuit(scene: Scene) -> None:
    await broken(scene)
    await scene.broker.throttle(LANE, 20_000)

    assert (await scene.gate()).holds == (Hold("throttled", 20_000), Hold("circuit", 15_000))
    await scene.done(await probe(scene, 20_000))
    assert len(await scene.claim(9)) == 9


async def test_an_endpoint_that_dies_and_comes_back_gets_its_calls_back(scene: Scene) -> None:
    """Traffic moves while it is dead, and returns with the first probe that succeeds."""
    await opened(scene, EAST._replace(max_workers=2), WEST._replace(max_workers=2))
    ok: dict[str | None, list[int]] = {"east": [], "west": []}
    failed = 0
    while scene.clock.elapsed_ms < 120_000:
        for claim in await scene.claim(4):
            is_dead = claim.endpoint == "east" and 10_000 <= scene.clock.elapsed_ms < 50_000
            failed += is_dead
            back = task(claim.task_id, attempt=claim.attempt + 1)
            await scene.broker.release([Release(claim, None, back, not is_dead, is_failure=is_dead)])
            if not is_dead:
                ok[claim.endpoint].append(scene.clock.elapsed_ms)
        scene.clock.advance_ms(1_000)

    assert failed <= 40
    assert len([at for at in ok["west"] if 20_000 <= at < 50_000]) >= 60
    assert len([at for at in ok["east"] if at >= 115_000]) >= 8
