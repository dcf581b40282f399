"""A peer as a contestant: its own program (`*_side`) as worker and as client."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psutil

from bench import rig
from bench.peers.stage import Provider, Reading, Stage, drain_reading, llm_reading, random_pause_s, tree

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKLOADS: Final = frozenset({"enqueue", "drain", "llm", "idle", "memory"})
WARM_CALLS: Final = 5


@dataclass(frozen=True)
class Traits:
    """What the harness and the table must know about a peer."""

    has_bulk: bool
    longest_pause_s: float
    """Its longest polling interval, or little if it is pushed to."""
    note: str


TRAITS: Final = {
    "arq": Traits(
        False,
        0.05,
        "asynchronous; polls a sorted set (here every 0.01 s, default 0.5 s); at least once: a job whose worker died "
        "runs again when its mark expires; results kept 1 h; `max_jobs` per worker; no call for many jobs.",
    ),
    "saq": Traits(
        False,
        0.05,
        "asynchronous; blocking list moves; a sweep ends jobs of dead workers, or retries them if `retries` is set; "
        "the sweep at a worker's start may take a job that the worker has popped but not yet marked for a lost one "
        "and run it again; results kept 10 min; concurrency per worker; no call for many jobs.",
    ),
    "taskiq": Traits(
        False,
        0.05,
        "asynchronous; Redis stream, acknowledged when the result is saved, so at least once; entries stay in the "
        "stream unless `maxlen` is set; results kept 1 h as set here; concurrency per worker; no call for many jobs.",
    ),
    "dramatiq": Traits(
        False,
        1.0,
        "threads, asynchronous actors on one loop beside them; polls with a growing pause up to 1 s; at least once "
        "by heartbeats; results kept 10 min (off by default, on here); rate and "
        "concurrency limiters are there to be used in a job; synchronous client.",
    ),
    "celery": Traits(
        False,
        0.05,
        "`--pool=threads`; blocking pops; acknowledged before the run by default, so at most once; results kept 1 d; "
        "a start rate per worker (`rate_limit`); synchronous client and tasks (urllib3 instead of aiohttp).",
    ),
    "bullmq": Traits(
        True,
        0.05,
        "Node; Lua scripts; at least once (stalled jobs are taken back); jobs and results are kept until removed; "
        "one rate limit and a global concurrency per queue; `addBulk`; calls by undici instead of aiohttp.",
    ),
}


class Peer:
    """One peer. `command` runs its program."""

    workloads = WORKLOADS

    def __init__(self, name: str, command: list[str], stage: Stage) -> None:
        self.name, self._command, self._stage = name, command, stage
        self._traits = TRAITS[name]
        self._random = random.Random(name)

    def measured(self, workload: str) -> Reading:
        """Run one workload on an empty stage."""
        self._stage.clear()
        return getattr(self, f"_{workload}")()

    def _enqueue(self) -> Reading:
        jobs = 2 * self._stage.plan.tasks
        reading = Reading({"enqueue": jobs / self._fill(jobs, "noop")})
        if self._traits.has_bulk:
            self._stage.clear()
            reading.figures["bulk"] = jobs / self._fill(jobs, "noop", bulk=True)
        return reading

    def _drain(self) -> Reading:
        jobs = 2 * self._stage.plan.tasks
        self._fill(jobs, "noop", bulk=self._traits.has_bulk)
        with self._worker() as worker:
            return drain_reading(self._stage, jobs, lambda: self._groups(worker))

    def _llm(self) -> Reading:
        plan = self._stage.plan
        self._fill(plan.tasks, "llm", bulk=self._traits.has_bulk)
        with self._stage.provider(plan.delay_ms) as provider, self._worker(provider) as worker:
            return llm_reading(provider, plan.tasks, lambda: self._groups(worker))

    def _memory(self) -> Reading:
        jobs = self._stage.plan.memory_jobs
        before = self._stage.redis_bytes()
        self._fill(jobs, "noop", size=1_500, bulk=self._traits.has_bulk)
        return Reading({"redis_bytes": (self._stage.redis_bytes() - before) / jobs})

    def _idle(self) -> Reading:
        calls = self._stage.plan.idle_calls + WARM_CALLS
        reading = Reading()
        # The stub answers at once: this is about the way to it.
        with self._stage.provider(0) as provider, self._worker(provider), self._stepping() as step:
            for number in range(1, calls + 1):
                time.sleep(random_pause_s(self._traits.longest_pause_s, self._random.random))
                began_ns = step()
                ledger = provider.wait("arrived", number)
                if ledger is None:
                    reading.faults.append(f"idle: job {number} did not run")
                    return reading
                if number > WARM_CALLS:
                    reading.latencies_ms.append((ledger["last_arrival_ns"] - began_ns) / 1e6)
        return reading

    def _fill(self, jobs: int, kind: str, size: int = 250, bulk: bool = False) -> float:
        """Enqueue jobs without a worker; seconds of it by the program's own clock."""
        command = ["enqueue", str(jobs), "--kind", kind, "--size", str(size), *(["--bulk"] if bulk else [])]
        ended = subprocess.run(
            [*self._command, *command],
            env=self._environ(None),
            cwd=self._stage.folder,
            stdout=subprocess.PIPE,
            timeout=self._stage.plan.limit_s,
            check=True,
        )
        return json.loads(ended.stdout)["seconds"]

    @contextlib.contextmanager
    def _stepping(self) -> Iterator[Any]:
        """A client that submits one LLM job at each call and gives the instant before it (ns)."""
        with subprocess.Popen(
            [*self._command, "step", "--kind", "llm"],
            env=self._environ(None),
            cwd=self._stage.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            source, sink = process.stdout, process.stdin
            assert source is not None
            assert sink is not None
            if source.readline() != b"ready\n":
                raise SystemExit(f"{self.name}: the client did not start")

            def step() -> int:
                sink.write(b"\n")
                sink.flush()
                return int(source.readline())

            yield step

    @contextlib.contextmanager
    def _worker(self, provider: Provider | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """One worker process with its children, ended with all of them."""
        log = self._stage.folder / f"{self.name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*self._command, "worker"],
                env=self._environ(provider),
                cwd=self._stage.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            yield process
        finally:
            _end(process)

    def _groups(self, worker: subprocess.Popen[bytes]) -> dict[str, list[int]]:
        return {"worker": [worker.pid], "redis": [self._stage.redis.process.pid]}

    def _environ(self, provider: Provider | None) -> dict[str, str]:
        ours = {
            "PEER_REDIS_URL": self._stage.redis.url,
            "PEER_LEDGER": str(self._stage.ledger),
            "PEER_CONCURRENCY": str(self._stage.plan.concurrency),
            "PYTHONPATH": str(rig.ROOT),
        }
        if provider is not None:
            ours["PEER_PROVIDER_URL"] = provider.base_url
        return {key: value for key, value in os.environ.items() if not key.startswith("LLMS_")} | ours


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask, wait a little, then make sure; also of the children that the worker started."""
    children = [psutil.Process(pid) for pid in tree(process.pid)[1:] if psutil.pid_exists(pid)]
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    process.kill()
    process.wait()
