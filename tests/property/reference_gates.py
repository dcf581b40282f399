"""What the limits, paces and circuits of a gate should do, written plainly: histories, worked out anew each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, floor
from typing import TYPE_CHECKING, NamedTuple

from llm_scheduler.ports.broker import GateState, Hold, Spent, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.ports.broker import GateRules, LaneRules, Pace

SECOND_US = 1_000_000
MOST_US = 10_000_000 * SECOND_US

Amounts = tuple[int, int, int, int]
PerMinute = tuple[int | None, int | None, int | None, int | None]


def limits_of(rules: GateRules | LaneRules) -> PerMinute:
    return (rules.rpm, rules.tpm, rules.input_tpm, rules.output_tpm)


def amounts_of(tokens: int, output: int) -> Amounts:
    return (1, tokens, max(0, tokens - output), output)


def pace_us(units: int, per_minute: int) -> int:
    """98 % of the limit, rounded up to whole microseconds."""
    exact, rest = divmod(units * 60 * SECOND_US * 100, 98 * per_minute)
    return exact + (1 if rest else 0)


def slice_of(us: int) -> int:
    return us // (SECOND_US // 10)


def ms(us: int) -> int:
    return -(-us // 1_000)


class Step(NamedTuple):
    """A charge at `when`, or (None) a correction; the pace is idle by `latest` then, if that is said."""

    when: int | None
    cost_us: int
    latest: int | None = None


@dataclass
class Bucket:
    """A pace that a provider's answers told."""

    each_us: float
    burst_us: int
    idle_at_us: int
    ends_at_us: int

    def cost_us(self, units: int) -> int:
        return min(MOST_US, ceil(units * self.each_us))

    def level_us(self, now: int) -> int:
        return self.burst_us - max(0, self.idle_at_us - now)

    def wait_us(self, now: int, units: int) -> int:
        """Until the level is the cost, or the bucket is full."""
        return min(self.cost_us(units), self.burst_us) - self.burst_us + self.idle_at_us - now


def next_bucket(before: Bucket | None, now: int, pace: Pace, spent: int) -> Bucket:
    each = min(1e6 / pace.per_s, float(MOST_US))
    burst = floor(min(max(0.0, pace.burst) * each, MOST_US))
    level = burst if before is None else floor(before.level_us(now) * (each / before.each_us))
    level += floor(min(max(pace.bonus * each, -MOST_US), MOST_US))
    level = max(min(level, burst), -MOST_US)
    if pace.most is not None:
        now_most = pace.most - (spent - pace.counted)
        level = min(level, floor(min(max(now_most * each, -MOST_US), MOST_US)))
    return Bucket(each, burst, now + burst - level, now + pace.valid_ms * 1_000)


