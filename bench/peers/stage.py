"""Where all contestants play: one Redis, one MariaDB, a provider, a ledger of no-op jobs, meters."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil
from tests.rig.mariadb import MariaDb
from tests.rig.redis import Redis
from tests.stubs.servers import started

from bench import rig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODULE = "bench.peers.provider"
SETTLE_S = 0.5
"""After the last job: time in which a second run of one would be seen."""


@dataclass
class Reading:
    """What one contestant did in one measurement: figures by name, latencies, and what went wrong."""

    figures: dict[str, float] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    tasks: int
    """LLM jobs; twice as many are enqueued and drained."""
    concurrency: int
    delay_ms: float
    idle_calls: int
    memory_jobs: int
    limit_s: float
    """A measurement that takes longer is a failure."""


class Contestant(Protocol):
    """A queue that takes part. A measurement that it has no part in is not in `workloads`."""

    name: str
    workloads: frozenset[str]

    def measured(self, workload: str) -> Reading:
        """Run one workload on an empty stage."""
        ...


class Stage:
    """The servers of one run, and the plan."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self.redis, self.maria = Redis(folder / "redis"), MariaDb(folder / "maria")
        self.ledger = folder / "ledger"

    @contextlib.contextmanager
    def open(self, with_maria: bool) -> Iterator[Stage]:
        """Start what is needed; stop it at the end."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.redis.close)
            self.redis.start()
            if with_maria:
                stack.callback(self.maria.close)
                self.maria.start()
            yield self

    def clear(self) -> None:
        """Empty Redis and the ledger."""
        self.redis.command("FLUSHALL")
        self.redis.command("SCRIPT", "FLUSH")
        self.redis.command("MEMORY", "PURGE")
        self.ledger.unlink(missing_ok=True)

    def redis_bytes(self) -> int:
        """Memory that Redis uses, once it has come to rest."""
        seen = self._used()
        while True:
            time.sleep(0.2)
            last, seen = seen, self._used()
            if abs(seen - last) < 20_000:
                return seen

    def _used(self) -> int:
        info = dict(line.split(":", 1) for line in self.redis.command("INFO", "memory").splitlines() if ":" in line)
        return int(info["used_memory"])

    @contextlib.contextmanager
    def provider(self, delay_ms: float) -> Iterator[Provider]:
        """A stub with a ledger."""
        with started(MODULE, "--delay-ms", str(delay_ms)) as stub:
            yield Provider(stub.port, self.plan.limit_s)

    def runs(self) -> tuple[list[int], int]:
        """Of the no-op jobs in the ledger: when each first began (ms since 1970), and how many runs there were."""
        first: dict[bytes, int] = {}
        lines = self.ledger.read_bytes().splitlines() if self.ledger.exists() else []
        for number, _, at_ms in map(bytes.split, lines):
            first.setdefault(number, int(at_ms))
        return list(first.values()), len(lines)

    def await_runs(self, count: int) -> int:
        """Wait until the ledger has that many jobs, or the limit has passed; how many it has."""
        until, seen = time.monotonic() + self.plan.limit_s, set[bytes]()
        with contextlib.ExitStack() as stack:
            file = None
            while len(seen) < count and time.monotonic() < until:
                if file is None and self.ledger.exists():
                    file = stack.enter_context(self.ledger.open("rb"))
                if file is not None:
                    seen.update(line.split()[0] for line in file.read().splitlines())
                if len(seen) < count:
                    time.sleep(0.01)
        return len(seen)


class Provider:
    """Talks to the stub."""

    def __init__(self, port: int, limit_s: float) -> None:
        self.port, self._limit_s = port, limit_s
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self._connection = HTTPConnection("127.0.0.1", port)

    def wait(self, kind: str, count: int) -> dict[str, int] | None:
        """The ledger when `count` jobs have "arrived" or were "answered"; None if the limit passes first."""
        self._connection.timeout = self._limit_s
        try:
            self._connection.request("GET", f"/peers/{kind}/{count}")
            return json.loads(self._connection.getresponse().read())
        except TimeoutError:
            self._connection.close()
            return None

    def ledger(self) -> dict[str, int]:
        """What it counted so far."""
        found = self.wait("arrived", 0)
        assert found is not None
        return found


class Meter:
    """CPU seconds of groups of process trees from now on."""

    def __init__(self, groups: dict[str, list[int]]) -> None:
        self._groups = groups
        self._began = self._now()

    def _now(self) -> dict[str, float]:
        return {name: sum(map(tree_cpu_s, pids)) for name, pids in self._groups.items()}

    def per_job_ms(self, jobs: int) -> dict[str, float]:
        """Milliseconds a job, by group, since the meter was made."""
        now = self._now()
        return {name: (now[name] - began) / max(1, jobs) * 1000 for name, began in self._began.items()}


def tree_cpu_s(pid: int) -> float:
    """User and system seconds of a process and of all below it."""
    return sum(rig.cpu_s(one) for one in tree(pid))


def tree(pid: int) -> list[int]:
    """A process and all below it, as far as they live."""
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def drain_reading(stage: Stage, jobs: int, groups: Callable[[], dict[str, list[int]]]) -> Reading:
    """Follow a drain of no-op jobs that has just been let go; `groups` names the processes to meter."""
    before = stage.await_runs(1)
    meter = Meter(groups())
    stage.await_runs(jobs)
    time.sleep(SETTLE_S)
    costs = meter.per_job_ms(jobs - before)
    at_ms, runs = stage.runs()
    reading = Reading(faults=_faults("drain", jobs, runs, len(at_ms)))
    if len(at_ms) == jobs:
        reading.figures["drain"] = jobs / max(0.001, (max(at_ms) - min(at_ms)) / 1000)
        reading.figures |= {f"drain_{name}_ms": value for name, value in costs.items()}
    return reading


def llm_reading(provider: Provider, jobs: int, groups: Callable[[], dict[str, list[int]]]) -> Reading:
    """Follow LLM jobs that have just been let go."""
    first = provider.wait("arrived", 1)
    meter = Meter(groups())
    before = provider.ledger()["arrived"] if first is not None else 0
    provider.wait("answered", jobs)
    time.sleep(SETTLE_S)
    costs = meter.per_job_ms(jobs - before)
    ledger = provider.ledger()
    reading = Reading(faults=_faults("LLM", jobs, ledger["calls"], ledger["answered"]))
    if ledger["answered"] == jobs:
        reading.figures["llm"] = jobs / ((ledger["last_answer_ns"] - ledger["first_ns"]) / 1e9)
        reading.figures |= {f"llm_{name}_ms": value for name, value in costs.items()}
    return reading


def _faults(what: str, jobs: int, runs: int, distinct: int) -> list[str]:
    """Words for jobs that did not run exactly once."""
    found: list[str] = []
    if distinct < jobs:
        found.append(f"{what}: {jobs - distinct} of {jobs} jobs did not run")
    if runs > distinct:
        found.append(f"{what}: {runs - distinct} of {jobs} jobs ran again")
    return found


def random_pause_s(longest_s: float, draw: Callable[[], float]) -> float:
    """How long to idle before the next submit: a poller must not be met at the same point of its turn each time."""
    return 0.005 + draw() * longest_s
