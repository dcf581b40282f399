"""What is particular to MySQL: its statements, characters, sizes, and refusals at opening."""

import asyncio
from pathlib import Path

import pytest
from tests.contract.store_scene import CountingMeter, StillClock, mysql_store, mysql_url, opened
from tests.rig import mariadb

from llm_scheduler.domain.errors import InvalidInputError, StoreUnavailableError, StoreUnusableError
from llm_scheduler.domain.session import Vitals
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import TaskFilter
from llm_scheduler.stores import schema
from llm_scheduler.stores.mysql import MysqlStore, connection
from llm_scheduler.stores.mysql import readers as reading

IDLE = Vitals(running=0, cpu_percent=0.0, rss_bytes=0)
BUSY = Vitals(running=1, cpu_percent=0.0, rss_bytes=0)


def asked() -> int:
    """Statements of clients so far, without the one that asks."""
    return mariadb.shared().counter("Questions")


async def test_calls_of_an_idle_process_are_one_statement_each(tmp_path: Path) -> None:
    async with opened(mysql_store, tmp_path) as scene:
        store = scene.store
        await scene.submitted()
        for call, statements in (
            (lambda: store.beat(scene.session, IDLE), 1),
            (lambda: store.beat(scene.session, BUSY), 2),
            (lambda: store.bury(10), 1),
            (lambda: store.rescue(3, 100), 1),
            (lambda: store.promote(100), 1),
            (lambda: store.expire(100), 1),
            (store.ping, 1),
            (store.queued_count, 1),
            (store.sessions, 1),
            (store.models, 1),
            (lambda: store.set_current_workers({scene.model.id: 1}), 1),
            (store.next_due_at, 1),
        ):
            await call()  # opens the connection
            cost = 3  # connect, ask and leave of the client that counts
            before = asked()
            await call()
            assert asked() - before - cost <= statements, call


async def test_all_of_unicode_is_kept_and_half_a_character_refused_alone(tmp_path: Path) -> None:
    everything = "a\0b \x1a ' \" \\ % _ ? {ids} 🦊👩‍👩‍👧‍👦 żółć \u2028 \ufeff \U0010ffff"
    async with opened(mysql_store, tmp_path) as scene:
        kept, refused, low = await asyncio.gather(
            scene.submitted(input=everything, metadata={"emoji 🦊": everything[:40]}),
            scene.submitted(input="\ud800"),
            scene.submitted(input="\udcff"),  # the driver would send this one as a lone byte
            return_exceptions=True,
        )

        assert isinstance(kept, list)
        assert [type(refused), type(low)] == [InvalidInputError] * 2
        task = await scene.task(kept[0])
        assert (task.input, task.metadata) == (everything, {"emoji 🦊": everything[:40]})
        assert await scene.listed(TaskFilter(metadata={"emoji 🦊": everything[:40]})) == kept
        assert await scene.store.queued_count() == 1


async def test_a_poisonous_operation_fails_alone_among_all_kinds(tmp_path: Path) -> None:
    async with opened(mysql_store, tmp_path) as scene:
        one, two = [await scene.started(task_id) for task_id in await scene.submitted(2)]

        answers = await asyncio.gather(
            scene.submitted(3),
            scene.submitted(est_tokens=2**70),
            scene.submitted(timeout_s=float("inf")),
            scene.submitted(type="t" * 65),
            scene.complete(one, output="\udcff"),
            scene.complete(two),
            scene.fail(one),
            return_exceptions=True,
        )

        assert [isinstance(answer, InvalidInputError) for answer in answers] == [
            False, True, True, True, True, False, False,
        ]  # fmt: skip
        assert await scene.store.queued_count() == 3
        assert (await scene.status(one.task_id), await scene.status(two.task_id)) == (Status.FAILED, Status.COMPLETED)
        (model,) = await scene.store.models()
        assert (model.total_requests, model.success_requests) == (2, 1)


async def test_what_is_larger_than_the_server_takes_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    async with opened(mysql_store, tmp_path) as scene:
        huge, large, small = await asyncio.gather(
            scene.submitted(input="x" * 17_000_000),
            scene.submitted(4, input="y" * 9_000_000),
            scene.submitted(),
            return_exceptions=True,
        )

        assert isinstance(huge, InvalidInputError)
        assert "max_allowed_packet" in str(huge)
        assert isinstance(large, list)
        assert len((await scene.task(large[0])).input) == 9_000_000
        assert isinstance(small, list)


