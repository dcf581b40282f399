"""Many processes over one record and one index: what a deploy, a dead Redis and a dead database do to the tasks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from bench.faults.provider import Oracle
from tests.cluster import Cluster, cluster
from tests.live import KEY, wait_until
from tests.rig.mariadb import MariaDb
from tests.rig.nginx import Nginx
from tests.rig.redis import Redis, RedisCluster, SentinelTrio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def maria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    server = MariaDb(tmp_path_factory.mktemp("maria"))
    server.start()
    yield server
    server.close()


@pytest.fixture
def oracle(tmp_path: Path) -> Iterator[Oracle]:
    witness = Oracle(tmp_path / "oracle")
    yield witness
    witness.close()


def model_at(it: Cluster, oracle: Oracle, **fields: Any) -> None:
    config = {"base_url": oracle.base_url, "api_key": "sk-test-0000000000", "model": "m"}
    it.add_model("m", "openai", config=config, **fields)


def lines(count: int, takes_ms: int) -> list[dict[str, Any]]:
    return [{"model": "m", "input": f"task {number} takes {takes_ms} ms"} for number in range(count)]


def all_done(it: Cluster, count: int, within_s: float = 90) -> dict[str, int]:
    """The counts, once every task has ended."""

    def look() -> dict[str, int] | None:
        counts = it.counts()
        return counts if sum(counts.get(one, 0) for one in ("completed", "failed", "cancelled")) >= count else None

    return wait_until(f"all {count} ended", look, within_s, 0.1)


def no_slot_is_held(it: Cluster, within_s: float = 40) -> None:
    """A release that a dead master took with it is found by the audit: every 20 s, and again 2 s after a doubt."""
    wait_until(
        "no slot is held", lambda: it.call("GET", "/api/v1/models/m")["current_workers"] == 0, within_s, every_s=0.2
    )


def each_once(it: Cluster, oracle: Oracle, count: int) -> None:
    """Every task has its own answer, and was called once."""
    answers = {task["input"]["messages"][0]["content"].split()[1]: task["output"]["text"] for task in it.tasks()}
    assert len(answers) == count
    assert all(text.startswith(f"task {number} ") for number, text in answers.items())
    assert (oracle.stats()["calls"], oracle.ledger().duplicates()) == (count, 0)


def test_a_rolling_restart_costs_nothing(tmp_path: Path, maria: MariaDb, oracle: Oracle) -> None:
    """Every worker is replaced under load: no call twice, no failure, no retry burnt."""
    with cluster(tmp_path, apis=1, workers=2, maria=maria) as it:
        model_at(it, oracle, max_workers=16)
        it.bulk(lines(600, 250))
        for worker in it.workers:
            wait_until("calls run", lambda: oracle.stats()["open"].get("m", 0) >= 8)
            worker.terminate()
            assert worker.wait_ended() == 0
            worker.start()
        counts = all_done(it, 600)

        assert counts["completed"] == 600
        each_once(it, oracle, 600)
        assert all((task["attempt"], task["failures"]) == (1, 0) for task in it.tasks())
        assert oracle.ledger().over_concurrency({"m": 16}) == (0, 0)
        no_slot_is_held(it)


def kill_sentinel_master(redis: SentinelTrio) -> None:
    redis.master().kill()


def kill_cluster_master(redis: RedisCluster) -> None:
    redis.masters()[0].kill()


@pytest.mark.parametrize(
    ("shape", "kill", "settings"),
    [
        (SentinelTrio, kill_sentinel_master, {}),
        (RedisCluster, kill_cluster_master, {"redis_shards": "4"}),
    ],
    ids=["sentinel", "cluster-of-six"],
)
def test_a_killed_master_loses_no_task(
    tmp_path: Path, maria: MariaDb, oracle: Oracle, shape: Any, kill: Callable[[Any], None], settings: dict[str, str]
) -> None:
    """A replica takes over in the middle of a run, with whatever it has missed."""
    redis = shape(tmp_path / "redis")
    try:
        redis.start()
        with cluster(tmp_path, apis=1, workers=2, maria=maria, redis=redis, **settings) as it:
            model_at(it, oracle, max_workers=16)
            it.bulk(lines(800, 100))
            wait_until("some ran", lambda: oracle.stats()["ended"] >= 100)
            kill(redis)
            counts = all_done(it, 800)

            assert counts["completed"] == 800
            each_once(it, oracle, 800)
            no_slot_is_held(it)
    finally:
        redis.close()


def test_a_killed_database_loses_and_repeats_nothing(tmp_path: Path, oracle: Oracle) -> None:
    """kill -9 in the middle of commits: answers are held, submits are refused, then all goes on."""
    maria = MariaDb(tmp_path / "maria")
    try:
        maria.start()
        with cluster(tmp_path, apis=1, workers=2, maria=maria) as it:
            model_at(it, oracle, max_workers=16)
            it.bulk(lines(500, 100))
            for _ in range(2):
                seen = oracle.stats()["ended"]
                wait_until("some more ran", lambda seen=seen: oracle.stats()["ended"] >= min(480, seen + 60))
                maria.kill()
                refused = it.http.post("/api/v1/tasks", json=lines(1, 10)[0], timeout=20)
                assert refused.status_code == 503
                assert 1 <= int(refused.headers["Retry-After"]) <= 60
                maria.start()
            counts = all_done(it, 500)

            assert counts["completed"] == 500
            each_once(it, oracle, 500)
            no_slot_is_held(it)
    finally:
        maria.close()


def test_without_redis_submits_are_taken_and_nothing_hangs(tmp_path: Path, maria: MariaDb, oracle: Oracle) -> None:
    """The record is enough to say yes; the tasks start when the index is back, though it comes back empty."""
    redis = Redis(tmp_path / "redis")
    try:
        redis.start()
        with cluster(tmp_path, apis=1, workers=1, maria=maria, redis=redis) as it:
            model_at(it, oracle, max_workers=8)
            it.bulk(lines(50, 20))
            all_done(it, 50)
            redis.kill()
            for number in range(50, 60):
                body = {"model": "m", "input": f"task {number} takes 20 ms"}
                answer = it.http.post("/api/v1/tasks", json=body, timeout=2)
                assert answer.status_code == 201, answer.text
            ready = it.http.get("/readyz", timeout=3)
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            assert ready.json()["parts"]["broker"].startswith("degraded")
            redis.start()
            all_done(it, 60)

            each_once(it, oracle, 60)
            wait_until("all is well", lambda: it.http.get("/readyz").json()["status"] == "ok")
    finally:
        redis.close()


class Follower(threading.Thread):
    """Reads one task's events through nginx until the stream ends."""

    def __init__(self, url: str, task_id: int) -> None:
        super().__init__(daemon=True)
        self.url, self.task_id = f"{url}/api/v1/tasks/{task_id}/events", task_id
        self.events: list[str] = []
        self.data: list[str] = []

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx2.Client(timeout=120) as http, http.stream("GET", self.url, headers=headers) as answer:
            for line in answer.iter_lines():
                if line.startswith("event:"):
                    self.events.append(line[6:].strip())
                elif line.startswith("data:"):
                    self.data.append(line[5:].strip())


