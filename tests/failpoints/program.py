"""Runs cases: every process of a case is forked from this one, which has all imports done.

    python -m tests.failpoints.program FOLDER [--maria]

Reads a case a line as JSON from its standard input, writes a line with its exit codes when it is over.

On SQLite a case's processes follow one another in one folder: one that its trap ends (exit code `DIED`) is followed
by the next, one that comes to rest ends the case. On MariaDB and Redis the second process runs beside the first
from the begin, keeps house with it, and takes over when it has ended. The times of liveness are a third of the real
ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_scheduler.domain import session
from llm_scheduler.relay import upkeep

session.TTL_S = 3.0
session.FENCE_AFTER_S = 2.2
session.BEAT_EVERY_S = 0.5
session.IDLE_BEAT_EVERY_S = 0.5
session.CLAIM_GRACE_S = 1.0
upkeep.TTL_S = 3.0
upkeep.LEASE_S = 2.0
upkeep._LEAD_EVERY_S = 0.5

# After the times are set: the modules below take them over as they are imported.
from llm_scheduler.app import installation as composition  # noqa: E402
from llm_scheduler.app.installation import Installation  # noqa: E402
from llm_scheduler.app.keys import Keys, open_keys  # noqa: E402
from llm_scheduler.relay.upkeep import Pace  # noqa: E402
from llm_scheduler.settings import Settings, load  # noqa: E402
from llm_scheduler.workers.heartbeat import Heartbeat  # noqa: E402
from tests.failpoints.driver import Driver  # noqa: E402
from tests.failpoints.grounds import MariaGround, SqliteGround  # noqa: E402
from tests.failpoints.journeys import JOURNEYS  # noqa: E402
from tests.failpoints.trap import DIED, Point, Trap  # noqa: E402

_QUICK = Pace(watch_s=0.3, rescue_s=0.5, idle_rescue_s=0.5, audit_s=0.7, idle_audit_s=0.7, look_for_due_s=1.0)
composition.ALONE = composition.AMONG_OTHERS = _QUICK
composition._STRAYS_EVERY_S = 0.3
Heartbeat.confer_forever.__defaults__ = (0.3,)

AT_ONCE = 12
PROCESS_S = 40.0
STEP_S = 0.02


class Trapped(Installation):
    """The installation with a trap between it and its store and broker."""

    def __init__(self, settings: Settings, keys: Keys, trap: Trap) -> None:
        self.trap = trap
        super().__init__(settings, keys)

    def _make_store(self) -> Any:
        return self.trap.wrap("store", super()._make_store())

    def _make_broker(self) -> Any:
        """The trap is between the guard and the index; the one in memory gets a guard, for here it fails."""
        return self._guarded(self._index_in_memory()) if self.client is None else super()._make_broker()

    def _index_in_memory(self) -> Any:
        return self.trap.wrap("broker", super()._make_broker())

    def _make_index(self, client: Any) -> Any:
        return self.trap.wrap("broker", super()._make_index(client))


class Process:
    """One forked process: what it does from its start to its end."""

    def __init__(self, case: dict[str, Any], number: int) -> None:
        self.case, self.number = case, number
        self.folder = Path(case["folder"])
        self.phase: dict[str, Any] = case["phases"][number]
        self.is_pair = bool(case["settings"].get("redis_url"))
        self.is_striker = number == 0

    def opened(self) -> Trapped:
        """The installation, with a trap that is not set unless it is to fail while it opens."""
        point = None if self.phase["point"] is None else Point(**self.phase["point"])
        settings, _ = load({"data_dir": self.folder / "data", **self.case["settings"]}, {})
        trap = Trap(point, self.folder / "log", self.case["settings"])
        trap.is_set = bool(self.phase.get("is_at_open")) and not self.is_pair
        return Trapped(settings, open_keys(settings), trap)

    async def run(self) -> None:
        """Open, play the part, come to rest, close."""
        it = self.opened()
        is_mate = self.is_pair and not self.is_striker
        if is_mate:
            await self._until_told("open 0")
            it.is_worker = False
        await it.open()
        has_point = it.trap.point is not None
        is_draining = self.case["journey"] == "drain" and self.is_striker
        driver = Driver(it, self.folder, is_last=not is_draining)
        driver.note("open", self.number)
        if self.is_pair and self.is_striker:
            await self._until_told("open 1")
            it.trap.remember_index()
        it.trap.is_set = True
        if is_mate:
            await self._until_told("go")
            it.worker.begin()
            driver.read_log()
        await JOURNEYS[self.case["journey"]](driver)
        if not is_draining:
            await driver.quiet()
            it.trap.is_set = False
        await it.drain(0)
        await it.close()
        if has_point:
            driver.note("survived", self.number)

    async def _until_told(self, line: str) -> None:
        log = self.folder / "log"
        # Another process writes it.
        while not log.exists() or line not in log.read_text().splitlines():  # noqa: ASYNC110
            await asyncio.sleep(STEP_S)


def forked(process: Process) -> int:
    """Its pid; the child never returns."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        handle = os.open(process.folder / f"output{process.number}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        asyncio.run(process.run())
        code = 0
    except BaseException:  # noqa: BLE001 - the outermost place, told
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