@dataclass
class Meter:
    """The limits of a lane or a gate, as a history of each unit."""

    steps: list[list[Step]] = field(default_factory=lambda: [[], [], [], []])
    windows: list[list[tuple[int, int]]] = field(default_factory=lambda: [[], [], [], []])

    def idle_at_us(self, unit: int) -> int:
        idle = 0
        for when, cost_us, latest in self.steps[unit]:
            idle = (idle if when is None else max(idle, when)) + cost_us
            idle = idle if latest is None else min(idle, latest)
        return idle

    def window_wait_us(self, now: int, unit: int, units: int, per_minute: int) -> int:
        """Try now, then each moment at which a slice is 606 slices old."""
        window = self.windows[unit]
        moments = [now, *sorted((slice_ + 606) * SECOND_US // 10 for slice_, _ in window)]
        for moment in moments:
            counted = sum(n for slice_, n in window if slice_of(moment) - slice_ < 606)
            if moment >= now and (counted == 0 or counted + units <= per_minute):
                return moment - now
        raise AssertionError("an empty window lets everything through")

    def waits_us(
        self, now: int, limits: PerMinute, paces: Mapping[int, Bucket], amounts: Amounts
    ) -> list[tuple[int, int]]:
        waits: list[tuple[int, int]] = []
        for unit, per_minute in enumerate(limits):
            if unit in paces:
                waits.append((unit, paces[unit].wait_us(now, amounts[unit])))
            elif per_minute:
                wait = self.idle_at_us(unit) - 600_000 - now
                if unit > 0:
                    wait = max(wait, self.window_wait_us(now, unit, amounts[unit], per_minute))
                waits.append((unit, wait))
        return waits

    def charge(self, at: int, limits: PerMinute, paces: Mapping[int, Bucket], amounts: Amounts) -> set[int]:
        """The units that were counted."""
        for unit, per_minute in enumerate(limits):
            if per_minute is not None:
                self.charge_unit(at, unit, per_minute, amounts[unit], is_paced=unit in paces)
        return {unit for unit, per_minute in enumerate(limits) if per_minute is not None}

    def charge_unit(self, at: int, unit: int, per_minute: int, units: int, *, is_paced: bool) -> None:
        if per_minute:
            latest = at + 60 * SECOND_US if is_paced else None
            self.steps[unit].append(Step(at, pace_us(units, per_minute), latest))
        self.windows[unit].append((slice_of(at), units))

    def settle(
        self, now: int, start: tuple[int, set[int]], limits: PerMinute, paces: Mapping[int, Bucket], change: Change
    ) -> None:
        began, counted = start
        for unit in (1, 2, 3):
            per_minute, before, after = limits[unit], change.reserved[unit], change.used[unit]
            if per_minute is None:
                continue
            if unit not in counted:
                self.charge_unit(now, unit, per_minute, after, is_paced=unit in paces)
                continue
            if per_minute:
                self.steps[unit].append(Step(None, pace_us(after, per_minute) - pace_us(before, per_minute)))
            self.windows[unit].append((slice_of(began), after - before))


class Change(NamedTuple):
    """What a call reserved, and what it used."""

    reserved: Amounts
    used: Amounts


@dataclass
class Pause:
    """After a 429, or while a circuit is open."""

    open_at_us: int = 0
    is_half_open: bool = False
    probe: int | None = None
    trusted_at_us: int = 0

    def wait_us(self, now: int) -> int:
        waits = [0, self.open_at_us - now]
        if self.probe is not None:
            waits.append(self.trusted_at_us - now)
        return max(waits)

    def begin(self, now: int, for_us: int) -> None:
        self.open_at_us = max(self.open_at_us, now + for_us)
        self.is_half_open, self.probe = True, None

    def start(self, now: int, task: int) -> bool:
        """Whether this ended it: the probe has been out for long enough."""
        if self.is_half_open and self.probe is None:
            self.probe, self.trusted_at_us = task, now + 10 * SECOND_US
        elif self.is_half_open:
            self.is_half_open, self.probe = False, None
            return True
        return False

    def end(self, task: int, *, is_success: bool) -> bool:
        """Whether this was the probe."""
        is_probe = self.probe == task
        if is_probe:
            self.probe = None
            self.is_half_open = not is_success
        return is_probe


class Gate:
    """One way through a lane."""

    def __init__(self) -> None:
        self.meter = Meter()
        self.paces: dict[int, Bucket] = {}
        self.throttle = Pause()
        self.circuit = Pause()
        self.next_pause_s = 15
        self.ends: list[tuple[int, bool]] = []
        """(ten seconds of the clock, did it fail) of calls that said something."""
        self.spent: Spent = Spent()
        self.touched_us = 0

    def valid_paces(self, now: int) -> dict[int, Bucket]:
        return {unit: bucket for unit, bucket in self.paces.items() if now < bucket.ends_at_us}

    def set_paces(self, now: int, paces: Sequence[Pace]) -> None:
        for pace in paces:
            unit = list(Unit).index(pace.unit)
            self.paces[unit] = next_bucket(self.valid_paces(now).get(unit), now, pace, self.spent[unit])
        self.touched_us = now

    def add_spent(self, amounts: Sequence[int]) -> None:
        self.spent = Spent(*(old + new for old, new in zip(self.spent, amounts, strict=True)))

    def pace_start(self, now: int, amounts: Amounts) -> set[int]:
        valid = self.valid_paces(now)
        for unit, bucket in valid.items():
            bucket.idle_at_us = max(now, bucket.idle_at_us) + bucket.cost_us(amounts[unit])
        return set(valid)

    def pace_end(self, now: int, paced: set[int], change: Change) -> None:
        for unit, bucket in self.valid_paces(now).items():
            if unit > 0 and unit in paced:
                bucket.idle_at_us += bucket.cost_us(change.used[unit]) - bucket.cost_us(change.reserved[unit])
            elif unit > 0:
                bucket.idle_at_us = max(now, bucket.idle_at_us) + bucket.cost_us(change.used[unit])

    def start(self, now: int, task: int) -> None:
        self.touched_us = now
        self.throttle.start(now, task)
        if self.circuit.start(now, task):
            self.ends = []

    def end(self, now: int, task: int, *, is_success: bool, is_failure: bool) -> None:
        self.throttle.end(task, is_success=is_success)
        was_closed = not self.circuit.is_half_open
        is_probe = self.circuit.end(task, is_success=is_success)
        if not is_success and not is_failure:
            return
        self.ends.append((now // (10 * SECOND_US), is_failure))
        if is_success:
            if was_closed or is_probe:
                self.next_pause_s = 15
            if is_probe:
                self.ends = []
        elif is_probe or (was_closed and self.has_failed(now)):
            self.circuit.begin(now, self.next_pause_s * SECOND_US)
            self.next_pause_s = min(300, self.next_pause_s * 2)

    def lately(self, now: int) -> list[bool]:
        return [has_failed for ten, has_failed in self.ends if ten > now // (10 * SECOND_US) - 3]

    def has_failed(self, now: int) -> bool:
        lately = self.lately(now)
        return len(lately) >= 10 and sum(lately) >= 0.5 * len(lately)

    def pause_us(self, now: int) -> int:
        return max(self.throttle.wait_us(now), self.circuit.wait_us(now))

    def state(self, now: int, name: str | None, running: int, own: Sequence[Hold]) -> GateState:
        holds = list(own)
        if self.throttle.wait_us(now):
            holds.append(Hold("throttled", ms(self.throttle.wait_us(now)), name))
        if self.circuit.wait_us(now):
            holds.append(Hold("circuit", ms(self.circuit.wait_us(now)), name))
        lately = self.lately(now)
        return GateState(name, running, len(lately), sum(lately), tuple(holds))


def time_holds(waits: Sequence[tuple[int, int]], name: str | None) -> list[Hold]:
    return [Hold(list(Unit)[unit].value, ms(wait), name) for unit, wait in waits if wait > 0]


def closed_holds(limits: PerMinute, name: str | None) -> list[Hold]:
    return [Hold(unit.value, None, name) for unit, most in zip(Unit, limits, strict=True) if most == 0]
