"""Pacing beside the openai SDK with a semaphore and the openai-cookbook's parallel processor, in one run.

    python -m bench.pacing_peers [--rounds 2] [--rpm 600] [--tpm 100000] [--counting bucket] [--span-s 20]

A strict provider of its own process for each measurement counts `max_tokens` as given, lets in what its limits allow,
refuses the rest with 429 and `retry-after-ms`, and writes OpenAI's rate-limit headers. All get the same tasks. The
provider counts: 429s for each success, and how long it took from the first call to the last one let in, as a multiple
of the ideal (all that its limits allow, from a full bucket on). Rounds go over all in an order that rotates.

Ours is an embedded server, told the limits rightly, half and double. The cookbook's processor is told them as rightly
and double, the SDK knows none; its semaphore is as wide as our `max_workers`, and it is given ten retries, not two,
lest it give up.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.live import Server, server
from tests.stubs.servers import StubServer, started

from bench import rig
from bench.peers.install import environment, versions

AT_ONCE = 64
RETRIES = 10
LIMIT_S = 600.0
OUTPUT = 64


@dataclass
class Result:
    """What the provider saw of one contestant."""

    refused: list[float] = field(default_factory=list)
    stretch: list[float] = field(default_factory=list)
    missing: int = 0


def bodies(count: int, seed: int) -> list[dict[str, Any]]:
    """Prompts of 20 to 400 words, answers of up to OUTPUT tokens."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        content = f"say {rng.randint(8, OUTPUT)} words " + "word " * rng.randint(17, 397)
        made.append({"model": "m", "messages": [{"role": "user", "content": content}], "max_tokens": OUTPUT})
    return made


def charge(body: dict[str, Any]) -> int:
    """What the provider counts."""
    return len(body["messages"][0]["content"].split()) + 3 + OUTPUT


def ideal_s(chosen: argparse.Namespace, tasks: list[dict[str, Any]]) -> float:
    """From the first call to the last, if the limit is used to the full."""
    depth = chosen.span_s / 60
    by_tokens = sum(map(charge, tasks)) / chosen.tpm - depth
    by_requests = len(tasks) / chosen.rpm - depth
    return max(by_tokens, by_requests) * 60


def ours(chosen: argparse.Namespace, stub: StubServer, tasks: list[dict[str, Any]], factor: float) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="llms-pacing-") as folder,
        server(Path(folder), log_level="warning") as running,
    ):
        subject: Server = running
        limits = {"rpm": round(chosen.rpm * factor), "tpm": round(chosen.tpm * factor)}
        subject.add_model("m", "openai", max_workers=AT_ONCE, config={"base_url": stub.base_url}, **limits)
        subject.bulk([{"model": "m", "input": body, "max_retries": 0} for body in tasks])
        until = time.monotonic() + LIMIT_S
        while subject.counts().get("completed", 0) < len(tasks) and time.monotonic() < until:
            time.sleep(0.25)


def program(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, cwd=rig.ROOT, timeout=LIMIT_S)
    if ended.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{ended.stderr[-2000:]}")


def contestants(chosen: argparse.Namespace) -> dict[str, Callable[[StubServer, list[dict[str, Any]], Path], None]]:
    sdk = str(environment("openai_sdk", chosen.cache / "openai_sdk"))

    def cookbook(factor: float) -> Callable[[StubServer, list[dict[str, Any]], Path], None]:
        limits = [str(chosen.rpm * factor), str(chosen.tpm * factor)]
        module = "bench.peers.cookbook_side"
        return lambda stub, _, path: program([sys.executable, "-m", module, stub.base_url, str(path), *limits])

    return {
        "ours": lambda stub, tasks, _: ours(chosen, stub, tasks, 1.0),
        "ours, told half the limits": lambda stub, tasks, _: ours(chosen, stub, tasks, 0.5),
        "ours, told double": lambda stub, tasks, _: ours(chosen, stub, tasks, 2.0),
        "openai SDK, semaphore": lambda stub, _, path: program(
            [sdk, "-m", "bench.peers.openai_sdk_side", stub.base_url, str(path), str(AT_ONCE), str(RETRIES)]
        ),
        "cookbook's processor": cookbook(1.0),
        "cookbook's, told double": cookbook(2.0),
    }


def stats(stub: StubServer) -> dict[str, Any]:
    with urllib.request.urlopen(f"{stub.origin}/stub/stats", timeout=10) as answer:  # noqa: S310 - our own stub
        return json.load(answer)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rpm", type=int, default=600)
    parser.add_argument("--tpm", type=int, default=100_000)
    parser.add_argument("--counting", default="bucket", choices=("sliding", "bucket", "window"))
    parser.add_argument("--span-s", type=float, default=20.0, help="of the window, or of the bucket's depth")
    parser.add_argument("--seconds", type=float, default=40.0, help="about so long the ideal takes")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "llms-bench-peers")
    chosen = parser.parse_args()
    mean = sum(map(charge, bodies(1000, 0))) / 1000
    count = round((chosen.seconds + chosen.span_s) / 60 * min(chosen.rpm, chosen.tpm / mean))
    players = contestants(chosen)
    results = {name: Result() for name in players}
    names = list(players)
    options = ["--rpm", str(chosen.rpm), "--tpm", str(chosen.tpm), "--counting", chosen.counting]
    options += ["--span-s", str(chosen.span_s), "--headers", "openai", "--charges-most", "--behaviour", "delay:0.4"]
    for turn in range(chosen.rounds):
        tasks = bodies(count, turn + 1)
        with tempfile.TemporaryDirectory(prefix="llms-pacing-") as folder:
            path = Path(folder) / "tasks.jsonl"
            path.write_text("".join(json.dumps(body) + "\n" for body in tasks))
            for name in (*names[turn % len(names) :], *names[: turn % len(names)]):
                with started("tests.stubs.openai_stub", *options) as stub:
                    players[name](stub, tasks, path)
                    seen = stats(stub)
                let_in = seen["calls"] - seen["over_limit"]
                results[name].refused.append(seen["over_limit"] / max(1, let_in))
                results[name].stretch.append((seen["times"][-1] - seen["times"][0]) / ideal_s(chosen, tasks))
                results[name].missing += len(tasks) - let_in
                print(f"round {turn + 1} {name}: {results[name]}", file=sys.stderr, flush=True)
    print(f"{rig.machine()}; {count} tasks, ideal {ideal_s(chosen, bodies(count, 1)):.0f} s; {versions_of(chosen)}")
    print(f"\n| {'client':<28} | 429s per success | makespan / ideal | not done |\n|---|---|---|---|")
    for name, result in results.items():
        refused, stretch = rig.median(result.refused), rig.median(result.stretch)
        # Who gives up is done sooner; that is no makespan.
        told = f"{stretch:.2f}" if not result.missing else "-"
        print(f"| {name:<28} | {refused:>16.3f} | {told:>16} | {result.missing:>8} |")
    return 0


def versions_of(chosen: argparse.Namespace) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions("openai_sdk", chosen.cache).items())


if __name__ == "__main__":
    raise SystemExit(main())
