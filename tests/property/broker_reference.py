"""What a broker should do, written plainly: lists, sorting, nothing kept that can be worked out anew.

Slow and obvious on purpose; brokers are compared with it step by step. It shares no code with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from llm_scheduler.domain.ids import Millis, ModelId
from llm_scheduler.domain.placement import ShareRule
from llm_scheduler.ports.broker import Claim, ClaimAnswer, LaneDepth, Slot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import SessionId, TaskId, TenantId
    from llm_scheduler.ports.broker import Entry, LaneRules, Release

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


class Running(NamedTuple):
    """A slot; `charged_us` is when the limits were charged for it, None = never."""

    slot: Slot
    tokens: int
    charged_us: int | None


class ShareName(NamedTuple):
    lane: int
    band: int
    share: int
    tenant: int


@dataclass
class Meter:
    """One lane's limits as a history: (when, microseconds of pace or tokens)."""

    requests: list[tuple[int, int]] = field(default_factory=list)
    tokens: list[tuple[int, int]] = field(default_factory=list)
    """Charges; a negative `when` marks a correction, which is added without looking at the time."""
    window: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Pause:
    """After a 429."""

    open_at_us: int = 0
    is_half_open: bool = False
    probe: int | None = None
    trusted_at_us: int = 0


def idle_at_us(charges: list[tuple[int, int]]) -> int:
    idle = 0
    for when, cost in charges:
        idle = idle + cost if when < 0 else max(idle, when) + cost
    return idle


def pace_us(units: int, per_minute: int) -> int:
    """98 % of the limit, rounded up to whole microseconds."""
    exact, rest = divmod(units * 60 * SECOND_US * 100, 98 * per_minute)
    return exact + (1 if rest else 0)


def slice_of(us: int) -> int:
    return us // (SECOND_US // 10)


