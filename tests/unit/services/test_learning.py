"""Learning together with other processes, and with a record that comes and goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT, EPOCH, Millis, ModelId, TaskId
from llm_scheduler.domain.task import TaskOptions, Usage
from llm_scheduler.ports.learned import Learned, Sums
from llm_scheduler.ports.store import StartedTask
from llm_scheduler.scheduling.prediction import NOTHING_KNOWN
from llm_scheduler.services.estimate import RequestSize
from llm_scheduler.services.learning import KEPT_MS, MOST_SAMPLES, READ_EVERY_S, Learning
from llm_scheduler.telemetry.prometheus import PrometheusMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MODEL = ModelId(5)
SIZE = RequestSize(100)
NOON = Millis(1_800_000_000_000)


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> Millis:
        return self.at

    def monotonic_s(self) -> float:
        return self.at / 1000

    def pass_s(self, seconds: float) -> None:
        self.at = Millis(self.at + round(seconds * 1000))


class Record:
    """Sums in memory; counts what it is asked, and is away when told."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.rows: dict[str, Learned] = {}
        self.asked: list[str] = []
        self.looks: list[Millis] = []
        self.is_away = False
        self.meanwhile: Callable[[], None] = lambda: None
        self.faded, self.forgotten = list[float](), list[Millis]()

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.is_away:
            raise StoreUnavailableError("it is away.")

    async def add_samples(self, added: Mapping[str, Sums]) -> None:
        self._ask("add")
        for scope, sums in added.items():
            before = self.rows[scope].sums if scope in self.rows else Sums()
            self.rows[scope] = Learned(scope, before.plus(sums), self._clock.now())

    async def samples(self, since: Millis, limit: int) -> Sequence[Learned]:
        self._ask("read")
        self.looks.append(since)
        found = sorted(self.rows.values(), key=lambda row: -row.updated_at)
        self.meanwhile()
        return [row for row in found if row.updated_at >= since][:limit]

    async def fade_samples(self, most: float) -> int:
        self.faded.append(most)
        return 0

    async def forget_samples(self, before: Millis, limit: int) -> int:
        self.forgotten.append(before)
        return limit if len(self.forgotten) == 1 else 0


class Scene:
    def __init__(self) -> None:
        self.clock = Clock()
        self.record = Record(self.clock)
        self.meter = PrometheusMeter()
        self.here, self.there = self.process(), self.process()

    def process(self) -> Learning:
        return Learning(self.record, self.clock, self.meter)

    async def steps(self, seconds: float, *processes: Learning) -> None:
        """Time passes in turns of three seconds."""
        for _ in range(round(seconds / 3)):
            self.clock.pass_s(3)
            for one in processes or (self.here, self.there):
                await one.step()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def started(est_output: int = 0, template: str | None = None) -> StartedTask:
    numbers = (5, 1, 0, 0, 3, 100)
    options = TaskOptions(template=template)
    return StartedTask(
        TaskId(1),
        DEFAULT_TENANT,
        MODEL,
        "chat",
        *numbers,
        NOON,
        NOON,
        None,
        None,
        None,
        "{}",
        est_output,
        None,
        options,
    )


def learn(process: Learning, output: int, count: int = 1) -> None:
    for _ in range(count):
        process.learn(started(), "m", SIZE, Usage(100, output), 2.0)


def expected(process: Learning) -> float:
    return process.predict(MODEL, DEFAULT_TENANT, "chat", 100).output_tokens


async def test_what_was_learned_counts_at_once_and_is_on_record_with_the_next_turn(scene: Scene) -> None:
    learn(scene.here, 20, 1_000)
    assert expected(scene.here) == pytest.approx(20, abs=1)
    assert scene.record.asked == []

    await scene.here.step()

    assert scene.record.rows["5"].sums == Sums(1_000, 20_000, 2_000_000, 100_000, 100_000)
    assert scene.here.service_s(MODEL) == 2


async def test_an_idle_process_asks_the_record_nothing(scene: Scene) -> None:
    learn(scene.here, 20)
    await scene.steps(READ_EVERY_S + 6)
    scene.record.asked.clear()

    await scene.steps(3_600)

    assert scene.record.asked == []


