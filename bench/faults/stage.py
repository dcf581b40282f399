"""Where a cell plays: the processes of a shape, the oracle, and what stands between them."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.cluster import Cluster, Member
from tests.live import wait_until
from tests.rig.proxy import Proxy
from tests.rig.redis import Redis

from bench.faults.provider import Oracle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.rig.mariadb import MariaDb

    from bench.faults.loads import Load

SETTINGS = {"log_level": "warning", "grace_s": "20"}


def mono_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Strike:
    """One blow. Instants in milliseconds, of the monotonic and of the wall clock.

    Attributes:
        takes_calls: calls in flight may be made a second time.
        takes_index: the index lost what it knew.
        takes_all: no process is left to rescue anything before it is healed.
        struck_at: when the blow itself was over; what began later is no victim.
    """

    kind: str
    begin_ms: int
    begin_at: int
    takes_calls: bool
    takes_index: bool
    takes_all: bool = False
    struck_at: int = 0
    end_ms: int = 0
    end_at: int = 0

    def struck(self) -> None:
        """The blow is done; what follows is healing."""
        self.struck_at = wall_ms()


class Stage:
    """Running processes. In the embedded shape the only process is API and worker at once."""

    def __init__(self, shape: str, folder: Path, oracle: Oracle) -> None:
        self.shape, self.folder, self.oracle = shape, folder, oracle
        self.apis: list[Member] = []
        self.workers: list[Member] = []
        self.redis: Redis | None = None
        self.replica: Redis | None = None
        self.redis_proxy: Proxy | None = None
        self.maria: MariaDb | None = None
        self.sql_proxy: Proxy | None = None
        self.database = ""
        self.offsets: list[Path] = []
        """Files that hold how far the wall clocks of the workers are shifted."""
        self.strikes: list[Strike] = []
        self.unattended: list[tuple[int, int]] = []
        """From when to when (wall clock, ms) no process was ready, as far as somebody looked."""
        self.deaths = 0
        """Processes that ended although nobody had struck them."""

    def supervise(self) -> None:
        """Start what ended by itself, as a supervisor would, and count it."""
        for member in self.members:
            if not member.is_running:
                self.deaths += 1
                member.start(is_ready=False)

    def wait_whole(self, within_s: float = 60) -> None:
        """Until every process answers. One that was started while the database was away has ended: again."""

        def is_whole() -> bool:
            for member in self.members:
                if not member.is_running:
                    member.start(is_ready=False)
            return all(member.answers() for member in self.members)

        wait_until("every process answers", is_whole, within_s, every_s=0.2)

    @property
    def members(self) -> list[Member]:
        """Every process once."""
        return list({member.port: member for member in (*self.apis, *self.workers)}.values())

    @property
    def urls(self) -> list[str]:
        """Of the API processes."""
        return [f"http://127.0.0.1:{member.port}" for member in self.apis]

    @contextlib.contextmanager
    def strike(
        self, kind: str, *, takes_calls: bool = False, takes_index: bool = False, takes_all: bool = False
    ) -> Iterator[Strike]:
        """Note what is done, from its begin until it is healed."""
        blow = Strike(kind, mono_ms(), wall_ms(), takes_calls, takes_index, takes_all)
        self.strikes.append(blow)
        try:
            yield blow
        finally:
            blow.end_ms, blow.end_at = mono_ms(), wall_ms()
            blow.struck_at = blow.struck_at or blow.end_at

    def query(self, sql: str) -> list[list[str]]:
        """Rows of the record as text, straight from the database."""
        if self.maria is not None:
            out = self.maria.sql(sql, self.database)
            return [line.split("\t") for line in out.splitlines()]
        path = self.folder / "data" / "llm-scheduler.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as database:
            return [["NULL" if value is None else str(value) for value in row] for row in database.execute(sql)]

    def statuses(self) -> dict[str, int]:
        """Tasks by status."""
        return {row[0]: int(row[1]) for row in self.query("SELECT status, count(*) FROM tasks GROUP BY status")}

    def held(self) -> int:
        """Slots and waiting entries that the index shows, as every API process tells."""
        most = 0
        for member in self.apis:
            for model in member.call("GET", "/api/v1/models")["items"]:
                most = max(most, model["current_workers"] + model["queued"])
        return most

    def add_models(self, load: Load, config: dict[str, Any]) -> None:
        """Register the load's models at the oracle."""
        shared = {"base_url": self.oracle.base_url, "api_key": "sk-oracle-0000000000", "timeout_s": 30, **config}
        retry = {"max_retries": 20, "initial_delay_s": 0.1, "max_delay_s": 1}
        for name, limit in load.limits.items():
            rates = load.per_minute if name == "m" else {}
            self.apis[0].add_model(name, "openai", max_workers=limit, config=shared, retry=retry, **rates)
        for member in self.apis:
            wait_until("the models are known", lambda member=member: self._knows(member, len(load.limits)), 20)

    @staticmethod
    def _knows(member: Member, count: int) -> bool:
        return len(member.call("GET", "/api/v1/models")["items"]) == count

    def stop(self) -> list[int]:
        """SIGTERM for all; the exit codes."""
        for member in self.members:
            member.thaw()
            member.terminate()
        return [member.wait_ended() for member in self.members]


