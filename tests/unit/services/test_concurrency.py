"""One limit for each model: who decides, who hears of it, what is kept, and what an idle process asks."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.store_scene import StillClock
from tests.inside import until
from tests.stubs.hub import Hub

from llm_scheduler.brokers.memory import MemoryBroker
from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, SessionId, TaskId
from llm_scheduler.domain.model import AutoWorkers, Model, ModelOptions
from llm_scheduler.ports.broker import Slot
from llm_scheduler.ports.provider import Fault, ProviderError
from llm_scheduler.ports.states import State
from llm_scheduler.providers.kinds import KINDS
from llm_scheduler.scheduling.concurrency import Outcome, Sample
from llm_scheduler.services import call_samples
from llm_scheduler.services.auto_workers import with_workers
from llm_scheduler.services.catalogue import Catalogue
from llm_scheduler.services.concurrency import Concurrency, is_no_room

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from llm_scheduler.ports.broker import LaneRules

MODEL = Model(ModelId(1), DEFAULT_TENANT, "m", "scripted", {}, max_workers=1, options=ModelOptions(AutoWorkers(1, 64)))
NAME = "concurrency:1"


class Kept:
    """States in memory; counts what it is asked, and fails while it is away."""

    def __init__(self) -> None:
        self.rows: dict[str, State] = {}
        self.workers: dict[int, int] = {}
        self.asked = 0
        self.is_away = False

    async def state(self, name: str) -> State | None:
        self._note()
        return self.rows.get(name)

    async def save_state(self, name: str, data: str, expected_version: int) -> bool:
        self._note()
        before = self.rows.get(name)
        if (before.version if before else 0) != expected_version:
            return False
        self.rows[name] = State(expected_version + 1, data)
        return True

    async def set_max_workers(self, model_id: ModelId, version: int, max_workers: int) -> None:
        self._note()
        self.workers[model_id] = max_workers

    def _note(self) -> None:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailableError("it is away")

    @property
    def n(self) -> float:
        return orjson.loads(self.rows[NAME].data)["control"]["n"]


class Meter:
    def __init__(self) -> None:
        self.limits: dict[str, int | None] = {}

    def concurrency(self, model: str, limit: int | None, share: float | None) -> None:
        self.limits[model] = limit


class Process:
    """One of several, that share record, index, clock and channel."""

    def __init__(self, kept: Kept, hub: Hub, clock: StillClock, broker: MemoryBroker, *, leads: bool) -> None:
        self.clock, self.leads, self.meter = clock, leads, Meter()
        self.catalogue = Catalogue(KINDS, "fair")
        self.catalogue.put(MODEL)
        self.channel = hub.channel()
        self.concurrency = Concurrency(
            kept,
            broker,
            self.catalogue,
            self.channel,
            clock,
            self.meter,
            lambda: self.leads,
        )

    @property
    def limit(self) -> int:
        [model] = self.catalogue.models()
        return self.catalogue.rules(model).max_workers

    def calls(self, count: int, wait_ms: int = 0, outcome: Outcome = Outcome.DONE) -> None:
        """That many calls ended well, or not."""
        self.clock.pass_s(1)
        at = self.clock.now()
        sample = Sample(at, 2_200 + wait_ms, 200 + wait_ms, 484, 100, outcome)
        [model] = self.catalogue.models()
        for _ in range(count):
            self.concurrency.note(model, sample)


class Stage:
    """What the processes of a test share."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.kept, self.hub, self.clock = Kept(), Hub(), StillClock()
        self.broker = MemoryBroker(self.clock)
        self.told: list[int] = []
        """What the index was told to go by."""
        set_rules = self.broker.set_rules

        async def told(rules: Sequence[LaneRules]) -> None:
            self.told += [one.max_workers for one in rules]
            await set_rules(rules)

        self.broker.set_rules = told

    async def run(self, count: int) -> None:
        """So many calls run, by the index."""
        at, who = self.clock.now(), SessionId(1)
        slots = [Slot(TaskId(number), MODEL.id, DEFAULT_TENANT, who, 0, at) for number in range(1, count + 1)]
        await self.broker.reconcile([], slots, [])

    async def process(self, *, leads: bool) -> Process:
        made = Process(self.kept, self.hub, self.clock, self.broker, leads=leads)
        await self.run(1)
        await made.concurrency.open()
        self._stack.push_async_callback(made.concurrency.close)
        return made


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(stack)


def falls(it: Process, to: int) -> bool:
    """One more call is refused; whether the limit has fallen so far."""
    it.calls(1, outcome=Outcome.REFUSED)
    return it.limit <= to


