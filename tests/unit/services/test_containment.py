"""A plugin that fails costs the task nothing but the plugin's own word."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.contract.broker_scene import StillClock

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, TaskId, TenantId
from llm_scheduler.domain.model import Model
from llm_scheduler.domain.placement import Placement, ShareRule
from llm_scheduler.domain.task import Usage, WaitingTask
from llm_scheduler.plugins import Kind, Plugin
from llm_scheduler.ports.provider import Answer, Fault, ProviderError
from llm_scheduler.ports.strategy import Option, PlacementContext
from llm_scheduler.scheduling.soundness import unsound
from llm_scheduler.services.catalogue import Catalogue
from llm_scheduler.services.containment import OFF_FOR_S, ContainedStrategy, ContainedType, Faults
from llm_scheduler.services.extensions import Extensions

if TYPE_CHECKING:
    from collections.abc import Callable

TASK = WaitingTask(TaskId(7), ModelId(1), TenantId(3), "chat", 5, 0, 100, Millis(10_000), None)
CONTEXT = PlacementContext(2.0)
FALLBACK = Placement(5, 3, 2.0, 100, 10_000)
SOUND = Placement(0, 3, 1.0, 1, 5)


class Counted:
    """Counts faults."""

    def __init__(self) -> None:
        self.faults: Counter[tuple[str, str]] = Counter()

    def plugin_fault(self, plugin: str, kind: str) -> None:
        self.faults[plugin, kind] += 1


class Acting:
    """A strategy that does as it is told."""

    name, share_rule = "acting", ShareRule.HEAD_ORDER

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act

    def place(self, task: WaitingTask, context: PlacementContext) -> Any:
        return self.act()


class Bench:
    """One contained strategy, its clock and its counts."""

    def __init__(self, act: Callable[[], Any], took_ms: int = 0) -> None:
        self.clock, self.meter, self.took_ms, self.calls = StillClock(), Counted(), took_ms, 0

        def slowly() -> Any:
            self.calls += 1
            self.clock.advance_ms(self.took_ms)
            return act()

        plugin = Plugin(Kind.STRATEGY, "acting", "m:Acting", "p", "1", Acting(slowly))
        self.strategy = ContainedStrategy(plugin, Faults(plugin, self.clock, self.meter))

    def place(self) -> Placement:
        return self.strategy.place(TASK, CONTEXT)


def raises(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


def test_a_sound_placement_passes() -> None:
    bench = Bench(lambda: SOUND)

    assert bench.place() == SOUND
    assert not bench.meter.faults


@pytest.mark.parametrize("error", [ValueError("no"), KeyError(1), RecursionError(), SystemExit(1)])
def test_one_that_raises_is_placed_by_default_and_counted(error: BaseException) -> None:
    bench = Bench(raises(error))

    with capture_logs() as logs:
        assert bench.place() == FALLBACK

    assert bench.meter.faults == {("strategy:acting", "raised"): 1}
    assert logs[0]["event"] == "plugin_fault"
    assert type(error).__name__ in logs[0]["detail"]


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        (0, 3, 1.0, 1, 5),
        SOUND._replace(order=float("nan")),
        SOUND._replace(order=2**53),
        SOUND._replace(order=-(2**53)),
        SOUND._replace(band=True),
        SOUND._replace(band=100),
        SOUND._replace(band=-1),
        SOUND._replace(share=-1),
        SOUND._replace(share="tenant"),
        SOUND._replace(weight=0.0),
        SOUND._replace(weight=float("inf")),
        SOUND._replace(cost=0),
        SOUND._replace(cost=float("nan")),
        SOUND._replace(cost="1"),
    ],
)
def test_nonsense_is_placed_by_default_and_counted(nonsense: Any) -> None:
    bench = Bench(lambda: nonsense)

    assert bench.place() == FALLBACK
    assert bench.meter.faults == {("strategy:acting", "nonsense"): 1}


@given(st.tuples(*[st.integers() | st.floats() | st.booleans() | st.text() | st.none()] * 5))
def test_what_is_called_sound_fits_into_both_brokers(numbers: tuple[Any, ...]) -> None:
    placement = Placement(*numbers)

    if unsound(placement) is None:
        assert abs(float(placement.order)) < 2**53
        assert 0 < placement.cost / placement.weight < float("inf")
        assert b"%d:%d" % (placement.band, placement.share)


def test_a_fault_is_logged_once_a_minute_and_counted_always() -> None:
    bench = Bench(raises(ValueError("no")))

    with capture_logs() as logs:
        for _ in range(10):
            bench.place()
        bench.clock.advance_ms(60_000)
        bench.place()

    assert bench.meter.faults == {("strategy:acting", "raised"): 11}
    assert len(logs) == 2


def test_three_slow_placements_in_a_row_switch_it_off_for_a_minute() -> None:
    bench = Bench(lambda: SOUND, took_ms=6)

    with capture_logs() as logs:
        assert [bench.place() for _ in range(5)] == [SOUND] * 3 + [FALLBACK] * 2

    assert [log["event"] for log in logs] == ["plugin_off"]
    assert bench.calls == 3
    assert bench.strategy.is_off
    bench.clock.advance_ms(round(OFF_FOR_S * 1000))
    assert not bench.strategy.is_off
    assert bench.place() == SOUND
    assert bench.meter.faults == {("strategy:acting", "slow"): 4}


def test_a_slow_placement_now_and_then_is_borne() -> None:
    bench = Bench(lambda: SOUND)
    for took_ms in (6, 6, 0, 6, 6, 5):
        bench.took_ms = took_ms
        bench.place()

    assert not bench.strategy.is_off
    assert bench.meter.faults == {("strategy:acting", "slow"): 4}


def test_a_catalogue_places_by_a_plugin_and_knows_its_options() -> None:
    class Shifted(Acting):
        options = MappingProxyType({"shift": (1.0, 0.0, 9.0)})

        def place(self, task: WaitingTask, context: PlacementContext) -> Any:
            return SOUND._replace(order=int(context.options.get("shift", 1.0)))

    plugin = Plugin(Kind.STRATEGY, "acting", "m:Shifted", "p", "1", Shifted(lambda: None))
    extensions = Extensions([plugin], StillClock(), Counted())
    catalogue = Catalogue({}, "fair", extensions.strategies)
    catalogue.put(Model(ModelId(1), DEFAULT_TENANT, "m", "scripted", {}, strategy="acting"))

    assert catalogue.entry(TASK).placement == SOUND._replace(order=1)
    assert extensions.strategies["acting"].options == {"shift": Option(1.0, 0.0, 9.0)}
    assert [(state.state, state.faults) for state in extensions.states()] == [("active", {})]


def test_a_strategy_that_is_gone_leaves_its_models_with_the_default_one() -> None:
    """Its package was taken out, or is broken now: the server starts all the same."""
    catalogue = Catalogue({}, "gone")

    catalogue.put(Model(ModelId(1), DEFAULT_TENANT, "m", "scripted", {}, strategy="gone as well"))

    assert catalogue.entry(TASK).placement.band == 5
    assert catalogue.default_strategy.name == "fair"


class Typed:
    """A task type whose methods a test replaces."""

    name = "typed"

    def check(self, value: str | dict[str, object]) -> Any:
        return {"of": value}

    def estimate(self, body: Any) -> Any:
        return 1, 2

    def to_call(self, body: Any) -> Any:
        return "chat", {"messages": []}

    def finish(self, answer: Answer, body: Any) -> Any:
        return answer


def contained(**methods: Any) -> tuple[ContainedType, Counted]:
    value = type("Changed", (Typed,), {name: lambda self, *_, act=act: act() for name, act in methods.items()})()
    plugin, meter = Plugin(Kind.TASK_TYPE, "typed", "m:Typed", "p", "1", value), Counted()
    return ContainedType(plugin, Faults(plugin, StillClock(), meter)), meter


@pytest.mark.parametrize(
    ("method", "act"),
    [
        ("check", raises(KeyError("text"))),
        ("check", lambda: "no object"),
        ("check", lambda: {"a": object()}),
        ("estimate", raises(ValueError("no"))),
        ("estimate", lambda: (1, -1)),
        ("estimate", lambda: 7),
        ("to_call", raises(ValueError("no"))),
        ("to_call", lambda: ("chat", None)),
        ("to_call", lambda: {"messages": []}),
    ],
)
def test_a_task_type_that_fails_is_an_error_of_this_input(method: str, act: Callable[[], Any]) -> None:
    task_type, meter = contained(**{method: act})

    with pytest.raises(InvalidInputError, match="Task type 'typed' failed on this input"):
        getattr(task_type, method)({})

    assert meter.faults == {("task_type:typed", "raised"): 1}


def test_a_task_types_own_refusal_passes_and_is_no_fault() -> None:
    task_type, meter = contained(check=raises(InvalidInputError("Give a text.", "input", "text")))

    with pytest.raises(InvalidInputError, match="Give a text"):
        task_type.check({})

    assert not meter.faults


@pytest.mark.parametrize("act", [raises(KeyError("label")), lambda: None, lambda: Answer(None, {})])  # type: ignore[arg-type]
def test_an_answer_that_cannot_be_finished_fails_the_attempt_with_what_it_spent(act: Callable[[], Any]) -> None:
    task_type, meter = contained(finish=act)

    with pytest.raises(ProviderError) as caught:
        task_type.finish(Answer("x", {}, Usage(3, 4)), {})

    assert (caught.value.code, caught.value.is_retryable) == ("task_type_failed", False)
    assert caught.value.usage == Usage(3, 4)
    assert meter.faults == {("task_type:typed", "raised"): 1}


def test_a_bad_answer_by_the_task_types_word_may_be_tried_again_and_was_paid_for() -> None:
    error = ProviderError("bad_answer", "No label.", is_retryable=True, fault=Fault.PROVIDER)
    task_type, meter = contained(finish=raises(error))

    with pytest.raises(ProviderError) as caught:
        task_type.finish(Answer("x", {}, Usage(3, 4)), {})

    assert caught.value is error
    assert error.usage == Usage(3, 4)
    assert not meter.faults


class LeakyKind:
    """A provider kind whose errors would tell its secret."""

    name, task_types, secret_fields = "leaky", frozenset({"chat"}), frozenset({"api_key"})

    def check(self, config: Any) -> Any:
        raise ValueError(f"bad config {config}")

    def open(self, model: str, config: Any) -> Any:
        raise ValueError(f"bad config {config}")


@pytest.mark.parametrize("act", ["check", "open"])
def test_a_provider_that_fails_on_a_config_tells_no_secret(act: str) -> None:
    plugin = Plugin(Kind.PROVIDER, "leaky", "m:Leaky", "p", "1", LeakyKind())
    kind: Any = Extensions([plugin], StillClock(), Counted()).kinds["leaky"]

    with capture_logs() as logs, pytest.raises(InvalidInputError) as caught:
        kind.check({"api_key": "hush"}) if act == "check" else kind.open("m", {"api_key": "hush"})

    assert "hush" not in str(caught.value)
    assert "hush" not in str(logs)


def test_what_could_not_be_loaded_is_shown_with_its_reason() -> None:
    broken = Plugin(Kind.PROVIDER, "broken", "m:B", "p", "1", problem="ImportError: no")
    refused = Plugin(Kind.STRATEGY, "fair", "m:F", "p", "1", problem="taken", is_refused=True)

    extensions = Extensions([broken, refused], StillClock(), Counted())

    assert [(one.plugin.name, one.state) for one in extensions.states()] == [("broken", "broken"), ("fair", "refused")]
    assert not extensions.kinds
    assert not extensions.strategies
