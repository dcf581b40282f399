"""How tasks, slots and claims are written to Redis and read back; `lua/shard.lua` says the layout.

Numbers stand in big-endian bytes, so that Redis sorts them as numbers: ids by themselves, orders after adding 2^63.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId, TenantId
from llm_scheduler.ports.broker import Claim, Slot

if TYPE_CHECKING:
    from llm_scheduler.ports.broker import Entry, LaneRules

_ID: Final = Struct(">Q")
_TASK_AND_ATTEMPT: Final = Struct(">QI")
_ENTRY: Final = Struct(">QQdQII")
_CLAIM: Final = Struct(">QII")
_SLOT: Final = Struct(">QIIQQ")
_SAID_SLOT: Final = Struct(">QQIQ")

_ORDER_ZERO: Final = 1 << 63
_LAST_ORDER: Final = (1 << 64) - 1
_MOST: Final = (1 << 32) - 1


def of_id(number: int) -> bytes:
    """A task or a session."""
    return _ID.pack(number)


def of_entry(entry: Entry) -> bytes:
    """The task and its place. An order beyond 63 bits stands first or last."""
    task_id, _, tenant_id, attempt, tokens, queued_at, (band, share, weight, cost, order) = entry
    place = min(max(order + _ORDER_ZERO, 0), _LAST_ORDER)
    virtual_cost = cost if weight == 1 else cost / weight
    name = b"%d:%d" % (band, tenant_id) if share == tenant_id else b"%d:%d:%d" % (band, tenant_id, share)
    return _ENTRY.pack(task_id, place, virtual_cost, queued_at, attempt, min(tokens, _MOST)) + name


def of_claim(claim: Claim) -> bytes:
    """What a release names."""
    return _TASK_AND_ATTEMPT.pack(claim.task_id, claim.attempt)


def of_slot(slot: Slot) -> bytes:
    """What the record says of a running task."""
    return _SAID_SLOT.pack(slot.task_id, slot.session, slot.attempt, slot.claimed_at) + b"%d" % slot.tenant_id


def of_limit(limit: int | None) -> bytes:
    """A number, or nothing."""
    return b"" if limit is None else b"%d" % limit


def of_rules(rules: LaneRules, *, is_fair: bool) -> list[bytes]:
    """The arguments of one lane for `rules.lua`. A lane that may hand out nothing has no slots."""
    is_closed = rules.is_paused or rules.rpm == 0 or rules.tpm == 0
    return [
        b"%d" % rules.lane,
        b"0" if is_closed else b"%d" % rules.max_workers,
        of_limit(rules.rpm),
        of_limit(rules.tpm),
        b"1" if is_fair else b"0",
        of_limit(rules.starve_after_ms),
        b"%d" % rules.version,
    ]


def to_claim(data: bytes) -> Claim:
    """What `claim.lua` gives for each slot."""
    task_id, attempt, tokens = _CLAIM.unpack_from(data)
    tenant_id, lane = data[_CLAIM.size :].split(b"/")
    return Claim(TaskId(task_id), ModelId(int(lane)), TenantId(int(tenant_id)), attempt, tokens)


def to_slot(lane: ModelId, task: bytes, data: bytes) -> Slot:
    """A slot as it is kept."""
    session, attempt, _, claimed_at, _ = _SLOT.unpack_from(data)
    tenant_id = TenantId(int(data[_SLOT.size :]))
    return Slot(TaskId(_ID.unpack(task)[0]), lane, tenant_id, SessionId(session), attempt, Millis(claimed_at))
