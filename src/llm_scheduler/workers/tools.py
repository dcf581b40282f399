"""What every attempt of a worker works with."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.ports.redactor import as_it_is
from llm_scheduler.scheduling.retry_budget import RetryBudget
from llm_scheduler.workers.refusing import Refusing

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from llm_scheduler.domain.ids import Millis, ModelId, SessionId
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.feed import Feed
    from llm_scheduler.ports.meter import Meter
    from llm_scheduler.ports.store import StartedTask, Store
    from llm_scheduler.services.budgets import Budgets
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.concurrency import Concurrency
    from llm_scheduler.services.learning import Learning
    from llm_scheduler.services.models import Models
    from llm_scheduler.services.pacing import Pacer
    from llm_scheduler.services.prices import Prices
    from llm_scheduler.services.running import RunningCalls


@dataclass(frozen=True, slots=True)
class Tools:
    """Handed to attempts; made once by the composition root."""

    store: Store
    broker: Broker
    catalogue: Catalogue
    models: Models
    running: RunningCalls
    clock: Clock
    feed: Feed
    meter: Meter
    learning: Learning
    rng: Random
    concurrency: Concurrency
    note_due: Callable[[Millis], None]
    """Told when a retry will be due, so that the promoter wakes exactly then."""
    is_current: Callable[[SessionId], bool]
    """Whether this process still is that session: false once it was fenced."""
    note_lost: Callable[[], None]
    """Told when claims may have left the index without a START: the reconciler looks at once."""
    pacer: Pacer
    """Learns from every answer how fast its gate may go on."""
    budgets: Budgets
    prices: Prices
    redact: Callable[[str], str] = as_it_is
    """Masks secrets in what providers say, before it is recorded."""
    refusing: Refusing = field(default_factory=Refusing)
    retries: defaultdict[ModelId, RetryBudget] = field(default_factory=lambda: defaultdict(RetryBudget))
    """Of this process: what others retry is theirs to bound."""

    @staticmethod
    def waiting_again(started: StartedTask) -> WaitingTask:
        """A started task as it waits after being put back: same place, one attempt older."""
        return WaitingTask(
            started.task_id,
            started.model_id,
            started.tenant_id,
            started.type,
            started.priority,
            started.attempt,
            started.est_tokens,
            started.queued_at,
            started.deadline_at,
            started.est_output,
        )
