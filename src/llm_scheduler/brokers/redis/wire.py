"""How tasks, slots and claims are written to Redis and read back; `lua/shard.lua` says the layout.

Numbers stand in big-endian bytes, so that Redis sorts them as numbers: ids by themselves, orders after adding 2^63.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

from llm_scheduler.brokers.bucket import terms_of
from llm_scheduler.brokers.gate import per_minute
from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId, TenantId
from llm_scheduler.domain.placement import ShareRule
from llm_scheduler.ports.broker import Claim, GateState, Hold, LaneState, Slot, Spent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.ports.broker import Entry, GateRules, LaneRules, Pace

_ID: Final = Struct(">Q")
_TASK_AND_ATTEMPT: Final = Struct(">QI")
_ENTRY: Final = Struct(">QQdQIII")
_CLAIM: Final = Struct(">QIIIQQQQ")
_SLOT: Final = Struct(">QIIIQQBBB")
_SAID_SLOT: Final = Struct(">QQIQ")

ToldHolds: TypeAlias = "Sequence[tuple[bytes, int]]"
Told: TypeAlias = "tuple[int, ToldHolds, Sequence[tuple[bytes, int, int, int, ToldHolds]]]"
"""A lane's state: has it rules, holds, and for each gate name, running, calls, failures, holds."""

_ORDER_ZERO: Final = 1 << 63
_LAST_ORDER: Final = (1 << 64) - 1
_MOST: Final = (1 << 32) - 1


def of_id(number: int) -> bytes:
    """A task or a session."""
    return _ID.pack(number)


def of_entry(entry: Entry) -> bytes:
    """The task and its place. An order beyond 63 bits stands first or last."""
    task_id, _, tenant_id, attempt, tokens, queued_at, (band, share, weight, cost, order), output = entry
    place = min(max(order + _ORDER_ZERO, 0), _LAST_ORDER)
    name = b"%d:%d" % (band, tenant_id) if share == tenant_id else b"%d:%d:%d" % (band, tenant_id, share)
    if weight != 1:
        name += f";{float(weight)!r}".encode()
    return _ENTRY.pack(task_id, place, cost, queued_at, attempt, min(tokens, _MOST), min(output, _MOST)) + name


def of_claim(claim: Claim) -> bytes:
    """What a release names."""
    return _TASK_AND_ATTEMPT.pack(claim.task_id, claim.attempt)


def of_slot(slot: Slot) -> bytes:
    """What the record says of a running task."""
    said = _SAID_SLOT.pack(slot.task_id, slot.session, slot.attempt, slot.claimed_at) + b"%d" % slot.tenant_id
    return said if slot.endpoint is None else said + b"/" + slot.endpoint.encode()


def of_limit(limit: int | None) -> bytes:
    """A number, or nothing."""
    return b"" if limit is None else b"%d" % limit


def of_gate(endpoint: str | None) -> bytes:
    """A gate's name; the nameless one's is empty."""
    return b"" if endpoint is None else endpoint.encode()


def of_rules(rules: LaneRules) -> list[bytes]:
    """The arguments of one lane for `rules.lua`. A lane or a gate that may hand out nothing has no slots."""
    limits = per_minute(rules)
    is_closed = rules.is_paused or 0 in limits
    words = [
        b"%d" % rules.lane,
        b"0" if is_closed else b"%d" % rules.max_workers,
        b"%d" % rules.max_workers,
        b"%d" % rules.is_paused,
        *map(of_limit, limits),
        b"%d" % (rules.share_rule is ShareRule.VIRTUAL_TIME),
        of_limit(rules.starve_after_ms),
        b"%d" % rules.keeps_backlog,
        b"%d" % rules.version,
        b"%d" % len(rules.gates),
    ]
    return words + [word for gate in rules.gates for word in _of_gate_rules(gate)]


def _of_gate_rules(gate: GateRules) -> list[bytes]:
    limits = per_minute(gate)
    most = b"-1" if gate.max_workers is None else b"%d" % gate.max_workers
    return [
        of_gate(gate.name),
        repr(float(gate.weight)).encode(),
        b"0" if gate.is_drained or 0 in limits else most,
        most,
        b"%d" % gate.is_drained,
        *map(of_limit, limits),
    ]


def of_pace(pace: Pace) -> list[bytes]:
    """The arguments of one pace for `pace.lua`; units are counted from 1 there.

    Raises:
        ValueError: it cannot be kept to.
    """
    unit, each_us, *whole, most, counted = terms_of(pace)
    return [
        b"%d" % (unit + 1),
        repr(each_us).encode(),
        *(b"%d" % one for one in whole),
        b"" if most is None else repr(most).encode(),
        b"%d" % counted,
    ]


def to_claim(data: bytes) -> Claim:
    """What `claim.lua` gives for each slot."""
    task_id, attempt, tokens, output, *spent = _CLAIM.unpack_from(data)
    lane, tenant_id, *gate = data[_CLAIM.size :].split(b"/", 2)
    return Claim(
        TaskId(task_id),
        ModelId(int(lane)),
        TenantId(int(tenant_id)),
        attempt,
        tokens,
        output,
        gate[0].decode() if gate else None,
        Spent(*spent),
    )


def to_slot(lane: ModelId, task: bytes, data: bytes) -> Slot:
    """A slot as it is kept."""
    session, attempt, _, _, claimed_at, *_ = _SLOT.unpack_from(data)
    tenant_id, *gate = data[_SLOT.size :].split(b"/", 1)
    return Slot(
        TaskId(_ID.unpack(task)[0]),
        lane,
        TenantId(int(tenant_id)),
        SessionId(session),
        attempt,
        Millis(claimed_at),
        gate[0].decode() if gate else None,
    )


def to_state(lane: ModelId, told: Told) -> LaneState:
    """What `state.lua` gives."""
    _, holds, gates = told
    return LaneState(
        lane,
        _to_holds(holds, None),
        tuple(
            GateState(endpoint, running, calls, failures, _to_holds(own, endpoint))
            for name, running, calls, failures, own in gates
            for endpoint in (name.decode() or None,)
        ),
    )


def _to_holds(holds: ToldHolds, endpoint: str | None) -> tuple[Hold, ...]:
    return tuple(Hold(reason.decode(), None if wait_ms < 0 else wait_ms, endpoint) for reason, wait_ms in holds)
