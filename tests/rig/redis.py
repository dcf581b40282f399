"""Redis for tests and benchmarks: single, a Sentinel trio, a Cluster of six."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING, Final

from tests.live import free_port, listens, wait_until
from tests.rig.process import Process, program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MASTER: Final = "llms"


class Redis:
    """One server; nothing on disk unless asked, so that a restart comes back empty."""

    def __init__(self, folder: Path, options: Sequence[str] = (), port: int | None = None) -> None:
        self.folder, self.port = folder, port or free_port()
        arguments = [
            program("redis-server"),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""),
            *("--maxmemory-policy", "noeviction", "--protected-mode", "no", *options),
        ]
        self.process = Process(arguments, folder, f"redis-{self.port}")

    @property
    def url(self) -> str:
        """As LLMS_REDIS_URL takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start and wait until it answers."""
        self.process.start()
        wait_until("Redis answers", self.answers, 20, 0.02)

    def answers(self) -> bool:
        """Whether it takes commands now."""
        assert self.process.is_running, self.process.log[-2000:]
        try:
            return self.command("PING").strip() == "PONG"
        except (OSError, AssertionError):
            return False

    def command(self, *words: str) -> str:
        """One command, as redis-cli prints its answer."""
        answer = subprocess.run(
            [program("redis-cli"), "-h", "127.0.0.1", "-p", str(self.port), *words],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()

    def close(self) -> None:
        """Leave nothing running."""
        self.process.thaw()
        self.process.kill()


class SentinelTrio:
    """A master, two replicas and three sentinels that fail over within about two seconds."""

    def __init__(self, folder: Path) -> None:
        self.servers = [Redis(folder / "r0")]
        first = self.servers[0].port
        self.servers += [Redis(folder / f"r{n}", ("--replicaof", f"127.0.0.1 {first}")) for n in (1, 2)]
        self.sentinels = [_Sentinel(folder / f"s{n}", first) for n in range(3)]

    @property
    def url(self) -> str:
        """As LLMS_REDIS_URL takes it."""
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER}"

    def start(self) -> None:
        """Start all; wait until the sentinels know the replicas and one another."""
        for server in self.servers:
            server.start()
        for sentinel in self.sentinels:
            sentinel.start()
        wait_until("the sentinels agree", self._agree, 60, 0.2)

    def _agree(self) -> bool:
        for one in self.sentinels:
            if one.ask("SENTINEL", "CKQUORUM", MASTER).find("OK 3 usable") < 0:
                return False
            if one.ask("SENTINEL", "REPLICAS", MASTER).count("127.0.0.1:") < 2:
                return False
        return True

    def master(self) -> Redis:
        """Who it is now, by the first sentinel that lives."""
        living = next(one for one in self.sentinels if one.process.is_running)
        port = int(living.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER).split()[1])
        return next(one for one in self.servers if one.port == port)

    def wait_replaced(self, within_s: float = 60) -> None:
        """Until the sentinels have made another living server the master; how long that takes is theirs."""
        wait_until("a replica is the master", lambda: self.master().process.is_running, within_s, 0.1)

    def close(self) -> None:
        """Leave nothing running."""
        for one in (*self.sentinels, *self.servers):
            one.process.thaw()
            one.process.kill()


class _Sentinel:
    def __init__(self, folder: Path, master_port: int) -> None:
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\nprotected-mode no\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {master_port} 2\n"
            f"sentinel down-after-milliseconds {MASTER} 1000\n"
            f"sentinel failover-timeout {MASTER} 5000\n"
        )
        self.process = Process([program("redis-sentinel"), str(config)], folder, f"sentinel-{self.port}")

    def start(self) -> None:
        self.process.start()
        wait_until("the sentinel listens", lambda: listens(self.port), 20, 0.05)

    def ask(self, *words: str) -> str:
        answer = subprocess.run(
            [program("redis-cli"), "-p", str(self.port), *words], capture_output=True, text=True, timeout=20
        )
        return answer.stdout


class RedisCluster:
    """Three masters with a replica each; a dead master is replaced within about three seconds."""

    def __init__(self, folder: Path) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--appendonly", "no")
        self.nodes = [
            Redis(folder / f"n{n}", (*options, "--cluster-config-file", "nodes.conf"), _low_port()) for n in range(6)
        ]

    @property
    def url(self) -> str:
        """As LLMS_REDIS_URL takes it."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{one.port}" for one in self.nodes[:3])

    def start(self) -> None:
        """Start all six and join them."""
        for node in self.nodes:
            node.start()
        subprocess.run(
            [
                program("redis-cli"),
                "--cluster",
                "create",
                *(f"127.0.0.1:{one.port}" for one in self.nodes),
                *("--cluster-replicas", "1", "--cluster-yes"),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        wait_until("the cluster is whole", self._is_whole, 60, 0.2)

    def _is_whole(self) -> bool:
        """All agree, and each replica has its master's data: one that never had it is not promoted."""
        return all(
            "cluster_state:ok" in one.command("CLUSTER", "INFO")
            and one.command("CLUSTER", "NODES").count("slave") == 3
            and "master_link_status:down" not in one.command("INFO", "replication")
            for one in self.nodes
        )

    def masters(self) -> list[Redis]:
        """The living masters."""
        living = [one for one in self.nodes if one.process.is_running]
        return [one for one in living if "role:master" in one.command("INFO", "replication")]

    def wait_replaced(self, within_s: float = 60) -> None:
        """Until a replica has taken over from a dead master; an election that found no majority is held again."""
        wait_until("three masters live", lambda: len(self.masters()) == 3 and self._is_agreed(), within_s, 0.1)

    def _is_agreed(self) -> bool:
        living = [one for one in self.nodes if one.process.is_running]
        return all("cluster_state:ok" in one.command("CLUSTER", "INFO") for one in living)

    def close(self) -> None:
        """Leave nothing running."""
        for one in self.nodes:
            one.close()


def _low_port() -> int:
    """A free port whose cluster bus (port + 10000) is a port as well, and free."""
    while True:
        port = free_port()
        if port <= 55_535 and not listens(port + 10_000):
            return port
        if port > 55_535:
            with socket.socket() as probe:
                for candidate in range(20_000 + port % 20_000, 55_000):
                    try:
                        probe.bind(("127.0.0.1", candidate))
                    except OSError:
                        continue
                    return candidate