async def test_the_leader_decides_by_the_calls_of_all_and_all_go_by_it() -> None:
    async with stage() as on:
        on.kept.rows[NAME] = State(1, _learned(n=20.0, is_slow_start=False))
        leader, other = await on.process(leads=True), await on.process(leads=False)
        assert (leader.limit, other.limit) == (20, 20)

        other.calls(1, outcome=Outcome.REFUSED)

        await until(lambda: leader.limit == other.limit == 16, "both go by what was decided")
        await until(lambda: leader.meter.limits == other.meter.limits == {"m": 16}, "both tell it")


async def test_who_starts_puts_no_older_limit_back() -> None:
    """The record was seconds behind, and whoever started had the index go by it until the next decision."""
    async with stage() as on:
        on.kept.rows[NAME] = State(1, _learned(n=20.0, is_slow_start=False))
        leader = await on.process(leads=True)
        leader.calls(1, outcome=Outcome.REFUSED)
        await until(lambda: leader.limit == 16, "it is decided")
        on.kept.rows[NAME] = State(1, _learned(n=20.0, is_slow_start=False))

        late = await on.process(leads=False)

        await until(lambda: late.limit == leader.limit == 16, "it goes by what was decided")
        assert on.told[-1] == 16


async def test_an_older_decision_that_is_heard_late_changes_nothing() -> None:
    async with stage() as on:
        other = await on.process(leads=False)
        on.hub.channel().publish("limits", call_samples.packed_limit(MODEL.id, 9, 2_000))
        on.hub.channel().publish("limits", call_samples.packed_limit(MODEL.id, 30, 1_000))
        await until(lambda: other.limit == 9, "it hears the newer one")

        on.kept.rows[NAME] = State(1, _learned(n=12.0))
        on.hub.mend()
        asked = on.kept.asked
        await until(lambda: on.kept.asked > asked, "it reads the record")

        assert other.limit == 9


async def test_who_does_not_lead_decides_and_writes_nothing() -> None:
    async with stage() as on:
        on.kept.rows[NAME] = State(1, _learned(n=20.0))
        it = await on.process(leads=False)

        it.calls(3, outcome=Outcome.REFUSED)
        await until(lambda: any(topic == "calls" for topic, _ in on.hub.sent), "the calls are told")

        assert (it.limit, on.kept.rows[NAME].version) == (20, 1)


async def test_a_new_leader_goes_on_where_the_last_one_was() -> None:
    async with stage() as on:
        first, second = await on.process(leads=True), await on.process(leads=False)
        on.kept.rows[NAME] = State(7, _learned(n=30.0, is_slow_start=False))

        first.leads, second.leads = False, True
        second.calls(1, outcome=Outcome.REFUSED)

        await until(lambda: second.limit == 24, "it began with 30 by the record")


async def test_two_that_lead_for_a_moment_overwrite_nothing() -> None:
    async with stage() as on:
        it = await on.process(leads=True)
        it.calls(4)
        await until(lambda: NAME in on.kept.rows, "it is kept")
        on.kept.rows[NAME] = State(9, _learned(n=40.0))
        on.clock.pass_s(6)

        it.calls(1, outcome=Outcome.REFUSED)

        await until(lambda: it.limit == 40, "the other's stands")
        assert on.kept.rows[NAME].version == 9


async def test_it_is_kept_when_it_closes_and_found_again() -> None:
    async with AsyncExitStack() as stack:
        on = Stage(stack)
        it = await on.process(leads=True)
        it.calls(4)
        await until(lambda: it.limit == 2, "it grows")
        await it.concurrency.close()

        assert on.kept.n == 2
        again = await on.process(leads=True)
        assert again.limit == 2
        assert on.kept.workers == {1: 2}


async def test_what_was_learned_of_another_address_is_forgotten() -> None:
    async with stage() as on:
        on.kept.rows[NAME] = State(1, orjson.dumps({"config": "another", "control": {"n": 50.0}}).decode())

        assert (await on.process(leads=True)).limit == 1


@pytest.mark.parametrize("data", ["", "[]", "{}", '{"config": "x", "control": 3}', '{"config": null}'])
async def test_a_state_that_cannot_be_read_is_a_new_beginning(data: str) -> None:
    async with stage() as on:
        on.kept.rows[NAME] = State(1, data)

        assert (await on.process(leads=True)).limit == 1


async def test_an_idle_process_asks_and_sends_nothing() -> None:
    async with stage() as on:
        leader = await on.process(leads=True)
        leader.calls(4)
        await until(lambda: NAME in on.kept.rows, "it is kept")
        asked, sent = on.kept.asked, len(on.hub.sent)
        for _ in range(50):
            on.clock.pass_s(60)
            await asyncio.sleep(0.01)

        assert (on.kept.asked, len(on.hub.sent)) == (asked, sent)


