"""What a cluster costs that has nothing to do, and how soon it claims again after Redis came back empty.

One API process and one worker over MariaDB and Redis, a model with a paused backlog of 100 000 for the second part.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench import rig
from bench.peers.ours import Ours
from bench.peers.stage import Plan, Stage
from llm_scheduler.relay.following_access import POLL_S

SETTLE_S = 20.0
IDLE_S = 60.0
QUEUED = 100_000


def statements(stage: Stage) -> int:
    """What MariaDB has been asked so far; this question is one of them."""
    return int(stage.maria.sql("SHOW GLOBAL STATUS LIKE 'Questions'").split()[1])


def idle(stage: Stage, ours: Ours) -> None:
    """CPU and statements of a minute without work."""
    with ours.running(1) as house:
        house.add_scripted()
        time.sleep(SETTLE_S)
        groups = house.groups()
        before = {name: rig.cpu_s(pid) for name, (pid,) in groups.items()}
        asked = statements(stage)
        time.sleep(IDLE_S)
        asked = statements(stage) - asked - 2  # this look, and the client's own greeting
        for name, (pid,) in groups.items():
            share = (rig.cpu_s(pid) - before[name]) / IDLE_S
            if name in ("worker", "api"):
                rig.verdict(f"idle {name}, share of a core", f"{share:.2%}", "<= 1 %", share <= 0.01)
            else:
                print(f"  {name}: {share:.2%} of a core")
        # The API process asks besides whether somebody's access has changed (decision 20).
        looks = IDLE_S / POLL_S
        each = (asked - looks) / (IDLE_S / 60) / 2
        print(f"  looks at access: {looks * 60 / IDLE_S:.0f} a minute of the API process")
        rig.verdict("idle, other SQL statements a minute, each of two", f"{each:.0f}", "<= 20", each <= 20)


def empty_index(stage: Stage, ours: Ours) -> None:
    """Seconds from Redis answering again, empty, until the first call is made."""
    with ours.running(1) as house:
        house.add_scripted(stage.ledger, 64)
        house.pause()
        house.fill(QUEUED)
        house.resume()
        assert stage.await_runs(1)
        stage.redis.kill()
        time.sleep(2)
        seen = len(stage.runs()[0])
        stage.redis.start()
        began = time.monotonic()
        while len(stage.runs()[0]) <= seen and time.monotonic() - began < 60:
            time.sleep(0.02)
        took = time.monotonic() - began
    rig.verdict(f"first claim after an empty Redis, {QUEUED - seen:,} queued", f"{took:.2f} s", "<= 3 s", took <= 3)


def main() -> None:
    """Both."""
    print(rig.machine())
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(QUEUED, 64, 0, 0, 0, 120)
        with Stage(Path(folder), plan).open(with_maria=True) as stage:
            ours = Ours(stage)
            for part in (idle, empty_index):
                stage.clear()
                ours._runs += 1
                part(stage, ours)


if __name__ == "__main__":
    main()
