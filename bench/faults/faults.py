"""The faults, each as something that is done to a stage and healed again."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.faults import storm

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.cluster import Member

    from bench.faults.stage import Stage

TTL_S = 10.0
BOTH = frozenset({"embedded", "cluster"})
CLUSTER = frozenset({"cluster"})


@dataclass(frozen=True)
class Fault:
    """One kind of blow.

    Attributes:
        play: strikes and heals; returns when all is whole again.
        shapes: where it makes sense.
        needs: what the stage must have: aof, replica, redis_proxy, sql_proxy, clock.
        config: of the models, beyond the usual.
        may_fail: tasks may end as dead letters by design (too many lost workers, too many provider errors).
    """

    name: str
    title: str
    play: Callable[[Stage, Random], None]
    shapes: frozenset[str] = BOTH
    needs: frozenset[str] = frozenset()
    config: dict[str, Any] = field(default_factory=dict)
    may_fail: bool = False


def nothing(stage: Stage, rng: Random) -> None:
    """F0."""


def kill_worker(stage: Stage, rng: Random) -> None:
    """F1: kill -9; a supervisor starts it again."""
    worker = rng.choice(stage.workers)
    with stage.strike("kill worker", takes_calls=True, takes_index=stage.shape == "embedded") as blow:
        worker.kill()
        blow.struck()
        time.sleep(rng.uniform(0.2, 2))
        worker.start()


def kill_api(stage: Stage, rng: Random) -> None:
    """F2."""
    for api in stage.apis:
        with stage.strike("kill api"):
            api.kill()
            time.sleep(rng.uniform(0.2, 1))
            api.start()


def kill_all(stage: Stage, rng: Random) -> None:
    """F3: every process at once, the index too; the database survives."""
    with stage.strike("kill everything", takes_calls=True, takes_index=True, takes_all=True) as blow:
        for member in stage.members:
            member.kill()
        blow.struck()
        if stage.redis is not None:
            stage.redis.kill()
            stage.redis.start()
        for member in stage.members:
            member.start(is_ready=False)
        for member in stage.members:
            member.wait_ready()


def empty_redis(stage: Stage, rng: Random) -> None:
    """F4: FLUSHALL, and a while later a restart that comes back empty."""
    assert stage.redis is not None
    with stage.strike("FLUSHALL", takes_index=True):
        stage.redis.command("FLUSHALL")
    time.sleep(rng.uniform(1.5, 3))
    with stage.strike("redis restarts empty", takes_index=True):
        stage.redis.kill()
        stage.redis.start()


def restart_redis(stage: Stage, rng: Random) -> None:
    """F5: kill -9 and a restart from an append-only file that lacks up to a second."""
    assert stage.redis is not None
    with stage.strike("redis restarts from its AOF", takes_index=True):
        stage.redis.kill()
        time.sleep(rng.uniform(0, 1))
        stage.redis.start()


def stale_failover(stage: Stage, rng: Random) -> None:
    """F6: the replica's link is cut, a while later the primary dies and the stale replica takes over."""
    assert stage.redis is not None
    assert stage.replica is not None
    assert stage.redis_proxy is not None
    stage.replica.command("REPLICAOF", "NO", "ONE")
    time.sleep(rng.uniform(0.5, 2))
    with stage.strike("stale replica promoted", takes_index=True):
        stage.redis.kill()
        stage.redis_proxy.target = stage.replica.port
        stage.redis_proxy.drop()


def redis_away(stage: Stage, rng: Random) -> None:
    """F7: refused, or worse: nothing passes and nothing is closed."""
    assert stage.redis_proxy is not None
    with stage.strike("redis away"):
        rng.choice((stage.redis_proxy.cut, stage.redis_proxy.hold))()
        time.sleep(rng.uniform(8, 12))
        stage.redis_proxy.heal()


def redis_full(stage: Stage, rng: Random) -> None:
    """F8: it refuses everything that needs memory."""
    assert stage.redis is not None
    with stage.strike("redis full"):
        stage.redis.command("CONFIG", "SET", "maxmemory", "1")
        time.sleep(rng.uniform(4, 6))
        stage.redis.command("CONFIG", "SET", "maxmemory", "0")


def kill_sql(stage: Stage, rng: Random) -> None:
    """F9: kill -9 and recovery from its log."""
    assert stage.maria is not None
    with stage.strike("sql killed"):
        stage.maria.kill()
        stage.maria.start()