def many_processes(tmp_path: Path, maria: MariaDb, oracle: Oracle, count: int, streams: int) -> None:
    with cluster(tmp_path, apis=2, workers=3, maria=maria) as it:
        nginx = Nginx(tmp_path / "nginx", [api.port for api in it.apis])
        try:
            nginx.start()
            model_at(it, oracle, max_workers=48)
            it.http.post(f"{nginx.url}/api/v1/models/m/pause").raise_for_status()
            first = first_id = 0
            while first < count:
                part = lines(count, 20)[first : first + 20_000]
                body = b"\n".join(httpx2.Request("POST", "http://x", json=line).content for line in part)
                answer = it.http.post(
                    f"{nginx.url}/api/v1/tasks/bulk",
                    content=body,
                    headers={"Content-Type": "application/x-ndjson"},
                    timeout=120,
                )
                answer.raise_for_status()
                if not first:
                    first_id = answer.json()["first_id"]
                first += len(part)
            followers = [Follower(nginx.url, first_id + number) for number in range(streams)]
            for follower in followers:
                follower.start()
            it.http.post(f"{nginx.url}/api/v1/models/m/resume").raise_for_status()
            counts = all_done(it, count, 60 + count / 200)
            for follower in followers:
                follower.join(60)

            assert counts["completed"] == count
            stats = oracle.stats()
            assert (stats["calls"], stats["tasks"]) == (count, count)
            assert oracle.ledger().over_concurrency({"m": 48}) == (0, 0)
            broken = [one.task_id for one in followers if not one.data or '"completed"' not in one.data[-1]]
            assert not broken
            no_slot_is_held(it)
        finally:
            nginx.close()


def test_two_apis_behind_nginx_and_three_workers(tmp_path: Path, maria: MariaDb, oracle: Oracle) -> None:
    """The model's concurrency holds over all workers, and every stream ends with the end of its task."""
    many_processes(tmp_path, maria, oracle, 3_000, 40)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_tasks_through_nginx(tmp_path: Path, maria: MariaDb, oracle: Oracle) -> None:
    """The same with 100 000."""
    many_processes(tmp_path, maria, oracle, 100_000, 200)
