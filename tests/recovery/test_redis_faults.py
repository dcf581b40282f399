"""A Redis that hangs, dies, is full, wants a password or TLS, or has a master that is replaced."""

from __future__ import annotations

import asyncio
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.contract.broker_scene import LANE, ME, rules, task
from tests.recovery.redis_scene import failed_after_s, ids, joined, opened, rebuilt, until_answered
from tests.rig.redis import Redis, RedisCluster, SentinelTrio

from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.domain.ids import ModelId, TaskId
from llm_scheduler.ports.broker import Release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from llm_scheduler.brokers.redis.broker import RedisBroker

SECOND = 1.2
"""What `within a second` may take on a machine that is busy."""
BACK_WITHIN_S = 10
"""From the moment at which Redis has a new master: an election takes Redis as long as it takes."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Redis]]:
    """Starts servers, and ends them."""
    servers: list[Redis] = []

    def begin(*options: str) -> Redis:
        servers.append(Redis(tmp_path / str(len(servers)), options))
        servers[-1].start()
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


async def test_a_frozen_server_is_given_up_within_a_second(start: Callable[..., Redis]) -> None:
    server = start()
    async with opened(server.url) as broker:
        await broker.enqueue([task(1)])
        await ids(broker, 0)
        server.process.freeze()

        assert await failed_after_s(lambda: ids(broker)) < SECOND
        assert await failed_after_s(broker.depths) < 0.1  # nobody else waits out a timeout
        server.process.thaw()

        # The claim that nobody heard of may have come through: its slot is the reconciler's to take back.
        await until_answered(broker.pulse, 3)
        assert await ids(broker) == [1] or [one.task_id for one in await broker.slots()] == [1]


async def test_a_frozen_server_holds_up_nobody(start: Callable[..., Redis]) -> None:
    """Every call, the first one of a process too, gives up within a second."""
    server = start()
    server.process.freeze()
    async with joined(server.url) as broker:
        calls = (lambda: broker.claim(ME, (LANE,), 1), lambda: broker.enqueue([task(1)]), broker.pulse, broker.slots)
        for call in calls:
            assert await failed_after_s(call) < SECOND


async def test_several_shards_hang_no_longer_than_one(start: Callable[..., Redis]) -> None:
    server = start()
    lanes = [ModelId(number) for number in range(1, 13)]
    async with opened(server.url, *(rules(lane=lane) for lane in lanes), shards=4) as broker:
        await broker.claim(ME, lanes, 1)
        server.process.freeze()

        assert await failed_after_s(lambda: broker.claim(ME, lanes, 1)) < SECOND
        assert await failed_after_s(broker.depths) < SECOND


async def test_calls_that_are_given_up_midway_mix_up_no_answers(start: Callable[..., Redis]) -> None:
    server = start()
    async with opened(server.url) as broker:
        await broker.enqueue([task(number) for number in range(1, 101)])
        for turn in range(60):
            call = asyncio.ensure_future(broker.position(LANE, TaskId(1 + turn)))
            for _ in range(turn % 12):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait((call,))

        answers = await asyncio.gather(*(broker.position(LANE, TaskId(number)) for number in range(1, 101)))

        assert answers == list(range(100))


async def test_a_dead_server_is_noticed_and_found_again(start: Callable[..., Redis]) -> None:
    server = start("--appendonly", "yes", "--appendfsync", "always")
    async with opened(server.url) as broker:
        await broker.enqueue([task(1), task(2)])
        server.kill()

        assert await failed_after_s(lambda: ids(broker)) < SECOND
        server.start()

        await until_answered(broker.depths, 3)
        assert await ids(broker) == [1, 2]


async def test_a_full_server_takes_nothing_new_and_lets_everything_else_go_on(start: Callable[..., Redis]) -> None:
    server = start()
    async with opened(server.url, rules(max_workers=2)) as broker:
        await broker.enqueue([task(number) for number in range(1, 4)])
        server.command("CONFIG", "SET", "maxmemory", "1")

        with pytest.raises(BrokerUnavailableError, match="maxmemory"):
            await broker.enqueue([task(9)])
        claims = (await broker.claim(ME, (LANE,), 2)).claims
        await broker.release([Release(one, None, None, True) for one in claims])
        assert [one.task_id for one in claims] == [1, 2]
        assert await broker.slots() == []
        server.command("CONFIG", "SET", "maxmemory", "0")

        await broker.enqueue([task(9)])
        assert await ids(broker) == [3, 9]


async def test_a_read_only_replica_is_no_index(start: Callable[..., Redis]) -> None:
    master, replica = start(), start()
    async with opened(replica.url) as broker:
        replica.command("REPLICAOF", "127.0.0.1", str(master.port))

        with pytest.raises(BrokerUnavailableError):
            await broker.pulse()


async def test_user_and_password_come_from_the_url(start: Callable[..., Redis]) -> None:
    server = start()
    server.command("ACL", "SETUSER", "llms", "on", "~*", "&*", "+@all", ">p@ss/w:rd")
    server.command("ACL", "SETUSER", "default", "off")
    where = f"127.0.0.1:{server.port}/0"

    async with opened(f"redis://llms:p%40ss%2Fw%3Ard@{where}") as broker:
        await broker.enqueue([task(1)])
        assert await ids(broker) == [1]
    async with joined(f"redis://llms:wrong@{where}") as broker:
        assert await failed_after_s(broker.pulse) < SECOND


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """A self-signed one for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    paths = (folder / "cert.pem", folder / "key.pem")
    made = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    named = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    subprocess.run([*made, *named, "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    return paths


async def test_tls(tmp_path: Path, certificate: Sequence[Path]) -> None:
    cert, key = certificate
    server = Redis(
        tmp_path,
        ("--port", "0", "--tls-cert-file", str(cert), "--tls-key-file", str(key), "--tls-auth-clients", "no"),
    )
    server.process.arguments += ["--tls-port", str(server.port)]
    server.process.start()
    try:
        async with joined(f"rediss://127.0.0.1:{server.port}?ssl_ca_certs={cert}") as broker:
            await until_answered(broker.pulse, 10)
            await broker.set_rules([rules()])
            await rebuilt(broker)
            await broker.enqueue([task(1)])
            assert await ids(broker) == [1]
        async with joined(f"rediss://127.0.0.1:{server.port}") as stranger:
            assert await failed_after_s(stranger.pulse) < SECOND
    finally:
        server.close()


async def fill(broker: RedisBroker, lanes: Sequence[ModelId]) -> None:
    await broker.enqueue([task(10 * lane + number, lane=lane) for lane in lanes for number in range(10)])


async def claimed(broker: RedisBroker, lanes: Sequence[ModelId], want: int) -> int:
    return len((await broker.claim(ME, lanes, want)).claims)


async def back_to_work(broker: RedisBroker, lanes: Sequence[ModelId], within_s: float) -> None:
    """All shards answer; what was lost is rebuilt; a claim gives what waits."""
    began = time.monotonic()
    await until_answered(broker.pulse, within_s)
    tokens: list[str | None] = []

    async def begin() -> None:
        tokens.append(await broker.begin_rebuild(is_forced=True))

    await until_answered(begin, within_s)
    (token,) = tokens
    assert token is not None
    await fill(broker, lanes)
    assert await broker.finish_rebuild(token)
    assert await claimed(broker, lanes, 5) == 5
    assert time.monotonic() - began < within_s


@pytest.mark.timeout(120)
async def test_sentinels_lead_to_the_new_master(tmp_path: Path) -> None:
    trio = SentinelTrio(tmp_path)
    lanes = (LANE,)
    try:
        trio.start()
        async with opened(trio.url) as broker:
            await fill(broker, lanes)
            assert await claimed(broker, lanes, 3) == 3
            trio.master().kill()

            assert await failed_after_s(broker.depths) < SECOND
            await asyncio.to_thread(trio.wait_replaced)
            await back_to_work(broker, lanes, BACK_WITHIN_S)
    finally:
        trio.close()


@pytest.mark.timeout(120)
async def test_a_cluster_replaces_its_master(tmp_path: Path) -> None:
    cluster = RedisCluster(tmp_path)
    lanes = [ModelId(number) for number in range(1, 13)]
    try:
        cluster.start()
        async with opened(cluster.url, *(rules(lane=lane) for lane in lanes), shards=4) as broker:
            await fill(broker, lanes)
            assert await claimed(broker, lanes, 100) == 100
            assert len(await broker.slots()) == 100
            seen = (await broker.claim(ME, lanes, 0)).seen
            async with joined(cluster.url, shards=4) as other:
                await other.enqueue([task(1_000, lane=lanes[0])])
                assert await broker.wait(seen, 5_000) > seen
            cluster.masters()[0].kill()

            await asyncio.to_thread(cluster.wait_replaced)
            await back_to_work(broker, lanes, BACK_WITHIN_S)
    finally:
        cluster.close()