def slow_sql(stage: Stage, rng: Random) -> None:
    """F10: half a second each way."""
    assert stage.sql_proxy is not None
    with stage.strike("sql slow"):
        stage.sql_proxy.delay(0.25)
        time.sleep(8)
        stage.sql_proxy.heal()


def freeze_worker(stage: Stage, rng: Random) -> None:
    """F11: SIGSTOP for longer than the ttl, then on as if nothing had been."""
    worker = rng.choice(stage.workers)
    with stage.strike("worker frozen", takes_calls=True) as blow:
        worker.freeze()
        blow.struck()
        time.sleep(TTL_S + rng.uniform(2, 5))
        worker.thaw()


def roll_workers(stage: Stage, rng: Random) -> None:
    """F12: SIGTERM, wait, start the next version; one after the other."""
    for worker in stage.workers:
        with stage.strike("worker rolled", takes_index=stage.shape == "embedded"):
            code = worker.stop()
            assert code == 0, f"exit code {code}: {worker.log[-1000:]}"
            worker.start()


def step_clock(stage: Stage, rng: Random) -> None:
    """F13: the wall clock of a worker jumps an hour, and later back."""
    offset = rng.choice(stage.offsets)
    with stage.strike("clock stepped"):
        offset.write_text(str(rng.choice((3_600, -3_600))))
        time.sleep(8)
        offset.write_text("0")


def bad_provider(stage: Stage, rng: Random) -> None:
    """F14: a storm of 429, then a bit of everything."""
    with stage.strike("provider misbehaves"):
        stage.oracle.play(**{"429": 1.0, "retry_after_s": 0.5, "seed": rng.randint(0, 999)})
        time.sleep(2)
        shares = {"500": 0.15, "hang": 0.02, "slow": 0.2, "cut": 0.1, "garbage": 0.05, "429": 0.01}
        stage.oracle.play(**shares, retry_after_s=0.3, seed=rng.randint(0, 999))
        time.sleep(8)
        stage.oracle.play()


def full_disk(stage: Stage, rng: Random) -> None:
    """F15: no file of the process may grow any more; then there is room again."""
    member = stage.workers[0]
    with stage.strike("disk full"):
        largest = max(path.stat().st_size for path in member.folder.glob("llm-scheduler.db*"))
        with room(member, largest + rng.randint(0, 200_000)):
            time.sleep(rng.uniform(3, 6))


@contextlib.contextmanager
def room(member: Member, largest_file: int) -> Any:
    """A limit on the size of its files, while it runs."""
    resource.prlimit(member.pid, resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        everything = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(member.pid, resource.RLIMIT_FSIZE, everything)


def _needs(*names: str) -> frozenset[str]:
    return frozenset(names)


assert os.name == "posix"
HANG = {"timeout_s": 3}
FAULTS = {
    fault.name: fault
    for fault in (
        Fault("F0", "none", nothing),
        Fault("F1", "kill -9 worker", kill_worker),
        Fault("F2", "kill -9 API", kill_api, CLUSTER),
        Fault("F3", "kill -9 everything, Redis too", kill_all),
        Fault("F4", "Redis empty", empty_redis, CLUSTER),
        Fault("F5", "Redis AOF restart", restart_redis, CLUSTER, _needs("aof")),
        Fault("F6", "stale failover", stale_failover, CLUSTER, _needs("replica", "redis_proxy")),
        Fault("F7", "Redis away", redis_away, CLUSTER, _needs("redis_proxy")),
        Fault("F8", "Redis full", redis_full, CLUSTER),
        Fault("F9", "SQL kill -9", kill_sql, CLUSTER),
        Fault("F10", "SQL slow", slow_sql, CLUSTER, _needs("sql_proxy")),
        Fault("F11", "SIGSTOP > ttl", freeze_worker),
        Fault("F12", "SIGTERM roll", roll_workers),
        Fault("F13", "clock ±1 h", step_clock, needs=_needs("clock")),
        Fault("F14", "provider misbehaves", bad_provider, config=HANG, may_fail=True),
        Fault("F15", "disk full", full_disk, frozenset({"embedded"})),
        Fault("F16", "storm", storm.storm, needs=_needs("redis_proxy", "sql_proxy"), config=HANG, may_fail=True),
    )
}
