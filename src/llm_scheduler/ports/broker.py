"""The index of waiting tasks: who may start now, and if nobody, how long to wait.

A lane is a model. The broker can always be rebuilt from SQL; it holds no payloads. Every call is
idempotent: enqueueing a task that is waiting or holds a slot changes nothing, releasing a slot
that is not held (or held by another claim) changes nothing.

An index that is away raises `BrokerUnavailableError` within a second; the caller goes on with the
record, which is the truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from llm_scheduler.domain.placement import ShareRule

# Whoever speaks with a broker finds all its words here.
from llm_scheduler.ports.gate import GateRules as GateRules
from llm_scheduler.ports.gate import GateState as GateState
from llm_scheduler.ports.gate import Hold as Hold
from llm_scheduler.ports.gate import LaneState as LaneState
from llm_scheduler.ports.gate import Pace as Pace
from llm_scheduler.ports.gate import Spent as Spent
from llm_scheduler.ports.gate import Unit as Unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId, TenantId
    from llm_scheduler.domain.placement import Placement


REBUILD_TTL_S: Final = 10.0
"""An elected rebuilder that shows no sign of life for so long is replaced."""


class LaneRules(NamedTuple):
    """The limits of one lane, in force from the next claim on.

    `rpm`, `tpm`, `input_tpm`, `output_tpm`: per minute over all gates, None = none. `starve_after_ms` None = the
    reserve is off. Without `gates` there is one way through, that has no name and no limits of its own.
    `keeps_backlog`: what each tenant has waiting is summed up, for `Broker.backlog`.
    """

    lane: ModelId
    max_workers: int
    rpm: int | None = None
    tpm: int | None = None
    is_paused: bool = False
    share_rule: ShareRule = ShareRule.VIRTUAL_TIME
    starve_after_ms: int | None = 300_000
    version: int = 0
    """Of the model's configuration. Rules older than those in force are ignored, so that a process that
    has not heard of a change yet cannot undo it."""
    input_tpm: int | None = None
    output_tpm: int | None = None
    gates: tuple[GateRules, ...] = ()
    keeps_backlog: bool = False


class Entry(NamedTuple):
    """A waiting task.

    `attempt` is what START will expect; `tokens` the reservation, `output_tokens` the part of it that is to come out.
    """

    task_id: TaskId
    lane: ModelId
    tenant_id: TenantId
    attempt: int
    tokens: int
    queued_at: Millis
    placement: Placement
    output_tokens: int = 0


class Claim(NamedTuple):
    """A slot was given to this task: record START next, then call, then release.

    `endpoint` is the gate that had room, None for a lane without gates.
    """

    task_id: TaskId
    lane: ModelId
    tenant_id: TenantId
    attempt: int
    tokens: int
    output_tokens: int = 0
    endpoint: str | None = None
    spent: Spent = Spent()


class ClaimAnswer(NamedTuple):
    """What may start, and, if less than wanted, when it is worth asking again.

    `wait_ms` is exact for limits that pass with time (RPM, TPM, a shared pause, starvation needs
    no time); None means that only an event (enqueue, release, resume, new rules) can help, or that
    all that was wanted was given.
    """

    claims: tuple[Claim, ...]
    wait_ms: int | None
    seen: int
    """Where `Broker.wait` goes on from."""


class Release(NamedTuple):
    """A claim is over.

    `used_tokens` corrects the reservation (None keeps it as it was), `used_output` the part of it that came out;
    `back` puts the task into the index again in the same step (rate limited, graceful stop). `is_success` and
    `is_failure` count for the circuit of its gate; a call that says nothing about it (429, cancelled) is neither.
    """

    claim: Claim
    used_tokens: int | None = None
    back: Entry | None = None
    is_success: bool = False
    used_output: int | None = None
    is_failure: bool = False


class TenantBacklog(NamedTuple):
    """What a tenant has waiting in a lane: tasks, and the sum of their placements' costs."""

    tenant_id: TenantId
    tasks: int
    cost: float


