"""F16: kills, wipes, pauses, outages and a moody provider, drawn by a seed and overlapping."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.faults.lookout import Lookout

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.cluster import Member

    from bench.faults.stage import Stage

LASTS_S = 15.0
Heal = "Callable[[], None]"


class _Storm:
    """Strikes, and remembers what must be healed and when."""

    def __init__(self, stage: Stage, rng: Random) -> None:
        self.stage, self.rng = stage, rng
        self.heals: list[tuple[float, Callable[[], None]]] = []
        self.down: set[int] = set()

    def strike(self) -> None:
        """One blow of those that the shape offers."""
        blows = [self.kill, self.freeze, self.moody]
        if self.stage.shape == "cluster":
            blows += [self.wipe, self.restart_redis, self.cut_redis, self.slow_sql, self.cut_sql, self.kill]
        self.rng.choice(blows)()

    def later(self, seconds: float, heal: Callable[[], None]) -> None:
        self.heals.append((time.monotonic() + seconds, heal))

    def heal(self, *, all_of_them: bool = False) -> None:
        """What is due, or everything."""
        due = [one for one in self.heals if all_of_them or one[0] <= time.monotonic()]
        for one in sorted(due, key=lambda one: one[0]):
            self.heals.remove(one)
            one[1]()

    def _victim(self) -> Member | None:
        able = [member for member in self.stage.members if member.port not in self.down]
        return self.rng.choice(able) if able else None

    def kill(self) -> None:
        if (member := self._victim()) is None:
            return
        self.down.add(member.port)
        with self.stage.strike(f"kill {member.folder.name}", takes_calls=True):
            member.kill()
        self.later(self.rng.uniform(0.3, 2), lambda: self._start(member))

    def _start(self, member: Member) -> None:
        member.start(is_ready=False)
        self.down.discard(member.port)

    def freeze(self) -> None:
        if (member := self._victim()) is None:
            return
        self.down.add(member.port)
        with self.stage.strike(f"freeze {member.folder.name}", takes_calls=True):
            member.freeze()
        self.later(self.rng.choice((1.0, 3.0, 12.0)), lambda: self._thaw(member))

    def _thaw(self, member: Member) -> None:
        member.thaw()
        self.down.discard(member.port)

    def moody(self) -> None:
        shares = {"429": 0.02, "500": 0.1, "hang": 0.01, "cut": 0.1, "garbage": 0.05}
        self.stage.oracle.play(**shares, retry_after_s=0.2, seed=self.rng.randint(0, 999))
        self.later(2, self.stage.oracle.play)

    def wipe(self) -> None:
        assert self.stage.redis is not None
        with self.stage.strike("FLUSHALL", takes_index=True):
            self.stage.redis.command("FLUSHALL")

    def restart_redis(self) -> None:
        assert self.stage.redis is not None
        with self.stage.strike("redis restarts empty", takes_index=True):
            self.stage.redis.kill()
            self.stage.redis.start()

    def cut_redis(self) -> None:
        proxy = self.stage.redis_proxy
        assert proxy is not None
        self.rng.choice((proxy.cut, proxy.hold, proxy.drop))()
        self.later(self.rng.uniform(0.5, 3), proxy.heal)

    def slow_sql(self) -> None:
        proxy = self.stage.sql_proxy
        assert proxy is not None
        proxy.delay(self.rng.uniform(0.02, 0.3))
        self.later(self.rng.uniform(0.5, 2), proxy.heal)

    def cut_sql(self) -> None:
        proxy = self.stage.sql_proxy
        assert proxy is not None
        self.rng.choice((proxy.cut, proxy.hold, proxy.drop))()
        self.later(self.rng.uniform(0.3, 3), proxy.heal)


def storm(stage: Stage, rng: Random) -> None:
    """A blow every half second or so, for a while; then all is healed."""
    one = _Storm(stage, rng)
    until_s = time.monotonic() + LASTS_S
    with Lookout([f"http://127.0.0.1:{member.port}" for member in stage.members]) as lookout:
        with stage.strike("storm", takes_index=True):
            try:
                while time.monotonic() < until_s:
                    one.strike()
                    time.sleep(rng.uniform(0.2, 1.2))
                    one.heal()
            finally:
                one.heal(all_of_them=True)
        stage.wait_whole()
    stage.unattended = lookout.unattended
