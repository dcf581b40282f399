"""What it costs to place a task: `Catalogue.entry` for every strategy, with limits known and none, and contained.

python -m bench.placing
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, TaskId, TenantId
from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.plugins import Kind, Plugin
from llm_scheduler.scheduling.strategies.registry import STRATEGIES
from llm_scheduler.services.catalogue import Catalogue
from llm_scheduler.services.extensions import Extensions
from llm_scheduler.services.models import new_model
from llm_scheduler.telemetry.clock import SystemClock
from llm_scheduler.telemetry.prometheus import PrometheusMeter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.model import Model

TASKS: Final = 20_000
MODELS: Final = 3
RUNS: Final = 7


def model(number: int, strategy: str, *, is_limited: bool) -> Model:
    """One of the lanes."""
    made = replace(new_model(tenant_id=DEFAULT_TENANT, name=f"m{number}", type="x", config={}), id=ModelId(number))
    return replace(made, strategy=strategy, **({"rpm": 600, "tpm": 100_000} if is_limited else {}))


def entry_us(catalogue: Catalogue, tasks: Sequence[WaitingTask]) -> float:
    """Microseconds of CPU for one task, in the fastest of the runs."""
    best = float("inf")
    for _ in range(RUNS):
        began_s = time.process_time()
        for task in tasks:
            catalogue.entry(task)
        best = min(best, time.process_time() - began_s)
    return best / len(tasks) * 1e6


def main() -> None:
    """Print a row for each strategy."""
    tasks = [
        WaitingTask(
            TaskId(n), ModelId(1 + n % MODELS), TenantId(1 + n % 200), "chat", (0, 5, 9)[n % 3], 0, 300 + n % 700,
            Millis(1_790_000_000_000 + n), None, n % 300,
        )
        for n in range(TASKS)
    ]  # fmt: skip
    print(f"{'strategy':14}{'no limit':>10}{'rpm, tpm':>10}{'as plugin':>11}   µs a task")
    for name, strategy in STRATEGIES.items():
        plugin = Plugin(Kind.STRATEGY, f"{name}_plugged", "", None, None, strategy)
        plugged = Extensions([plugin], SystemClock(), PrometheusMeter()).strategies
        spent: list[float] = []
        for chosen, is_limited in ((name, False), (name, True), (plugin.name, True)):
            catalogue = Catalogue({}, "fair", plugged)
            for number in range(1, MODELS + 1):
                catalogue.put(model(number, chosen, is_limited=is_limited))
            spent.append(entry_us(catalogue, tasks))
        print(f"{name:14}{spent[0]:10.2f}{spent[1]:10.2f}{spent[2]:11.2f}")


if __name__ == "__main__":
    main()
