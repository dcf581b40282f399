"""`python -m bench.peers`: run the contest and print the table."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.rig.process import program

from bench import rig
from bench.peers import __doc__ as method
from bench.peers import install, table
from bench.peers.ours import Ours
from bench.peers.peer import TRAITS, Peer
from bench.peers.stage import Contestant, Plan, Reading, Stage

WORKLOADS = ("enqueue", "drain", "llm", "idle", "memory")
NAMES = ("ours", *TRAITS)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description=method, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=_names, default=NAMES, help=f"contestants, with commas: {','.join(NAMES)}")
    parser.add_argument("--workloads", type=_names, default=WORKLOADS, help=f"of {','.join(WORKLOADS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=5_000, help="LLM jobs; twice as many are submitted and drained")
    parser.add_argument("--concurrency", type=int, default=256, help="jobs at once in a worker process")
    parser.add_argument("--delay-ms", type=float, default=50, help="how long the stub takes for an LLM call")
    parser.add_argument("--idle-calls", type=int, default=70, help="single submits to an idle worker, each round")
    parser.add_argument("--memory-jobs", type=int, default=5_000, help="jobs of 1.5 kB whose memory is measured")
    parser.add_argument("--limit-s", type=float, default=180, help="a longer measurement is a failure")
    parser.add_argument("--engine", choices=("cluster", "embedded"), default="cluster", help="our side")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "llms-bench-peers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every reading there")
    chosen = parser.parse_args(arguments)
    for given, known in ((chosen.only, NAMES), (chosen.workloads, WORKLOADS)):
        unknown = set(given) - set(known)
        if unknown:
            parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return chosen


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def play(chosen: argparse.Namespace, stage: Stage) -> table.Results:
    """All rounds; what each contestant did."""
    contestants: list[Contestant] = []
    for name in chosen.only:
        if name == "ours":
            contestants.append(Ours(stage, engine=chosen.engine))
            if chosen.engine == "cluster":
                contestants.append(Ours(stage, workers=2))
        else:
            contestants.append(Peer(name, install.install(name, chosen.cache), stage))
    results: table.Results = {one.name: [] for one in contestants}
    for turn in range(chosen.rounds):
        for workload in chosen.workloads:
            first = turn % len(contestants)
            for one in (*contestants[first:], *contestants[:first]):
                if workload in one.workloads:
                    reading = _measured(one, workload)
                    results[one.name].append(reading)
                    _tell(turn, workload, one.name, reading)
    return results


def _measured(one: Contestant, workload: str) -> Reading:
    """A reading; a contestant that fails gets a line in the table, and the others go on."""
    try:
        return one.measured(workload)
    except (SystemExit, OSError, subprocess.SubprocessError) as error:
        return Reading(faults=[f"{workload}: {error}"[:300].replace("\n", " ")])


def _tell(turn: int, workload: str, name: str, reading: Reading) -> None:
    figures = {key: round(value, 3) for key, value in reading.figures.items()}
    if reading.latencies_ms:
        figures["idle_p50"] = round(rig.median(reading.latencies_ms), 2)
    print(f"round {turn + 1} {workload:<8} {name:<16} {figures} {reading.faults or ''}", file=sys.stderr, flush=True)


def versions(chosen: argparse.Namespace) -> dict[str, str]:
    """Of everything that took part."""
    found = {name: _version_of(name, chosen.cache) for name in chosen.only if name != "ours"}
    found["redis-server"] = _said("redis-server").split("v=")[1].split()[0]
    found["mariadbd"] = _said("mariadbd").split("Ver ")[1].split()[0]
    return found


def _version_of(name: str, cache: Path) -> str:
    return ", ".join(f"{package} {version}" for package, version in install.versions(name, cache).items())


def _said(name: str) -> str:
    return subprocess.run([program(name), "--version"], capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Play, print, judge; 1 if a row of ours tells a fault."""
    chosen = options()
    plan = Plan(
        chosen.tasks, chosen.concurrency, chosen.delay_ms, chosen.idle_calls, chosen.memory_jobs, chosen.limit_s
    )
    with tempfile.TemporaryDirectory(prefix="llms-peers-") as folder:
        with_maria = "ours" in chosen.only and chosen.engine == "cluster"
        with Stage(Path(folder), plan).open(with_maria) as stage:
            results = play(chosen, stage)
    found, command = versions(chosen), shlex.join(["python", "-m", "bench.peers", *sys.argv[1:]])
    print(
        f"{rig.machine()}\n{command}\n{chosen.tasks} LLM jobs of {chosen.delay_ms:g} ms, {chosen.concurrency} at once\n"
    )
    print(table.markdown(results) + "\n")
    print("\n".join(f"{name}: {version}" for name, version in found.items()) + "\n")
    table.judge(results)
    if chosen.json is not None:
        data = {"machine": rig.machine(), "command": command, "plan": vars(plan), "versions": found}
        chosen.json.write_text(json.dumps(data | {"results": table.raw(results)}, indent=1))
    has_fault = any(
        reading.faults for name, readings in results.items() if name.startswith("ours") for reading in readings
    )
    return 1 if has_fault else 0


if __name__ == "__main__":
    sys.exit(main())
