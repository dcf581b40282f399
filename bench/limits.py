"""Limits used to the brim and never passed: a strict provider with true windows of 60 s, work that always waits.

    python -m bench.limits [--seconds 95] [--workers 1,4] [--engines sqlite,redis] [--rpm 600] [--tpm 60000]
                           [--headers openai --counting bucket]

Each row is a real installation: embedded (SQLite, the index in memory, always one process) or a cluster (MariaDB,
Redis, one API process and so many workers). The provider is a process of its own and counts every call; used is what
it let in per minute between its first and its last call, as a share of the limit that binds. By default it writes no
headers, so that what is measured is the configured limit alone; with headers it is the pacing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster import cluster
from tests.live import Server, server
from tests.stubs.servers import started

from bench import rig

if TYPE_CHECKING:
    from collections.abc import Iterator

GOAL = 0.97
WAITING = 400
"""So many tasks more than the provider can let in are submitted at once."""
OUTPUT = 32


def line(model: str, words: int) -> dict[str, Any]:
    """One task: about so many tokens of prompt, OUTPUT of answer."""
    content = f"say {OUTPUT} words " + "word " * words
    return {
        "model": model,
        "input": {"messages": [{"role": "user", "content": content}], "max_tokens": OUTPUT},
        "max_retries": 0,
    }


@contextlib.contextmanager
def installation(engine: str, workers: int, folder: Path) -> Iterator[Any]:
    """Something that takes models and tasks."""
    if engine == "sqlite":
        with server(folder, log_level="warning") as one:
            yield one
    else:
        with cluster(folder, workers=workers) as many:
            yield many


def stats(origin: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{origin}/stub/stats", timeout=10) as answer:  # noqa: S310 - our own stub
        return json.load(answer)


def row(chosen: argparse.Namespace, engine: str, workers: int, words: int) -> tuple[float, int, int]:
    """Share of the binding limit, calls over the limit, and all calls."""
    options = ["--rpm", str(chosen.rpm), "--tpm", str(chosen.tpm), "--counting", chosen.counting]
    options += ["--headers", chosen.headers] if chosen.headers else []
    with (
        tempfile.TemporaryDirectory(prefix="llms-limits-") as folder,
        started("tests.stubs.openai_stub", *options) as stub,
        installation(engine, workers, Path(folder)) as it,
    ):
        subject: Server = it
        subject.add_model(
            "m",
            "openai",
            max_workers=64,
            rpm=round(chosen.rpm * chosen.configured),
            tpm=round(chosen.tpm * chosen.configured),
            config={"base_url": stub.base_url},
        )
        least = min(chosen.rpm, chosen.tpm / (words + OUTPUT))
        count = WAITING + round(least * (chosen.seconds / 60 + 1))
        subject.bulk([line("m", words)] * count)
        time.sleep(chosen.seconds)
        seen = stats(stub.origin)
    let_in = seen["calls"] - seen["over_limit"]
    if let_in >= count:
        raise SystemExit("the work ran out; this measures nothing")
    minutes = (seen["times"][-1] - seen["times"][0]) / 60
    # The last call ends the last interval: it is not part of the rate.
    each = (let_in - 1) / let_in / minutes
    used = max(let_in * each / chosen.rpm, seen["tokens"] * each / chosen.tpm)
    return used, seen["over_limit"], seen["calls"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=95)
    parser.add_argument("--workers", default="1,4")
    parser.add_argument("--engines", default="sqlite,redis")
    parser.add_argument("--rpm", type=int, default=600)
    parser.add_argument("--tpm", type=int, default=60_000)
    parser.add_argument("--headers", default="", choices=("", "openai", "azure", "anthropic"))
    parser.add_argument("--counting", default="sliding", choices=("sliding", "bucket", "window"))
    parser.add_argument("--configured", type=float, default=1.0, help="our limits as a multiple of the true ones")
    chosen = parser.parse_args()
    missed = 0
    print(rig.machine())
    for engine in chosen.engines.split(","):
        for workers in (1,) if engine == "sqlite" else map(int, chosen.workers.split(",")):
            for binding, words in (("requests", 8), ("tokens", 250)):
                used, over, calls = row(chosen, engine, workers, words)
                is_reached = used >= GOAL and over == 0
                missed += not is_reached
                name = f"{engine}, {workers} worker{'s' * (workers > 1)}, {binding} bind ({calls} calls)"
                rig.verdict(name, f"{used:.1%}, {over} over", f">= {GOAL:.0%}, 0 over", is_reached)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