@dataclass
class Play:
    """A case on its way. `codes` holds the exit codes of its processes, in the order of their ends."""

    case: dict[str, Any]
    is_pair: bool
    alive: dict[int, int] = field(default_factory=dict)
    """Pid to number of the process."""
    until_s: float = 0.0
    codes: list[int] = field(default_factory=list)
    begun: int = 0

    def begin(self) -> None:
        """Start the first process, of a pair both."""
        self._next()
        if self.is_pair:
            self._next()

    def _next(self) -> None:
        self.until_s = time.monotonic() + PROCESS_S
        self.alive[forked(Process(self.case, self.begun))] = self.begun
        self.begun += 1

    def ended(self, pid: int, code: int) -> bool:
        """Whether the case is over."""
        number = self.alive.pop(pid)
        self.codes.append(code)
        self.until_s = time.monotonic() + PROCESS_S
        if self.is_pair and number == 0:
            with (Path(self.case["folder"]) / "log").open("a") as log:
                log.write("go\n")
        is_drained = self.case["journey"] == "drain" and number == 0 and code == 0
        has_more = self.begun < len(self.case["phases"])
        if not self.alive and has_more and (code == DIED or is_drained):
            self._next()
            if self.is_pair:
                with (Path(self.case["folder"]) / "log").open("a") as log:
                    log.write("go\n")
        return not self.alive


def make_schema(chosen: dict[str, Any]) -> None:
    """Open and close an installation, so that no case has to make the schema."""

    async def make() -> None:
        settings, _ = load(chosen, {})
        it = Installation(settings, open_keys(settings))
        await it.open()
        await it.close()

    pid = os.fork()
    if pid == 0:
        os.dup2(2, 1)
        asyncio.run(make())
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def ground(folder: Path, *, on_maria: bool) -> SqliteGround | MariaGround:
    """Where the cases play."""
    if not on_maria:
        make_schema({"data_dir": folder / "template" / "data"})
        return SqliteGround(folder / "template")
    from tests.rig.mariadb import shared
    from tests.rig.shared import shared_redis

    maria, redis = shared(), shared_redis()
    urls = {f"fp{number}": maria.create(f"fp{number}") for number in range(AT_ONCE)}
    made = MariaGround(lambda text, database: maria.sql(text, database), urls, redis.url)
    first, *others = urls
    make_schema({"data_dir": folder / first, **made.settings(first, f"schema-{first}.")})
    made.clean(first)
    schema = maria.dump(first)
    for name in others:
        maria.load(schema, name)
    return made


def main() -> None:
    folder = Path(sys.argv[1])
    where = ground(folder, on_maria="--maria" in sys.argv)
    waiting = [json.loads(line) for line in sys.stdin]
    waiting.reverse()
    by_pid: dict[int, Play] = {}
    plays: list[Play] = []
    while waiting or plays:
        while waiting and len(plays) < AT_ONCE:
            case = waiting.pop()
            case["settings"] = {**case["settings"], **where.prepare(Path(case["folder"]))}
            play = Play(case, where.is_shared)
            play.begin()
            plays.append(play)
        by_pid = {pid: play for play in plays for pid in play.alive}
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in by_pid:
            play = by_pid[pid]
            if play.ended(pid, os.waitstatus_to_exitcode(status)):
                plays.remove(play)
                where.collect(Path(play.case["folder"]))
                print(json.dumps({"name": play.case["name"], "codes": play.codes}), flush=True)
            continue
        time.sleep(STEP_S / 2)
        for play in plays:
            if time.monotonic() > play.until_s:
                for late in play.alive:
                    os.kill(late, signal.SIGKILL)
                play.until_s = time.monotonic() + PROCESS_S


if __name__ == "__main__":
    main()
