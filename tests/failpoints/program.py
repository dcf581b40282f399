"""Runs cases: every phase of a case is a process of its own, forked from this one, which has all imports done.

Reads a case a line as JSON from its standard input, writes one line with its outcome when it is over:

    {"folder": "…", "journey": "plain", "phases": [{"point": {…}, "is_at_open": false}, {"point": null}]}

A phase that its trap ends (exit code `DIED`) is followed by the next one, in the same folder; a phase that comes
through to quiescence ends the case. The times of liveness are a third of the real ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_scheduler.domain import session

session.TTL_S = 3.0  # type: ignore[misc]
session.FENCE_AFTER_S = 2.2  # type: ignore[misc]
session.BEAT_EVERY_S = 0.5  # type: ignore[misc]
session.IDLE_BEAT_EVERY_S = 0.5  # type: ignore[misc]
session.CLAIM_GRACE_S = 1.0  # type: ignore[misc]

# After the times are set: the modules below take them over as they are imported.
from llm_scheduler.app import installation as composition  # noqa: E402
from llm_scheduler.app.installation import Installation, Keys, open_keys  # noqa: E402
from llm_scheduler.relay.upkeep import Pace  # noqa: E402
from llm_scheduler.settings import Settings, load  # noqa: E402
from llm_scheduler.workers.heartbeat import Heartbeat  # noqa: E402
from tests.failpoints.driver import Driver  # noqa: E402
from tests.failpoints.journeys import JOURNEYS  # noqa: E402
from tests.failpoints.trap import DIED, Point, Trap  # noqa: E402

composition.ALONE = Pace(watch_s=0.3, rescue_s=0.5, idle_rescue_s=0.5, audit_s=0.7, idle_audit_s=0.7)  # type: ignore[misc]
composition._STRAYS_EVERY_S = 0.3  # type: ignore[misc]
Heartbeat.confer_forever.__defaults__ = (0.3,)

AT_ONCE = 12
PHASE_S = 40.0


class Trapped(Installation):
    """The installation with a trap between it and its store and broker."""

    def __init__(self, settings: Settings, keys: Keys, trap: Trap) -> None:
        self.trap = trap
        super().__init__(settings, keys)

    def _make_store(self) -> Any:
        return self.trap.wrap("store", super()._make_store())

    def _make_broker(self) -> Any:
        return self.trap.wrap("broker", super()._make_broker())


async def run_phase(case: dict[str, Any], phase: dict[str, Any]) -> None:
    """One process's life."""
    folder = Path(case["folder"])
    point = None if phase["point"] is None else Point(**phase["point"])
    trap = Trap(point, folder / "log")
    trap.is_set = bool(phase.get("is_at_open"))
    settings, _ = load({"data_dir": folder / "data", "log_level": "info", **case.get("settings", {})}, {})
    it = Trapped(settings, open_keys(settings), trap)
    await it.open()
    is_draining = case["journey"] == "drain" and point is not None
    driver = Driver(it, folder, is_last=not is_draining)
    trap.is_set = True
    await JOURNEYS[case["journey"]](driver)
    if not is_draining:
        await driver.quiet()
        trap.is_set = False
    await it.drain(0)
    await it.close()


def child(case: dict[str, Any], phase: dict[str, Any]) -> None:
    """In the forked process: never returns."""
    code = 1
    try:
        folder = Path(case["folder"])
        handle = os.open(folder / "output", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        asyncio.run(run_phase(case, phase))
        code = 0
    except BaseException:  # noqa: BLE001 - the outermost place, told
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


@dataclass
class Running:
    """A case on its way."""

    case: dict[str, Any]
    phase: int = 0
    pid: int = 0
    until_s: float = 0.0
    codes: list[int] = field(default_factory=list)


def begin(running: Running) -> None:
    """Fork the case's next phase."""
    running.until_s = time.monotonic() + PHASE_S
    pid = os.fork()
    if pid == 0:
        child(running.case, running.case["phases"][running.phase])
    running.pid = pid


def end(running: Running, code: int) -> bool:
    """Whether the case is over."""
    running.codes.append(code)
    is_drained = running.case["journey"] == "drain" and running.phase == 0 and code == 0
    is_last = running.phase + 1 == len(running.case["phases"])
    if (code == DIED or is_drained) and not is_last:
        running.phase += 1
        begin(running)
        return False
    print(json.dumps({"name": running.case["name"], "codes": running.codes}), flush=True)
    return True


def make_template(folder: Path) -> None:
    """A data folder with an empty database, so that no case has to make the schema."""

    async def make() -> None:
        settings, _ = load({"data_dir": folder / "data"}, {})
        it = Installation(settings, open_keys(settings))
        await it.open()
        await it.close()

    pid = os.fork()
    if pid == 0:
        os.dup2(2, 1)
        asyncio.run(make())
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def main() -> None:
    template = Path(sys.argv[1])
    make_template(template)
    waiting = [json.loads(line) for line in sys.stdin]
    waiting.reverse()
    by_pid: dict[int, Running] = {}
    while waiting or by_pid:
        while waiting and len(by_pid) < AT_ONCE:
            case = waiting.pop()
            shutil.copytree(template, case["folder"])
            running = Running(case)
            begin(running)
            by_pid[running.pid] = running
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            time.sleep(0.01)
            for running in by_pid.values():
                if time.monotonic() > running.until_s:
                    os.kill(running.pid, signal.SIGKILL)
            continue
        running = by_pid.pop(pid)
        if not end(running, os.waitstatus_to_exitcode(status)):
            by_pid[running.pid] = running


if __name__ == "__main__":
    main()