class ReferenceBroker:
    """The same calls as `ports.broker.Broker`, without `async` and without waking."""

    def __init__(self, clock: StillClock) -> None:
        self.clock = clock
        self.rules: dict[int, LaneRules] = {}
        self.tenant_limits: dict[int, int] = {}
        self.entries: list[Entry] = []
        self.running: list[Running] = []
        self.claims: dict[int, int] = {}
        self.served: dict[int, int] = {}
        self.meters: dict[int, Meter] = {}
        self.pauses: dict[int, Pause] = {}
        self.share_times: dict[ShareName, float] = {}
        self.band_times: dict[tuple[int, int], float] = {}
        self.active: set[ShareName] = set()

    # Rules

    def set_rules(self, rules: Sequence[LaneRules]) -> None:
        for one in rules:
            before = self.share_rule(one.lane)
            self.rules[one.lane] = one
            if one.share_rule is not before:
                self.share_times = {name: time for name, time in self.share_times.items() if name.lane != one.lane}
                self.band_times = {name: time for name, time in self.band_times.items() if name[0] != one.lane}

    def share_rule(self, lane: int) -> ShareRule:
        return self.rules[lane].share_rule if lane in self.rules else ShareRule.VIRTUAL_TIME

    def set_tenant_limit(self, tenant: TenantId, max_workers: int | None) -> None:
        self.tenant_limits.pop(tenant, None)
        if max_workers is not None:
            self.tenant_limits[tenant] = max_workers
        self._activate()

    def drop_lane(self, lane: ModelId) -> None:
        self.entries = [one for one in self.entries if one.lane != lane]
        self.running = [one for one in self.running if one.slot.lane != lane]
        for kept in (self.rules, self.claims, self.served, self.meters, self.pauses):
            kept.pop(lane, None)  # type: ignore[attr-defined]
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
        return tenant in self.tenant_limits and held >= self.tenant_limits[tenant]

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

    def _wait_us(self, lane: int, entry: Entry) -> int:
        rules, meter, pause = self.rules[lane], self._meter(lane), self._pause(lane)
        now = self.clock.us
        waits = [0, pause.open_at_us - now]
        if pause.probe is not None:
            waits.append(pause.trusted_at_us - now)
        if rules.rpm is not None:
            waits.append(idle_at_us(meter.requests) - 600_000 - now)
        if rules.tpm is not None:
            waits.append(idle_at_us(meter.tokens) - 600_000 - now)
            waits.append(self._window_wait_us(meter, entry.tokens, rules.tpm))
        return max(waits)

    def _window_wait_us(self, meter: Meter, tokens: int, tpm: int) -> int:
        """Try now, then each moment at which a slice is 606 slices old."""
        now = self.clock.us
        moments = [now, *sorted((slice_ + 606) * SECOND_US // 10 for slice_, _ in meter.window)]
        for moment in moments:
            counted = sum(n for slice_, n in meter.window if slice_of(moment) - slice_ < 606)
            if moment >= now and (counted == 0 or counted + tokens <= tpm):
                return moment - now
        raise AssertionError("an empty window lets everything through")

    def _meter(self, lane: int) -> Meter:
        return self.meters.setdefault(lane, Meter())

    def _pause(self, lane: int) -> Pause:
        return self.pauses.setdefault(lane, Pause())

    def throttle(self, lane: ModelId, for_ms: int) -> None:
        pause = self._pause(lane)
        pause.open_at_us = max(pause.open_at_us, self.clock.us + for_ms * 1_000)
        pause.is_half_open, pause.probe = True, None

    # Claim and release

    def claim(self, session: SessionId, lanes: Sequence[ModelId], want: int) -> ClaimAnswer:
        claims: list[Claim] = []
        waits: list[int] = []
        asked = [lane for lane in dict.fromkeys(lanes) if lane in self.rules]
        while asked and len(claims) < want:
            lane = min(asked, key=lambda one: (self.served.get(one, 0), lanes.index(one)))
            entry = self._startable(lane)
            wait_us = 0 if entry is None else self._wait_us(lane, entry)
            if entry is not None and wait_us == 0:
                claims.append(self._start(entry, session))
                continue
            asked.remove(lane)
            if entry is not None:
                waits.append(-(-wait_us // 1_000))
        return ClaimAnswer(tuple(claims), min(waits) if waits and len(claims) < want else None, 0)

    def _startable(self, lane: int) -> Entry | None:
        rules = self.rules[lane]
        held = sum(1 for one in self.running if one.slot.lane == lane)
        if rules.is_paused or held >= rules.max_workers:
            return None
        return self.next_entry(lane)

    def _start(self, entry: Entry, session: SessionId) -> Claim:
        now, lane, name = self.clock.us, entry.lane, self.share_of(entry)
        rules, meter, pause = self.rules[lane], self._meter(lane), self._pause(lane)
        self.entries.remove(entry)
        slot = Slot(entry.task_id, lane, entry.tenant_id, session, entry.attempt, self.clock.now())
        self.running.append(Running(slot, entry.tokens, None if rules.tpm is None else now))
        self.claims[lane] = self.claims.get(lane, 0) + 1
        self.served[lane] = max(self.served.values(), default=0) + 1
        if rules.share_rule is ShareRule.VIRTUAL_TIME:
            start = self.share_times.get(name, 0.0)
            self.band_times[(lane, name.band)] = start
            self.share_times[name] = start + entry.placement.cost / entry.placement.weight
        if rules.rpm is not None:
            meter.requests.append((now, pace_us(1, rules.rpm)))
        if rules.tpm is not None:
            meter.tokens.append((now, pace_us(entry.tokens, rules.tpm)))
            meter.window.append((slice_of(now), entry.tokens))
        if pause.is_half_open and pause.probe is None:
            pause.probe, pause.trusted_at_us = entry.task_id, now + 10 * SECOND_US
        elif pause.is_half_open:
            pause.is_half_open, pause.probe = False, None
        self._activate()
        return Claim(entry.task_id, lane, entry.tenant_id, entry.attempt, entry.tokens)

    def release(self, releases: Sequence[Release]) -> None:
        for one in releases:
            held = self._running(one.claim.lane, one.claim.task_id)
            if held is None or held.slot.attempt != one.claim.attempt:
                continue
            self._free(held, is_success=one.is_success)
            if one.used_tokens is not None:
                self._settle(held, one.used_tokens)
            if one.back is not None:
                self.enqueue([one.back])

    def _free(self, held: Running, *, is_success: bool) -> None:
        self.running.remove(held)
        pause = self._pause(held.slot.lane)
        if pause.probe == held.slot.task_id:
            pause.probe = None
            pause.is_half_open = not is_success
        self._activate()

    def _settle(self, held: Running, used: int) -> None:
        lane = held.slot.lane
        tpm = self.rules[lane].tpm if lane in self.rules else None
        if tpm is None:
            return
        meter = self._meter(lane)
        if held.charged_us is None:
            meter.tokens.append((self.clock.us, pace_us(used, tpm)))
            meter.window.append((slice_of(self.clock.us), used))
        else:
            meter.tokens.append((-1, pace_us(used, tpm) - pace_us(held.tokens, tpm)))
            meter.window.append((slice_of(held.charged_us), used - held.tokens))

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
            self._free(held, is_success=False)
        return self._take_out(lane, task_id) or held is not None

    def _adopt(self, slot: Slot) -> bool:
        held, entry = self._running(slot.lane, slot.task_id), self._entry(slot.lane, slot.task_id)
        if held is not None:
            is_same = (held.slot.attempt, held.slot.session) == (slot.attempt, slot.session)
            if is_same or held.slot.attempt > slot.attempt:
                return False
            self._free(held, is_success=False)
        if entry is not None and entry.attempt > slot.attempt:
            return False
        self._take_out(slot.lane, slot.task_id)
        self.running.append(Running(slot, 0, None))
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
        return sorted(one.slot for one in self.running)

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
        return LaneDepth(lane, len(here), held, by_band, min((one.queued_at for one in heads), default=None))