async def test_a_busy_process_takes_over_what_others_learn(scene: Scene) -> None:
    assert expected(scene.there) == NOTHING_KNOWN.output_tokens
    await scene.there.step()
    learn(scene.here, 20, 1_000)
    expected(scene.there)
    await scene.steps(READ_EVERY_S + 3)

    assert expected(scene.there) == pytest.approx(20, abs=1)


async def test_two_processes_know_the_same_in_the_end(scene: Scene) -> None:
    """Nothing is lost and nothing counts twice, whatever was learned between the turns."""
    for turn in range(12):
        learn(scene.here, 10 + turn)
        learn(scene.there, 500, 2)
        await scene.steps(3, *([scene.here, scene.there] if turn % 2 else [scene.there, scene.here]))
    for _ in range(2):
        expected(scene.here)
        expected(scene.there)
        await scene.steps(READ_EVERY_S + 3)

    assert scene.record.rows["5"].sums.samples == 36
    assert expected(scene.here) == expected(scene.there)
    assert scene.here.predict(MODEL, DEFAULT_TENANT, "chat", 100).samples == 36


async def test_what_is_learned_while_the_record_is_read_is_not_lost(scene: Scene) -> None:
    learn(scene.there, 20, 10)
    await scene.there.save()
    scene.record.meanwhile = lambda: learn(scene.here, 20, 5)

    await scene.here.load()

    assert scene.here.predict(MODEL, DEFAULT_TENANT, "chat", 100).samples == 15


async def test_a_new_process_begins_with_what_is_on_record(scene: Scene) -> None:
    learn(scene.here, 20, 1_000)
    await scene.here.save()

    later = scene.process()
    await later.load()

    assert expected(later) == expected(scene.here)


async def test_a_record_that_is_away_loses_nothing(scene: Scene) -> None:
    scene.record.is_away = True
    await scene.here.load()
    learn(scene.here, 20, 10)
    await scene.steps(30)
    learn(scene.here, 20, 10)

    assert expected(scene.here) < NOTHING_KNOWN.output_tokens
    scene.record.is_away = False
    await scene.steps(3)

    assert scene.record.rows["5"].sums.samples == 20
    assert len(scene.record.rows) == 4


async def test_a_large_change_is_written_in_parts(scene: Scene) -> None:
    for number in range(300):
        scene.here.learn(started(template=f"t{number}"), "m", SIZE, Usage(100, 5), 1.0)

    await scene.here.save()

    assert len(scene.record.rows) == 901
    assert scene.record.rows["5"].sums.samples == 300
    assert len(scene.record.asked) == 5


async def test_a_call_whose_tokens_nobody_counted_teaches_nothing(scene: Scene) -> None:
    scene.here.learn(started(), "m", SIZE, Usage(), 2.0)

    await scene.here.step()

    assert scene.record.rows == {}
    assert scene.here.service_s(MODEL) == 0


async def test_the_error_of_a_prediction_is_measured(scene: Scene) -> None:
    scene.here.learn(started(est_output=100), "m", SIZE, Usage(100, 150), 2.0)

    shown = scene.meter.render().decode()

    assert 'prediction_error_ratio_sum{model="m"} 0.5' in shown
    assert 'prediction_error_ratio_count{model="m"} 1.0' in shown


async def test_old_samples_fade_and_scopes_out_of_use_are_forgotten(scene: Scene) -> None:
    await scene.here.forget()

    assert scene.record.faded == [MOST_SAMPLES]
    assert scene.record.forgotten == [scene.clock.at - KEPT_MS] * 2


async def test_only_what_changed_since_the_last_look_is_read(scene: Scene) -> None:
    """With an overlap, for a change is on record a little after the instant that it is dated."""
    learn(scene.there, 20)
    await scene.there.save()
    await scene.here.load()
    expected(scene.here)
    await scene.steps(READ_EVERY_S + 3, scene.here)

    assert scene.record.looks == [EPOCH, NOON - 10_000]
