"""What a broker should do, written plainly: lists, sorting, nothing kept that can be worked out anew.

Slow and obvious on purpose; brokers are compared with it step by step. It shares no code with them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from tests.property.reference_gates import (
    Change,
    Gate,
    Meter,
    amounts_of,
    closed_holds,
    limits_of,
    ms,
    time_holds,
)

from llm_scheduler.domain.ids import Millis, ModelId
from llm_scheduler.domain.placement import ShareRule
from llm_scheduler.ports.broker import Claim, ClaimAnswer, Hold, LaneDepth, LaneState, Slot, TenantBacklog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.property.reference_gates import Amounts, PerMinute

    from llm_scheduler.domain.ids import SessionId, TaskId, TenantId
    from llm_scheduler.ports.broker import Entry, LaneRules, Pace, PastStart, Release

SECOND_US = 1_000_000


class StillClock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.us = 1_000 * SECOND_US
        self.wall_ms = 1_790_000_000_000

    def advance_ms(self, ms: int) -> None:
        self.us += ms * 1_000
        self.wall_ms += ms

    def now(self) -> Millis:
        return Millis(self.wall_ms)

    def monotonic_s(self) -> float:
        return self.us / SECOND_US


class Charged(NamedTuple):
    """When limits were charged for a call, and in which units: the lane's, its gate's, the paces."""

    at_us: int
    lane: set[int]
    gate: set[int]
    paced: set[int]


class Running(NamedTuple):
    """A slot; `charged` None = it was adopted."""

    slot: Slot
    reserved: Amounts
    charged: Charged | None


class ShareName(NamedTuple):
    lane: int
    band: int
    share: int
    tenant: int


class ReferenceBroker:
    """The same calls as `ports.broker.Broker`, without `async` and without waking."""

    def __init__(self, clock: StillClock) -> None:
        self.clock = clock
        self.rules: dict[int, LaneRules] = {}
        self.tenant_limits: dict[int, int] = {}
        self.lane_limits: dict[tuple[int, int], int] = {}
        self.entries: list[Entry] = []
        self.running: list[Running] = []
        self.claims: dict[int, int] = {}
        self.served: dict[int, int] = {}
        self.meters: dict[int, Meter] = {}
        self.gate_limits: defaultdict[tuple[int, str], PerMinute] = defaultdict(lambda: (None, None, None, None))
        """As last said; they go on counting for a gate that is in no rules for the moment."""
        self.gates: dict[tuple[int, str | None], Gate] = {}
        self.share_times: dict[ShareName, float] = {}
        self.band_times: dict[tuple[int, int], float] = {}
        self.active: set[ShareName] = set()

    # Rules

    def set_rules(self, rules: Sequence[LaneRules]) -> None:
        for one in rules:
            before = self.share_rule(one.lane)
            self.rules[one.lane] = one
            for gate in one.gates:
                self.gate(one.lane, gate.name)
                self.gate_limits[one.lane, gate.name] = limits_of(gate)
            self._forget_gates(one)
            if one.share_rule is not before:
                self.share_times = {name: time for name, time in self.share_times.items() if name.lane != one.lane}
                self.band_times = {name: time for name, time in self.band_times.items() if name[0] != one.lane}

    def _forget_gates(self, rules: LaneRules) -> None:
        """A gate of other rules is forgotten when nothing runs through it and what was spent counts no more."""
        for lane, name in list(self.gates):
            is_in_rules = name is None or name in {one.name for one in rules.gates}
            is_idle = not self._through(lane, name) and self.clock.us - self.gates[lane, name].touched_us > 60_600_000
            if lane == rules.lane and not is_in_rules and is_idle:
                del self.gates[lane, name]
                self.gate_limits.pop((lane, str(name)), None)

    def share_rule(self, lane: int) -> ShareRule:
        return self.rules[lane].share_rule if lane in self.rules else ShareRule.VIRTUAL_TIME

    def set_tenant_limit(self, tenant: TenantId, max_workers: int | None) -> None:
        self.tenant_limits.pop(tenant, None)
        if max_workers is not None:
            self.tenant_limits[tenant] = max_workers
        self._activate()

    def set_lane_limit(self, lane: ModelId, tenant: TenantId, max_workers: int | None) -> None:
        self.lane_limits.pop((lane, tenant), None)
        if max_workers is not None:
            self.lane_limits[lane, tenant] = max_workers
        self._activate()

    def set_limits(self, limits: Mapping[tuple[TenantId, ModelId | None], int]) -> None:
        self.tenant_limits = {tenant: most for (tenant, lane), most in limits.items() if lane is None}
        self.lane_limits = {(lane, tenant): most for (tenant, lane), most in limits.items() if lane is not None}
        self._activate()

    def drop_lane(self, lane: ModelId) -> None:
        self.lane_limits = {key: most for key, most in self.lane_limits.items() if key[0] != lane}
        self.entries = [one for one in self.entries if one.lane != lane]
        self.running = [one for one in self.running if one.slot.lane != lane]
        for key in [key for key in self.gates if key[0] == lane]:
            del self.gates[key]
            self.gate_limits.pop((key[0], str(key[1])), None)
        for kept in (self.rules, self.claims, self.served, self.meters):
            kept.pop(lane, None)
        self._activate()

    # What waits

    def enqueue(self, entries: Sequence[Entry]) -> None:
        for one in entries:
            if self._entry(one.lane, one.task_id) is None and self._running(one.lane, one.task_id) is None:
                self.entries.append(one)
                self._activate()

    def remove(self, lane: ModelId, task_ids: Sequence[TaskId]) -> None:
        for task_id in task_ids:
            self._take_out(lane, task_id)

    def _entry(self, lane: int, task_id: int) -> Entry | None:
        return next((one for one in self.entries if (one.lane, one.task_id) == (lane, task_id)), None)

    def _running(self, lane: int, task_id: int) -> Running | None:
        return next((one for one in self.running if (one.slot.lane, one.slot.task_id) == (lane, task_id)), None)

    def _take_out(self, lane: int, task_id: int) -> bool:
        entry = self._entry(lane, task_id)
        if entry is not None:
            self.entries.remove(entry)
            self._activate()
        return entry is not None

    # Shares

    @staticmethod
    def share_of(entry: Entry) -> ShareName:
        return ShareName(entry.lane, entry.placement.band, entry.placement.share, entry.tenant_id)

    @staticmethod
    def place(entry: Entry) -> tuple[int, int]:
        return (entry.placement.order, entry.task_id)

    def is_full(self, lane: int, tenant: int) -> bool:
        held = sum(1 for one in self.running if (one.slot.lane, one.slot.tenant_id) == (lane, tenant))
        limits = self.tenant_limits.get(tenant), self.lane_limits.get((lane, tenant))
        return any(most is not None and held >= most for most in limits)

    def _activate(self) -> None:
        """Shares that may take turns now and could not before start no earlier than their band's time."""
        bands = {(one.lane, one.placement.band) for one in self.entries}
        self.band_times = {name: time for name, time in self.band_times.items() if name in bands}
        self.share_times = {name: time for name, time in self.share_times.items() if (name.lane, name.band) in bands}
        active = {self.share_of(one) for one in self.entries if not self.is_full(one.lane, one.tenant_id)}
        for name in active - self.active:
            band_time = self.band_times.get((name.lane, name.band), 0.0)
            self.share_times[name] = max(self.share_times.get(name, 0.0), band_time)
        self.active = active

    def heads(self, lane: int) -> list[Entry]:
        """The next task of every band in which one may go, first band first."""
        may_go = [one for one in self.entries if one.lane == lane and self.share_of(one) in self.active]
        heads: list[Entry] = []
        for band in sorted({one.placement.band for one in may_go}):
            in_band = [one for one in may_go if one.placement.band == band]
            first_of_share = {
                name: min((one for one in in_band if self.share_of(one) == name), key=self.place)
                for name in {self.share_of(one) for one in in_band}
            }
            is_fair = self.share_rule(lane) is ShareRule.VIRTUAL_TIME
            heads.append(
                min(
                    first_of_share.values(),
                    key=lambda one: (
                        self.share_times.get(self.share_of(one), 0.0) if is_fair else 0.0,
                        self.place(one),
                    ),
                )
            )
        return heads

    def next_entry(self, lane: int) -> Entry | None:
        heads = self.heads(lane)
        if not heads:
            return None
        starve_after_ms = self.rules[lane].starve_after_ms
        is_reserve_turn = (self.claims.get(lane, 0) + 1) % 10 == 0
        if starve_after_ms is not None and is_reserve_turn:
            starving = [one for one in heads[1:] if self.clock.now() - one.queued_at >= starve_after_ms]
            if starving:
                return min(starving, key=lambda one: (one.queued_at, one.placement.band))
        return heads[0]

    # Limits

    def gate(self, lane: int, name: str | None) -> Gate:
        return self.gates.setdefault((lane, name), Gate())

    def _meter(self, lane: int) -> Meter:
        return self.meters.setdefault(lane, Meter())

    def _through(self, lane: int, name: str | None) -> int:
        return sum(1 for one in self.running if (one.slot.lane, one.slot.endpoint) == (lane, name))

    def _lane_waits(self, lane: int, amounts: Amounts) -> list[tuple[int, int]]:
        """The nameless gate's paces stand in place of the lane's own limits."""
        rules, now = self.rules[lane], self.clock.us
        paces = {} if rules.gates else self.gate(lane, None).valid_paces(now)
        return self._meter(lane).waits_us(now, limits_of(rules), paces, amounts)

    def _room(self, lane: int, amounts: Amounts) -> tuple[str | None, int | None]:
        """The gate for a head, and how long it must wait (0 = now, None = for an event)."""
        rules, now = self.rules[lane], self.clock.us
        lane_wait = max([0, *(wait for _, wait in self._lane_waits(lane, amounts))])
        if not rules.gates:
            return None, max(lane_wait, self.gate(lane, None).pause_us(now))
        waits: list[int] = []
        room: list[tuple[float, int, str]] = []
        for place, one in enumerate(rules.gates):
            running, gate = self._through(lane, one.name), self.gate(lane, one.name)
            is_full = one.max_workers is not None and running >= one.max_workers
            if one.is_drained or is_full or 0 in limits_of(one):
                continue
            own = gate.meter.waits_us(now, limits_of(one), gate.valid_paces(now), amounts)
            wait = max([0, gate.pause_us(now), *(wait for _, wait in own)])
            waits.append(wait)
            if wait == 0:
                room.append(((running + 1) / one.weight, place, one.name))
        if not waits:
            return None, None
        return (min(room)[2] if room else None), max(lane_wait, min(waits))

    def throttle(self, lane: ModelId, for_ms: int, endpoint: str | None = None) -> None:
        gate = self.gate(lane, endpoint)
        gate.throttle.begin(self.clock.us, for_ms * 1_000)
        gate.touched_us = self.clock.us

    def end_pause(self, lane: ModelId, endpoint: str | None = None) -> None:
        throttle = self.gate(lane, endpoint).throttle
        throttle.open_at_us = min(throttle.open_at_us, self.clock.us)

    def set_pace(self, lane: ModelId, endpoint: str | None, paces: Sequence[Pace]) -> None:
        self.gate(lane, endpoint).set_paces(self.clock.us, paces)

    def remember(self, starts: Sequence[PastStart]) -> None:
        for lane in {one.lane for one in starts}:
            self.meters.pop(lane, None)
            for (_, _), gate in [item for item in self.gates.items() if item[0][0] == lane]:
                gate.meter = Meter()
        for one in starts:
            at = self.clock.us - (self.clock.now() - one.started_at) * 1_000
            amounts = amounts_of(one.tokens, one.output_tokens)
            if one.lane in self.rules:
                self._meter(one.lane).charge(at, limits_of(self.rules[one.lane]), {}, amounts)
            if one.endpoint is not None:
                gate = self.gate(one.lane, one.endpoint)
                gate.meter.charge(at, self.gate_limits[one.lane, one.endpoint], {}, amounts)
                gate.touched_us = at

    # Claim and release

    def claim(self, session: SessionId, lanes: Sequence[ModelId], want: int) -> ClaimAnswer:
        claims: list[Claim] = []
        waits: list[int] = []
        asked = [lane for lane in dict.fromkeys(lanes) if lane in self.rules]
        while asked and len(claims) < want:
            lane = min(asked, key=lambda one: (self.served.get(one, 0), lanes.index(one)))
            entry = self._startable(lane)
            name, wait_us = (
                (None, None) if entry is None else self._room(lane, amounts_of(entry.tokens, entry.output_tokens))
            )
            if entry is not None and wait_us == 0:
                claims.append(self._start(entry, session, name))
                continue
            asked.remove(lane)
            if wait_us is not None:
                waits.append(ms(wait_us))
        return ClaimAnswer(tuple(claims), min(waits) if waits and len(claims) < want else None, 0)

    def _startable(self, lane: int) -> Entry | None:
        rules = self.rules[lane]
        held = sum(1 for one in self.running if one.slot.lane == lane)
        if rules.is_paused or 0 in limits_of(rules) or held >= rules.max_workers:
            return None
        return self.next_entry(lane)

    def _start(self, entry: Entry, session: SessionId, endpoint: str | None) -> Claim:
        now, lane, name = self.clock.us, entry.lane, self.share_of(entry)
        amounts, gate = amounts_of(entry.tokens, entry.output_tokens), self.gate(lane, endpoint)
        self.entries.remove(entry)
        slot = Slot(entry.task_id, lane, entry.tenant_id, session, entry.attempt, self.clock.now(), endpoint)
        self.running.append(Running(slot, amounts, self._charge(lane, endpoint, amounts)))
        gate.start(now, entry.task_id)
        gate.add_spent(amounts)
        self.claims[lane] = self.claims.get(lane, 0) + 1
        self.served[lane] = max(self.served.values(), default=0) + 1
        if self.rules[lane].share_rule is ShareRule.VIRTUAL_TIME:
            start, had = self.share_times.get(name, 0.0), entry.placement.cost / entry.placement.weight
            self.band_times[(lane, name.band)] = start
            self.share_times[name] = start + had
            for one in self.active:
                if one._replace(band=name.band) == name and one.band > name.band:
                    self.share_times[one] = self.share_times.get(one, 0.0) + had
        self._activate()
        return Claim(
            entry.task_id,
            lane,
            entry.tenant_id,
            entry.attempt,
            entry.tokens,
            entry.output_tokens,
            endpoint,
            gate.spent,
        )

    def _charge(self, lane: int, endpoint: str | None, amounts: Amounts) -> Charged:
        now, gate = self.clock.us, self.gate(lane, endpoint)
        paces = gate.valid_paces(now)
        own = paces if endpoint is None else {}
        counted = self._meter(lane).charge(now, limits_of(self.rules[lane]), own, amounts)
        through: set[int] = set()
        if endpoint is not None:
            through = gate.meter.charge(now, self.gate_limits[lane, endpoint], paces, amounts)
        return Charged(now, counted, through, gate.pace_start(now, amounts))

    def release(self, releases: Sequence[Release]) -> None:
        for one in releases:
            held = self._running(one.claim.lane, one.claim.task_id)
            if held is None or held.slot.attempt != one.claim.attempt:
                continue
            self._free(held, is_success=one.is_success, is_failure=one.is_failure)
            if one.used_tokens is not None or one.used_output is not None:
                self._settle(held, one.used_tokens, one.used_output)
            if one.back is not None:
                self.enqueue([one.back])

    def _free(self, held: Running, *, is_success: bool = False, is_failure: bool = False) -> None:
        self.running.remove(held)
        gate = self.gate(held.slot.lane, held.slot.endpoint)
        gate.end(self.clock.us, held.slot.task_id, is_success=is_success, is_failure=is_failure)
        self._activate()

    def _settle(self, held: Running, tokens: int | None, output: int | None) -> None:
        lane, endpoint = held.slot.lane, held.slot.endpoint
        output = held.reserved[3] if output is None else output
        if tokens is None:
            used = (1, held.reserved[1], held.reserved[2], output)
        else:
            used = amounts_of(tokens, min(tokens, output))
        change = Change(held.reserved, used)
        gate, charged = self.gate(lane, endpoint), held.charged or Charged(0, set(), set(), set())
        if held.charged is not None:
            gate.add_spent([after - before for before, after in zip(*change, strict=True)])
        now, paces = self.clock.us, gate.valid_paces(self.clock.us)
        if lane in self.rules:
            own = paces if endpoint is None else {}
            start = (charged.at_us, charged.lane)
            self._meter(lane).settle(now, start, limits_of(self.rules[lane]), own, change)
        if endpoint is not None:
            start = (charged.at_us, charged.gate)
            gate.meter.settle(now, start, self.gate_limits[lane, endpoint], paces, change)
        gate.pace_end(now, charged.paced, change)

    # Repair

    def reconcile(
        self, waiting: Sequence[Entry], running: Sequence[Slot], absent: Sequence[tuple[ModelId, TaskId]]
    ) -> int:
        changes = sum([self._forget(lane, task_id) for lane, task_id in absent])
        changes += sum([self._adopt(one) for one in running])
        return changes + sum([self._mend(one) for one in waiting])

    def _forget(self, lane: int, task_id: int) -> bool:
        held = self._running(lane, task_id)
        if held is not None:
            self._free(held)
        return self._take_out(lane, task_id) or held is not None

    def _adopt(self, slot: Slot) -> bool:
        held, entry = self._running(slot.lane, slot.task_id), self._entry(slot.lane, slot.task_id)
        if held is not None:
            is_same = (held.slot.attempt, held.slot.session) == (slot.attempt, slot.session)
            if is_same or held.slot.attempt > slot.attempt:
                return False
            self._free(held)
        if entry is not None and entry.attempt > slot.attempt:
            return False
        self._take_out(slot.lane, slot.task_id)
        self.gate(slot.lane, slot.endpoint)
        self.running.append(Running(slot, (1, 0, 0, 0), None))
        self._activate()
        return True

    def _mend(self, entry: Entry) -> bool:
        known = self._entry(entry.lane, entry.task_id)
        if self._running(entry.lane, entry.task_id) is not None or known == entry:
            return False
        if known is not None and known.attempt > entry.attempt:
            return False
        self._take_out(entry.lane, entry.task_id)
        self.enqueue([entry])
        return True

    # Views

    def slots(self) -> list[Slot]:
        return sorted((one.slot for one in self.running), key=lambda one: one[:3])

    def position(self, lane: ModelId, task_id: TaskId) -> int | None:
        entry = self._entry(lane, task_id)
        if entry is None:
            return None
        before = sum(
            1
            for one in self.entries
            if (one.lane, one.placement.band) == (lane, entry.placement.band) and self.place(one) < self.place(entry)
        )
        return before if before <= 1_000 else None

    def depths(self) -> list[LaneDepth]:
        lanes = {one.lane for one in self.entries} | {one.slot.lane for one in self.running} | set(self.rules)
        return [self._depth(ModelId(lane)) for lane in sorted(lanes)]

    def _depth(self, lane: ModelId) -> LaneDepth:
        here = [one for one in self.entries if one.lane == lane]
        held = sum(1 for one in self.running if one.slot.lane == lane)
        bands = sorted({one.placement.band for one in here})
        by_band = tuple((band, sum(1 for one in here if one.placement.band == band)) for band in bands)
        heads = [
            min((one for one in here if self.share_of(one) == name), key=self.place)
            for name in {self.share_of(one) for one in here}
        ]
        costs = tuple((band, self.cost_of([one for one in here if one.placement.band == band])) for band in bands)
        return LaneDepth(lane, len(here), held, by_band, min((one.queued_at for one in heads), default=None), costs)

    @staticmethod
    def cost_of(entries: Sequence[Entry]) -> float:
        return sum(round(one.placement.cost * 1_000_000) for one in entries) / 1_000_000

    def backlog(self, lane: ModelId) -> list[TenantBacklog]:
        if lane not in self.rules or not self.rules[lane].keeps_backlog:
            return []
        here = [one for one in self.entries if one.lane == lane]
        by_tenant = {
            tenant: [one for one in here if one.tenant_id == tenant] for tenant in {one.tenant_id for one in here}
        }
        return [
            TenantBacklog(tenant, len(by_tenant[tenant]), self.cost_of(by_tenant[tenant]))
            for tenant in sorted(by_tenant)
        ]

    def state(self, lane: ModelId) -> LaneState:
        if lane not in self.rules:
            return LaneState(lane, (), ())
        rules, now, entry = self.rules[lane], self.clock.us, self.next_entry(lane)
        amounts = (1, 0, 0, 0) if entry is None else amounts_of(entry.tokens, entry.output_tokens)
        holds = [Hold("paused")] if rules.is_paused else []
        if sum(1 for one in self.running if one.slot.lane == lane) >= rules.max_workers:
            holds.append(Hold("concurrency"))
        holds += closed_holds(limits_of(rules), None) + time_holds(self._lane_waits(lane, amounts), None)
        gates = [self.gate(lane, None).state(now, None, self._through(lane, None), [])]
        if rules.gates:
            gates = []
        for one in rules.gates:
            gate, running, name = self.gate(lane, one.name), self._through(lane, one.name), one.name
            own = [Hold("drained", None, name)] if one.is_drained else []
            if one.max_workers is not None and running >= one.max_workers:
                own.append(Hold("concurrency", None, name))
            waits = gate.meter.waits_us(now, limits_of(one), gate.valid_paces(now), amounts)
            own += closed_holds(limits_of(one), name) + time_holds(waits, name)
            gates.append(gate.state(now, name, running, own))
        return LaneState(lane, tuple(holds), tuple(gates))
