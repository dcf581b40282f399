"""An index in Redis that is lost, flushed, shared by two processes or went back in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.contract.broker_scene import LANE, ME, OTHER, rules, task
from tests.recovery.redis_scene import ids, joined, opened, rebuilt, until_answered
from tests.rig.redis import Redis
from tests.rig.shared import empty_redis

from llm_scheduler.domain.ids import ModelId, SessionId, TenantId
from llm_scheduler.ports.broker import REBUILD_TTL_S, Release

if TYPE_CHECKING:
    from pathlib import Path

    from llm_scheduler.brokers.redis.broker import RedisBroker

LONG_MS = 30_000
DEADLINE_S = 5.0


@pytest.fixture
def server() -> Redis:
    """Empty."""
    return empty_redis()


async def epochs(broker: RedisBroker) -> list[str | None]:
    return [one.epoch for one in await broker.pulse()]


async def test_scripts_that_the_server_forgot_are_sent_again(server: Redis) -> None:
    async with opened(server.url) as broker:
        await broker.enqueue([task(1), task(2)])
        assert await ids(broker, 1) == [1]

        server.command("SCRIPT", "FLUSH")

        assert await ids(broker, 1) == [2]


async def test_an_index_that_was_never_built_gives_nothing(server: Redis) -> None:
    async with joined(server.url) as broker:
        await broker.set_rules([rules()])
        await broker.enqueue([task(1)])

        answer = await broker.claim(ME, (LANE,), 1)

        assert (answer.claims, answer.wait_ms) == ((), 100)
        assert await epochs(broker) == [None]
        await rebuilt(broker)
        assert await ids(broker) == [1]


async def test_a_flushed_index_is_rebuilt_with_its_rules(server: Redis) -> None:
    async with opened(server.url, rules(max_workers=2)) as broker:
        await broker.set_tenant_limit(TenantId(3), 1)
        await broker.enqueue([task(1)])
        server.command("FLUSHALL")

        assert (await broker.claim(ME, (LANE,), 1)).wait_ms == 100
        assert await epochs(broker) == [None]
        token = await broker.begin_rebuild()
        assert token is not None
        await broker.reconcile([task(1, tenant=3), task(2, tenant=3), task(3), task(4)], [], [])
        assert (await broker.claim(ME, (LANE,), 9)).claims == ()
        assert await broker.finish_rebuild(token)

        assert sorted(await ids(broker)) == [1, 3]


async def test_one_of_two_rebuilds_and_both_go_on(server: Redis) -> None:
    async with opened(server.url) as one, joined(server.url) as other:
        server.command("FLUSHALL")
        tokens = await asyncio.gather(one.begin_rebuild(), other.begin_rebuild())
        assert sum(token is not None for token in tokens) == 1

        builder, token = (one, tokens[0]) if tokens[0] else (other, tokens[1])
        assert token is not None
        await one.set_rules([rules()])
        await builder.reconcile([task(1), task(2)], [], [])
        assert await builder.finish_rebuild(token)

        assert [await ids(one, 1), await ids(other, 1)] == [[1], [2]]
        assert await one.begin_rebuild() is None


async def test_a_builder_without_a_sign_of_life_is_replaced(server: Redis) -> None:
    async with joined(server.url) as dead, joined(server.url) as heir:
        late = await dead.begin_rebuild()
        assert late is not None
        assert await heir.begin_rebuild() is None
        server.command("PEXPIRE", "{ls:0}:building", "1")

        heirs = None
        async with asyncio.timeout(DEADLINE_S):
            while heirs is None:
                heirs = await heir.begin_rebuild()

        assert not await dead.finish_rebuild(late)
        assert await epochs(heir) == [None]
        assert await heir.finish_rebuild(heirs)


async def test_a_builder_that_mends_stays_elected(server: Redis) -> None:
    async with joined(server.url) as broker:
        await broker.begin_rebuild()
        for mend in (broker.reconcile([task(1)], [], []), broker.remember([])):
            server.command("PEXPIRE", "{ls:0}:building", "3000")

            await mend

            assert int(server.command("PTTL", "{ls:0}:building")) > REBUILD_TTL_S * 1000 - 3000


async def test_an_index_lost_again_while_it_is_rebuilt_stays_closed(server: Redis) -> None:
    async with joined(server.url) as broker:
        token = await broker.begin_rebuild()
        assert token is not None
        server.command("FLUSHALL")

        assert not await broker.finish_rebuild(token)
        assert await epochs(broker) == [None]
        await rebuilt(broker)


async def test_an_index_that_went_back_in_time_is_known_by_its_beat(server: Redis) -> None:
    async with opened(server.url) as broker, joined(server.url) as other:
        beats = [(await broker.pulse())[0].beat, (await other.pulse())[0].beat, (await broker.pulse())[0].beat]
        assert beats == [1, 2, 3]
        (before,) = await epochs(broker)
        server.command("SET", "{ls:0}:beat", "1")

        assert (await broker.pulse())[0].beat == 2
        token = await broker.begin_rebuild(is_forced=True)
        assert token is not None
        assert await epochs(other) == [None]
        assert await broker.finish_rebuild(token)
        assert await epochs(other) not in ([None], [before])


async def test_a_forced_rebuild_overtakes_another(server: Redis) -> None:
    async with joined(server.url) as slow, joined(server.url) as forced:
        token = await slow.begin_rebuild()
        assert token is not None
        newer = await forced.begin_rebuild(is_forced=True)
        assert newer is not None

        assert not await slow.finish_rebuild(token)
        assert await forced.finish_rebuild(newer)


async def test_a_server_that_comes_back_empty(tmp_path: Path) -> None:
    server = Redis(tmp_path)
    server.start()
    try:
        async with opened(server.url) as broker:
            await broker.enqueue([task(1)])
            await ids(broker, 0)
            server.kill()
            server.start()

            await until_answered(broker.pulse, 3)
            assert await epochs(broker) == [None]
            token = await broker.begin_rebuild()
            assert token is not None
            await broker.reconcile([task(1), task(2)], [], [])
            assert await broker.finish_rebuild(token)
            assert await ids(broker) == [1, 2]
    finally:
        server.close()


async def test_a_server_that_comes_back_from_its_log_may_lack_the_last_second(tmp_path: Path) -> None:
    """A process that never saw the index before knows it, too."""
    server = Redis(tmp_path, ("--appendonly", "yes", "--appendfsync", "always"))
    server.start()
    try:
        async with opened(server.url) as broker:
            await broker.enqueue([task(1)])
            assert await epochs(broker) != [None]
        server.kill()
        server.start()
        async with joined(server.url) as newcomer:
            await until_answered(newcomer.pulse, 3)

            assert await epochs(newcomer) == [None]
            assert (await newcomer.claim(ME, (LANE,), 1)).claims == ()
            await rebuilt(newcomer)
            assert await epochs(newcomer) != [None]
            assert await ids(newcomer) == [1]
    finally:
        server.close()


async def test_a_replica_that_takes_over_is_not_trusted(tmp_path: Path) -> None:
    server = Redis(tmp_path / "first")
    server.start()
    replica = Redis(tmp_path / "second", ("--replicaof", f"127.0.0.1 {server.port}"))
    replica.start()
    try:
        async with opened(server.url) as broker:
            await broker.enqueue([task(1)])
            server.command("WAIT", "1", "5000")
        replica.command("REPLICAOF", "NO", "ONE")
        async with joined(replica.url) as newcomer:
            assert await epochs(newcomer) == [None]
    finally:
        replica.close()
        server.close()


async def test_what_one_process_adds_wakes_the_other_and_itself_once(server: Redis) -> None:
    async with opened(server.url) as one, joined(server.url) as other:
        mine = (await one.claim(ME, (LANE,), 1)).seen
        theirs = (await other.claim(ME, (LANE,), 1)).seen

        await one.enqueue([task(1)])

        async with asyncio.timeout(DEADLINE_S):
            assert await other.wait(theirs, LONG_MS) == theirs + 1
        assert await one.wait(mine, LONG_MS) == mine + 1
        await other.enqueue([task(2)])  # its message comes after one's own
        async with asyncio.timeout(DEADLINE_S):
            assert await one.wait(mine + 1, LONG_MS) == mine + 2


async def test_others_are_woken_only_when_a_claim_may_succeed(server: Redis) -> None:
    """Nothing is told while the lane is full; the release that makes room is."""
    async with opened(server.url, rules(max_workers=1)) as one, joined(server.url) as other:
        await one.enqueue([task(1)])
        (claim,) = (await one.claim(ME, (LANE,), 1)).claims
        seen = (await other.claim(ME, (LANE,), 1)).seen
        published = await one_published(server)

        await one.enqueue([task(2)])
        assert await one_published(server) == published
        await one.release([Release(claim)])

        async with asyncio.timeout(DEADLINE_S):
            assert await other.wait(seen, LONG_MS) > seen
        assert await ids(other) == [2]


async def one_published(server: Redis) -> int:
    """How many messages the scripts have sent."""
    stats = server.command("INFO", "commandstats")
    line = next((line for line in stats.splitlines() if line.startswith("cmdstat_publish:")), "calls=0,")
    return int(line.split("calls=")[1].split(",")[0])


async def test_a_lost_subscription_comes_back_and_rings_once(server: Redis) -> None:
    async with opened(server.url) as one, joined(server.url) as other:
        await one.set_rules([rules()])
        seen = (await other.claim(ME, (LANE,), 1)).seen

        server.command("CLIENT", "KILL", "TYPE", "pubsub")

        async with asyncio.timeout(DEADLINE_S):
            seen = await other.wait(seen, LONG_MS)
            await one.enqueue([task(1)])
            await other.wait(seen, LONG_MS)
        assert await ids(other) == [1]


async def test_a_release_of_an_older_attempt_from_elsewhere_frees_nothing(server: Redis) -> None:
    async with opened(server.url, rules(max_workers=1)) as one, joined(server.url) as other:
        await one.enqueue([task(1)])
        (old,) = (await one.claim(ME, (LANE,), 1)).claims
        await other.release([Release(old, None, task(1, attempt=1))])
        (new,) = (await other.claim(SessionId(8), (LANE,), 1)).claims

        await one.release([Release(old)])

        assert [slot.attempt for slot in await one.slots()] == [new.attempt] == [1]


async def test_one_session_leads_until_its_lease_lapses(server: Redis) -> None:
    async with joined(server.url) as one, joined(server.url) as other:
        assert await one.lead(SessionId(1), 10)
        assert not await other.lead(SessionId(2), 10)
        assert await one.lead(SessionId(1), 10)
        server.command("PEXPIRE", "{ls:0}:leader", "1")

        async with asyncio.timeout(DEADLINE_S):
            while not await other.lead(SessionId(2), 10):
                pass
        assert not await one.lead(SessionId(1), 10)


async def test_lanes_of_several_shards_are_claimed_together(server: Redis) -> None:
    lanes = [ModelId(number) for number in range(1, 9)]
    async with opened(server.url, *(rules(lane=lane) for lane in lanes), shards=4) as broker:
        await broker.enqueue([task(10 * lane + number, lane=lane) for lane in lanes for number in range(3)])
        assert broker.waiting() == 24

        one_by_one = [(await broker.claim(ME, lanes, 1)).claims[0].lane for _ in range(8)]
        rest = (await broker.claim(ME, lanes, 99)).claims

        assert sorted(one_by_one) == lanes
        assert len(rest) == 16
        assert len(await broker.slots()) == 24
        assert [depth.lane for depth in await broker.depths()] == lanes
        await broker.release([Release(one) for one in rest])
        assert len(await broker.slots()) == 8


async def test_one_lost_shard_does_not_stop_the_others(server: Redis) -> None:
    lanes = [ModelId(number) for number in range(1, 9)]
    async with opened(server.url, *(rules(lane=lane) for lane in lanes), shards=2) as broker:
        await broker.enqueue([task(lane, lane=lane) for lane in lanes])
        server.command("DEL", "{ls:1}:epoch")

        answer = await broker.claim(ME, lanes, 99)

        assert 0 < len(answer.claims) < 8
        assert answer.wait_ms == 100
        await rebuilt(broker)
        assert len((await broker.claim(ME, lanes, 99)).claims) == 8 - len(answer.claims)


async def test_a_task_put_back_into_a_lane_of_another_shard_waits_there(server: Redis) -> None:
    lanes = [ModelId(number) for number in range(1, 9)]
    async with opened(server.url, *(rules(lane=lane) for lane in lanes), shards=2) as broker:
        await broker.enqueue([task(1, lane=lanes[0])])
        (claim,) = (await broker.claim(ME, lanes, 1)).claims

        await broker.release([Release(claim, None, task(1, lane=lane, attempt=1)) for lane in lanes])

        assert [broker.waiting(lane) for lane in lanes].count(1) == 1
        assert broker.waiting() == 1


async def test_a_drained_lane_leaves_no_keys_but_its_state(server: Redis) -> None:
    async with opened(server.url, rules(tpm=10_000_000), rules(lane=OTHER)) as broker:
        await broker.set_tenant_limit(TenantId(2), 3)
        await broker.enqueue([task(n, tenant=n % 5, band=n % 3, lane=(LANE, OTHER)[n % 2]) for n in range(1, 200)])
        await broker.remove(LANE, [task(2).task_id, task(4).task_id])
        while claims := (await broker.claim(ME, (LANE, OTHER), 50)).claims:
            await broker.release([Release(one, 1, None, True) for one in claims])
        keys = set(server.command("KEYS", "{ls:0}:*").split())
        await broker.drop_lane(LANE)
        await broker.drop_lane(OTHER)

        shard = {"{ls:0}:epoch", "{ls:0}:life", "{ls:0}:turn", "{ls:0}:lanes", "{ls:0}:tenants"}
        assert keys == {*shard, "{ls:0}:1:s", "{ls:0}:1:w2", "{ls:0}:2:s"}
        assert set(server.command("KEYS", "{ls:0}:*").split()) == shard - {"{ls:0}:lanes"}


async def test_a_dropped_lane_leaves_no_keys(server: Redis) -> None:
    async with opened(server.url, rules(tpm=10_000_000)) as broker:
        await broker.enqueue([task(number, tenant=number % 40, band=number % 3) for number in range(1, 300)])
        await broker.claim(ME, (LANE,), 100)

        await broker.drop_lane(LANE)

        assert set(server.command("KEYS", "{ls:0}:*").split()) == {"{ls:0}:epoch", "{ls:0}:life", "{ls:0}:turn"}


async def test_long_calls_come_in_pages(server: Redis) -> None:
    """So that nobody else waits for them."""
    async with opened(server.url) as broker:
        server.command("CONFIG", "RESETSTAT")

        await broker.enqueue([task(number) for number in range(1, 2_001)])
        assert await broker.reconcile([task(number) for number in range(1, 3_001)], [], []) == 1_000

        line = next(x for x in server.command("INFO", "commandstats").splitlines() if x.startswith("cmdstat_evalsha:"))
        assert int(line.split("calls=")[1].split(",")[0]) >= 10
        assert broker.waiting() == 3_000
