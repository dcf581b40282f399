"""A cluster of real processes: MariaDB, Redis, any number of API processes and workers.

with cluster(tmp_path, apis=2, workers=3) as it:
    it.add_model(kind="scripted")
    it.workers[0].kill()
"""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from tests.live import Server, wait_until
from tests.rig.mariadb import MariaDb
from tests.rig.redis import Redis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SECRET_KEY: Final = "c2VjcmV0LWtleS1mb3ItdGVzdHMtMzItYnl0ZXMhIQ=="


class Member(Server):
    """One process of a cluster (or the only one of an installation): can be frozen, and started by another entry."""

    def __init__(self, folder: Path, entry: Sequence[str] = ("llm_scheduler",), **settings: str) -> None:
        super().__init__(folder, **settings)
        self.entry = tuple(entry)
        """Module to run with `python -m`, and what stands before `serve` in its arguments."""

    def command(self) -> list[str]:
        """How the process is started."""
        return [sys.executable, "-m", *self.entry, "serve", "--port", str(self.port)]

    @property
    def is_running(self) -> bool:
        """Whether it lives."""
        return self.process is not None and self.process.poll() is None

    def freeze(self) -> None:
        """Stop it in its tracks (SIGSTOP)."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        self._send(signal.SIGTERM)

    def wait_ended(self, within_s: float = 60) -> int:
        """Its exit code, once it has ended. (A second SIGTERM would end it at once.)"""
        assert self.process is not None
        return self.process.wait(within_s)

    def answers(self) -> bool:
        """Whether it runs and says that it is ready."""
        return self.is_running and self._answers()

    def wait_ready(self, within_s: float = 60) -> None:
        """Until it answers that it is ready."""
        wait_until(f"{self.folder.name} answers", self._answers, within_s)

    def close(self) -> None:
        """Leave nothing behind, also when it stands still."""
        self.thaw()
        super().close()

    def _send(self, number: signal.Signals) -> None:
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)  # type: ignore[union-attr]


class Cluster:
    """API processes and workers that share one record and one index; each has its own folder, port and log.

    Args:
        folder: of the processes' data and logs.
        database_url: LLMS_DATABASE_URL.
        redis_url: LLMS_REDIS_URL.
        apis, workers: how many of each.
        settings: of all processes, in lower case without the prefix.
    """

    def __init__(
        self, folder: Path, database_url: str, redis_url: str, *, apis: int = 1, workers: int = 2, **settings: str
    ) -> None:
        shared = {"secret_key": SECRET_KEY, "log_level": "warning"}
        shared |= {"database_url": database_url, "redis_url": redis_url, **settings}
        self.apis = [Member(folder / f"api{n}", role="api", **shared) for n in range(apis)]
        self.workers = [Member(folder / f"worker{n}", role="worker", **shared) for n in range(workers)]

    @property
    def members(self) -> list[Member]:
        """Every process."""
        return [*self.apis, *self.workers]

    @property
    def api(self) -> Member:
        """The first API process."""
        return self.apis[0]

    def start(self) -> None:
        """Start all at once (migrations may race), and wait until each is ready."""
        for member in self.members:
            member.start(is_ready=False)
        for member in self.members:
            member.wait_ready()

    def stop(self) -> None:
        """SIGTERM for all, workers first; none may end with an error."""
        for members in (self.workers, self.apis):
            for member in members:
                member.terminate()
            codes = {member.folder.name: member.wait_ended() for member in members}
            assert not any(codes.values()), codes

    def close(self) -> None:
        """Leave nothing running."""
        for member in self.members:
            member.close()

    def __getattr__(self, name: str) -> Any:
        """What is asked of the installation is asked of its first API process: `add_model`, `bulk`, `counts` …"""
        if name in ("add_model", "bulk", "call", "counts", "tasks", "wait_for", "http"):
            return getattr(self.api, name)
        raise AttributeError(name)


@contextlib.contextmanager
def cluster(
    folder: Path, *, apis: int = 1, workers: int = 2, maria: MariaDb | None = None, redis: Any = None, **settings: str
) -> Iterator[Cluster]:
    """A running cluster, gone at the end.

    Args:
        folder: of everything.
        apis, workers: how many of each.
        maria: a running server, whose `llms` database is made anew; None starts one.
        redis: anything of `tests.rig.redis` that is running; None starts a single one.
        settings: of all processes.
    """
    with contextlib.ExitStack() as stack:
        if maria is None:
            maria = MariaDb(folder / "maria")
            stack.callback(maria.close)
            maria.start()
        if redis is None:
            redis = Redis(folder / "redis")
            stack.callback(redis.close)
            redis.start()
        running = Cluster(folder, maria.create(), redis.url, apis=apis, workers=workers, **settings)
        stack.callback(running.close)
        running.start()
        yield running