@contextlib.contextmanager
def embedded(folder: Path, needs: frozenset[str]) -> Iterator[Stage]:
    """One process on SQLite."""
    with contextlib.ExitStack() as stack:
        oracle = Oracle(folder)
        stack.callback(oracle.close)
        stage = Stage("embedded", folder, oracle)
        member = Member(folder / "data", entry=_entry(stage, needs, 0), **SETTINGS)
        stack.callback(member.close)
        member.start()
        stage.apis = stage.workers = [member]
        yield stage


@contextlib.contextmanager
def clustered(folder: Path, needs: frozenset[str], maria: MariaDb) -> Iterator[Stage]:
    """An API process twice, a worker twice, on MariaDB and a Redis of this cell."""
    with contextlib.ExitStack() as stack:
        oracle = Oracle(folder)
        stack.callback(oracle.close)
        stage = Stage("cluster", folder, oracle)
        stage.maria, stage.database = maria, f"faults_{folder.name.replace('-', '_')}"[:60]
        database_url = maria.create(stage.database)
        stack.callback(maria.sql, f"DROP DATABASE IF EXISTS {stage.database}")
        stage.redis = _redis(stack, folder / "redis", needs)
        redis_url = stage.redis.url
        if "replica" in needs:
            stage.replica = _redis(stack, folder / "replica", needs)
            stage.replica.command("REPLICAOF", "127.0.0.1", str(stage.redis.port))
            wait_until("the replica follows", lambda: _follows(stage.replica), 20)
        if "redis_proxy" in needs:
            stage.redis_proxy = _proxy(stack, stage.redis.port)
            redis_url = redis_url.replace(f":{stage.redis.port}", f":{stage.redis_proxy.port}")
        if "sql_proxy" in needs:
            stage.sql_proxy = _proxy(stack, maria.port)
            database_url = maria.url(stage.database, stage.sql_proxy.port)
        running = Cluster(folder, database_url, redis_url, apis=2, workers=2, **SETTINGS)
        for place, worker in enumerate(running.workers):
            worker.entry = _entry(stage, needs, place)
        stack.callback(running.close)
        running.start()
        stage.apis, stage.workers = running.apis, running.workers
        yield stage


def _entry(stage: Stage, needs: frozenset[str], place: int) -> tuple[str, ...]:
    if "clock" not in needs:
        return ("llm_scheduler",)
    stage.folder.mkdir(parents=True, exist_ok=True)
    path = stage.folder / f"offset{place}"
    path.write_text("0")
    stage.offsets.append(path)
    return ("bench.faults.shifted", str(path))


def _redis(stack: contextlib.ExitStack, folder: Path, needs: frozenset[str]) -> Redis:
    options = ("--appendonly", "yes", "--appendfsync", "everysec") if "aof" in needs else ()
    server = Redis(folder, options)
    stack.callback(server.close)
    server.start()
    return server


def _follows(replica: Redis | None) -> bool:
    return replica is not None and "master_link_status:up" in replica.command("INFO", "replication")


def _proxy(stack: contextlib.ExitStack, port: int) -> Proxy:
    proxy = Proxy(port)
    stack.callback(proxy.close)
    proxy.start()
    return proxy