class Slot(NamedTuple):
    """A claim that is not released: held by `session` since `claimed_at`.

    `attempt` is the claim's, the one that START expected: a running row's attempt minus 1.
    """

    task_id: TaskId
    lane: ModelId
    tenant_id: TenantId
    session: SessionId
    attempt: int
    claimed_at: Millis
    endpoint: str | None = None


class LaneDepth(NamedTuple):
    """How much waits in a lane, by band (priority), and how much runs; of what waits also the placements' costs."""

    lane: ModelId
    waiting: int
    running: int
    by_band: tuple[tuple[int, int], ...]
    oldest_queued_at: Millis | None
    cost_by_band: tuple[tuple[int, float], ...] = ()


class Pulse(NamedTuple):
    """A sign of life of one shard of the index.

    `epoch` None: it is empty (or was declared lost) and gives out nothing until it is rebuilt. `beat`
    grows with each pulse that anyone takes; one that is lower than an earlier one means that the shard
    went back in time (a stale replica was promoted, an old dump restored).
    """

    shard: int
    epoch: str | None
    beat: int


class Witness(NamedTuple):
    """What the processes know together of the record.

    `is_doubted`: some process failed to reach it within the last seconds; who can should try now and
    tell. `reached_ago_s`: since anyone last reached it; None = nobody ever told.
    """

    is_doubted: bool
    reached_ago_s: float | None


class PastStart(NamedTuple):
    """A call that started within the last minute, by the record: it counts against the limits."""

    lane: ModelId
    started_at: Millis
    tokens: int
    output_tokens: int = 0
    """The part of `tokens` that came, or is expected to come, out."""
    endpoint: str | None = None