async def test_a_caller_that_goes_away_breaks_no_batch(tmp_path: Path) -> None:
    async with opened(mysql_store, tmp_path) as scene:
        leaving = [asyncio.ensure_future(scene.submitted()) for _ in range(10)]
        staying = [asyncio.ensure_future(scene.submitted()) for _ in range(10)]
        reading_too = [asyncio.ensure_future(scene.listed(TaskFilter())) for _ in range(20)]
        await asyncio.sleep(0)
        for one in (*leaving, *reading_too[:10]):
            one.cancel()

        answers = await asyncio.gather(*staying, *reading_too[10:])

        assert len({task_id for (task_id,) in answers[:10]}) == 10
        assert await scene.store.queued_count() == 10


async def test_operations_that_wait_together_share_a_commit(tmp_path: Path) -> None:
    meter = CountingMeter()
    async with opened(mysql_store, tmp_path, meter) as scene:
        meter.batches.clear()
        await asyncio.gather(*(scene.submitted() for _ in range(1000)))

        assert sum(meter.batches) == 1000
        assert len(meter.batches) <= 6
        assert max(meter.batches) <= 256


async def test_a_peer_that_hangs_up_is_a_lost_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver says RuntimeError when the socket is gone before it is set up."""

    def hung_up(**_: object) -> asyncio.Future[object]:
        opening = asyncio.get_running_loop().create_future()
        opening.set_exception(RuntimeError("Transport does not expose socket instance"))
        return opening

    async with opened(mysql_store, tmp_path) as scene:
        address = scene.store._server.address  # type: ignore[attr-defined]
        monkeypatch.setattr(connection.asyncmy, "connect", hung_up)
        with pytest.raises(ConnectionError, match="socket"):
            await connection.connect(address)


async def test_the_pool_keeps_to_its_size(tmp_path: Path) -> None:
    for pool in (2, 3, 4, 5):
        store = MysqlStore(mysql_url(tmp_path), StillClock(), CountingMeter(), pool=pool)
        await store.open()
        await asyncio.gather(*(store.queued_count() for _ in range(40)), store.ping(), store.submit([]))
        assert 1 <= store.connections() <= pool
        await store.close()
        assert store.connections() == 0


async def test_a_query_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    async with opened(mysql_store, tmp_path) as scene:
        store = scene.store
        assert isinstance(store, MysqlStore)
        pool = reading.Readers(store._server, 1)

        async def slow(connection: object) -> object:
            await connection.execute("SET SESSION max_statement_time = 0.1")  # type: ignore[attr-defined]
            return await connection.execute("SELECT COUNT(*) FROM (SELECT SLEEP(5)) AS x")  # type: ignore[attr-defined]

        with pytest.raises(StoreUnavailableError, match="too long"):
            await pool.use(slow)
        assert len(pool) == 1  # a query that was stopped costs no connection
        await pool.close()


async def refusal(url: str) -> str:
    store = MysqlStore(url, StillClock(), CountingMeter())
    with pytest.raises(StoreUnusableError) as caught:
        await store.open()
    assert "p@ss" not in str(caught.value)
    assert "p%40ss" not in str(caught.value)
    return str(caught.value)


async def test_what_cannot_be_opened_is_explained() -> None:
    server = mariadb.shared()
    url = server.create("refused")

    assert "CREATE DATABASE `nothing`" in await refusal(server.url("nothing"))
    assert "refuses this user or password" in await refusal(url.replace("ss%2F", "sx%2F"))
    assert "cannot be reached" in await refusal(server.url("refused", port=1))
    server.sql("CREATE TABLE songs (id INT)", "refused")
    assert "another program's database (it holds: songs)" in await refusal(url)


async def test_a_newer_schema_is_used_if_it_allows_and_else_refused() -> None:
    """A pod of the release before is restarted during a rolling upgrade."""
    server = mariadb.shared()
    url = server.create("newer")
    store = MysqlStore(url, StillClock(), CountingMeter())
    await store.open()
    await store.close()
    server.sql("UPDATE alembic_version SET version_num = '9999'; ALTER TABLE tasks ADD COLUMN mood INT", "newer")
    await store.open()
    await store.ping()
    await store.close()

    server.sql("UPDATE schema_floor SET revision = '9999'", "newer")

    assert f"at revision 9999, this program knows {schema.HEAD}" in await refusal(url)