async def test_a_record_that_is_away_stops_nothing_and_is_written_when_it_is_back() -> None:
    async with stage() as on:
        it = await on.process(leads=True)
        it.calls(4)
        await until(lambda: it.limit == 2, "it grows")
        on.kept.is_away = True
        on.clock.pass_s(6)
        await until(lambda: falls(it, 1), "it falls all the same")

        on.kept.is_away = False
        on.clock.pass_s(6)
        it.calls(1)
        await until(lambda: on.kept.rows[NAME].version >= 1 and on.kept.n < 2, "it is kept", 10)


async def test_after_a_gap_the_record_tells_the_limit() -> None:
    async with stage() as on:
        other = await on.process(leads=False)
        on.kept.rows[NAME] = State(1, _learned(n=12.0))

        on.hub.mend()

        await until(lambda: other.limit == 12, "it has looked")


async def test_a_model_whose_limit_is_fixed_again_is_forgotten() -> None:
    async with stage() as on:
        it = await on.process(leads=True)
        it.calls(4)
        await until(lambda: it.limit == 2, "it grows")

        fixed = replace(MODEL, max_workers=5, options=ModelOptions())
        it.catalogue.put(fixed)
        on.hub.channels[0].take("calls", call_samples.packed(MODEL.id, Sample(Millis(1), 1, 1, 1, 1)))

        await until(lambda: it.meter.limits["m"] is None, "its gauge goes")
        assert it.limit == 5


def _learned(**fields: object) -> str:
    catalogue = Catalogue(KINDS, "fair")
    catalogue.put(MODEL)
    return orjson.dumps({"config": catalogue.digest(MODEL), "control": fields}).decode()


def test_a_number_ends_auto_and_bounds_begin_it_with_the_fewest() -> None:
    auto = ModelOptions(AutoWorkers(2, 9))

    assert with_workers(auto, {"rpm": 3}) == {"rpm": 3}
    assert with_workers(auto, {"max_workers": 7}) == {"max_workers": 7, "options": ModelOptions()}
    assert with_workers(auto, {"auto_workers": None}) == {"options": ModelOptions()}
    assert with_workers(auto, {"max_workers": "auto"}, 12) == {"max_workers": 9, "options": auto}
    assert with_workers(ModelOptions(), {"max_workers": "auto"}) == {
        "max_workers": 1,
        "options": ModelOptions(AutoWorkers(1, 64)),
    }
    assert with_workers(ModelOptions(), {"max_workers": "auto", "auto_workers": AutoWorkers(2, 9)}) == {
        "max_workers": 2,
        "options": auto,
    }
    other = ModelOptions(fallback_models=("b",))
    assert with_workers(auto, {"max_workers": 7, "options": other})["options"] == other


@pytest.mark.parametrize(
    ("code", "fields", "latency_ms", "expected"),
    [
        ("rate_limited", {"fault": Fault.LIMIT, "http_status": 429}, 5, True),
        ("rate_limited", {"fault": Fault.LIMIT, "http_status": 429, "retry_after_s": 2.0}, 5, False),
        ("overloaded", {"http_status": 503}, 5, True),
        ("overloaded", {"http_status": 529, "retry_after_s": 2.0}, 5, True),
        ("timeout", {}, 120_000, True),
        ("timeout", {}, 1_000, False),
        ("timeout", {"http_status": 408}, 1_000, True),
        ("server_error", {"http_status": 500}, 5, False),
        ("connection_failed", {}, 5, False),
    ],
)
def test_only_a_server_without_room_lowers_the_limit(
    code: str, fields: dict[str, object], latency_ms: int, expected: bool
) -> None:
    given_fields = {"is_retryable": True, "fault": Fault.PROVIDER} | fields
    error = ProviderError(code, "no", **given_fields)  # type: ignore[arg-type]

    assert is_no_room(error, latency_ms, 120.0) is expected


whole = st.integers(0, 2**32 - 2)
calls = st.builds(
    Sample, st.integers(0, 2**53).map(Millis), whole, st.none() | whole, whole, whole, st.sampled_from(Outcome)
)


@given(st.lists(st.tuples(st.integers(1, 2**53).map(ModelId), calls), max_size=20))
def test_calls_arrive_as_they_were_told(told: list[tuple[ModelId, Sample]]) -> None:
    assert list(call_samples.unpacked(b"".join(call_samples.packed(*one) for one in told))) == told


@given(st.binary(max_size=200))
def test_nothing_that_arrives_breaks_the_listener(payload: bytes) -> None:
    list(call_samples.unpacked(payload))
    list(call_samples.unpacked_limits(payload))