class Broker(Protocol):
    """One atomic decision: pause, model and tenant concurrency, limits per minute, band, share, order, gate.

    Each gate has a circuit: it opens when half or more of at least ten calls of the last 30 s failed, and closes
    when a probe succeeds.
    """

    async def set_rules(self, rules: Sequence[LaneRules]) -> None:
        """Replace the rules of these lanes. A lane without rules hands out nothing.

        Lowering `max_workers` takes no slot away: it stops handing out until enough are released.
        """
        ...

    async def drop_lane(self, lane: ModelId) -> None:
        """Forget the lane, what waits in it, its slots and its rules."""
        ...

    async def set_tenant_limit(self, tenant_id: TenantId, max_workers: int | None) -> None:
        """At most so many slots of each lane at once for this tenant; None = no limit."""
        ...

    async def set_lane_limit(self, lane: ModelId, tenant_id: TenantId, max_workers: int | None) -> None:
        """At most so many slots of this lane, beside the tenant's limit for each; the lower one counts.

        It goes with the lane.
        """
        ...

    async def set_limits(self, limits: Mapping[tuple[TenantId, ModelId | None], int]) -> None:
        """These are all the limits that tenants have, in each lane (None) or in one; others go, in the same step."""
        ...

    async def enqueue(self, entries: Sequence[Entry]) -> None:
        """Add waiting tasks; one that waits or holds a slot already is left as it is."""
        ...

    async def claim(self, session: SessionId, lanes: Sequence[ModelId], want: int) -> ClaimAnswer:
        """Give slots to the next tasks of these lanes, at most `want` in all.

        The head of a lane goes through the gate that has room for it: of several the one with the least
        (running + 1) / weight, the first in the rules of equals. If none has, the head waits and no other passes it.
        """
        ...

    async def release(self, releases: Sequence[Release]) -> None:
        """Free slots, settle tokens, put tasks back. Only a slot of the same attempt is freed."""
        ...

    async def throttle(self, lane: ModelId, for_ms: int, endpoint: str | None = None) -> None:
        """Nothing goes through this gate for so long; afterwards one probe at a time until one succeeds.

        Called on 429, before the slot is released: `for_ms` is the provider's Retry-After. Never
        shortens a longer pause. A probe that has run for 10 s without a new 429 counts as let in.
        """
        ...

    async def end_pause(self, lane: ModelId, endpoint: str | None = None) -> None:
        """The pause of this gate is over now, as if its time had passed: a probe goes out, and then the others."""
        ...

    async def set_pace(self, lane: ModelId, endpoint: str | None, paces: Sequence[Pace]) -> None:
        """Replace the paces of these units of a gate; those of other units stay.

        A pace that follows one in force goes on with what that one had left; else it begins with a full burst.
        Without gates (`endpoint` None) it stands in place of the lane's own limit of that unit.

        Raises:
            ValueError: `per_s` is not above 0, or a number is not finite.
        """
        ...

    async def state(self, lane: ModelId) -> LaneState:
        """What stands between the lane's head and its start. Changes nothing.

        The waits are those of the present head; if nothing may go, those of a call without tokens. A lane without
        rules has neither holds nor gates.
        """
        ...

    async def backlog(self, lane: ModelId) -> Sequence[TenantBacklog]:
        """What each tenant has waiting, by tenant, if the lane's rules say `keeps_backlog`; else nothing.

        Costs are summed in millionths.
        """
        ...

    async def remove(self, lane: ModelId, task_ids: Sequence[TaskId]) -> None:
        """Take waiting tasks out (cancelled, expired, deleted). Slots are not touched."""
        ...

    async def reconcile(
        self, waiting: Sequence[Entry], running: Sequence[Slot], absent: Sequence[tuple[ModelId, TaskId]]
    ) -> int:
        """Mend towards the record: drop what is absent, adopt slots of what runs, add what waits.

        In this order: a slot whose claimer died before START is named both absent and waiting. What
        is known of a newer attempt stays, and so does the slot of a task that is only said to wait
        (its START may be on the way). Returns how many entries or slots had to be changed.
        """
        ...

    async def slots(self, lane: ModelId | None = None) -> Sequence[Slot]:
        """Every claim that is not released, of one lane or of all."""
        ...

    async def position(self, lane: ModelId, task_id: TaskId) -> int | None:
        """How many tasks of the same band come before it by order (0 = next).

        None if it does not wait or is beyond the first 1 000.
        """
        ...

    async def depths(self) -> Sequence[LaneDepth]:
        """Every lane that has rules or content."""
        ...

    def waiting(self, lane: ModelId | None = None) -> int:
        """Tasks that wait, in one lane or in all; as of the last call for a remote index."""
        ...

    async def wait(self, seen: int, timeout_ms: int) -> int:
        """Return when something has happened since `seen` that may let a claim succeed, or after the timeout.

        `seen` is what the last `ClaimAnswer` or `wait` gave; the answer is what has been seen now. Returns
        at once if something happened in between, so nothing is missed and nothing is heard twice.
        """
        ...

    async def pulse(self) -> Sequence[Pulse]:
        """How every shard is. The memory of a process is one shard that is never lost.

        Raises:
            BrokerUnavailableError: a shard does not answer.
        """
        ...

    async def begin_rebuild(self, *, is_forced: bool = False) -> str | None:
        """Ask to be the one who rebuilds the lost shards; None = nothing is lost, or someone else does it.

        From now on claims of those shards give nothing. `is_forced` declares every shard lost first.
        The election lapses after REBUILD_TTL_S without a `reconcile` or `remember` of this process.
        """
        ...

    async def remember(self, starts: Sequence[PastStart]) -> None:
        """Count these against the limits of lanes and gates, oldest first, in place of whatever those knew."""
        ...

    async def finish_rebuild(self, token: str) -> bool:
        """Open for claims again. False = this rebuild was overtaken: the index was lost anew, begin again."""
        ...

    async def lead(self, who: SessionId, ttl_s: float) -> bool:
        """Whether this session is the one that does the sweeps which need only one, for so long.

        A lease that its holder renews. Always True in one process. It only saves work: every sweep
        is safe from two at once.

        Raises:
            BrokerUnavailableError: nobody knows; everyone may go on.
        """
        ...

    async def unknown(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those of them that neither wait nor hold a slot. Changes nothing."""
        ...

    async def witness(self, *, has_reached: bool | None) -> Witness:
        """Tell whether this process just reached the record (None: it has not tried), and learn what others say.

        Raises:
            BrokerUnavailableError: nobody can be asked.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
