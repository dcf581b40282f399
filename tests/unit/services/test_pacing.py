from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.broker_scene import StillClock

from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId, TaskId
from llm_scheduler.domain.model import Endpoint, Model, ModelOptions, Pacing
from llm_scheduler.ports.broker import Claim, Pace, Spent, Unit
from llm_scheduler.ports.provider import Fault, ProviderError, Quota
from llm_scheduler.services.pacing import (
    FIRST_QUOTA_PAUSE_S,
    JITTER,
    LONGEST_PAUSE_S,
    SHORT_S,
    Pacer,
    configured_limits,
    within,
)
from llm_scheduler.telemetry.prometheus import PrometheusMeter

if TYPE_CHECKING:
    from collections.abc import Sequence

LANE = ModelId(1)
MODEL = Model(LANE, DEFAULT_TENANT, "m", "openai", {}, rpm=600, tpm=60_000)
PLENTY = {Unit.REQUESTS: Quota(600, 500, 10.0)}
NOTHING = {Unit.REQUESTS: Quota(600, 0, 60.0)}


class ToldBroker:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.paces: list[tuple[str | None, Sequence[Pace]]] = []
        self.pauses: list[tuple[str | None, int]] = []
        self.is_away = False

    async def set_pace(self, lane: ModelId, endpoint: str | None, paces: Sequence[Pace]) -> None:
        if self.is_away:
            raise BrokerUnavailableError("away")
        self.paces.append((endpoint, paces))

    async def throttle(self, lane: ModelId, for_ms: int, endpoint: str | None = None) -> None:
        self.pauses.append((endpoint, for_ms))


class Scene:
    def __init__(self) -> None:
        self.broker, self.clock, self.meter = ToldBroker(), StillClock(), PrometheusMeter()
        broker: Any = self.broker
        self.pacer = Pacer(broker, self.clock, self.meter, Random(1))
        self.calls = 0

    def claim(self, endpoint: str | None = None) -> tuple[Claim, float]:
        self.calls += 1
        claim = Claim(
            TaskId(self.calls), LANE, DEFAULT_TENANT, 0, 100, 20, endpoint,
            Spent(self.calls, self.calls * 100, self.calls * 80, self.calls * 20),
        )  # fmt: skip
        return claim, self.pacer.started(claim)

    async def answer(self, allowance: Any, endpoint: str | None = None, model: Model = MODEL) -> None:
        claim, sent_at_s = self.claim(endpoint)
        await self.pacer.answered(model, claim, allowance, sent_at_s)

    async def refuse(self, error: ProviderError, times: int = 1, model: Model = MODEL) -> None:
        """So many calls are out at once, and all are refused."""
        self.clock.advance_ms(1)
        out = [self.claim() for _ in range(times)]
        self.clock.advance_ms(100)
        for claim, sent_at_s in out:
            await self.pacer.refused(model, claim, error, sent_at_s)


def limit(retry_after_s: float | None = None, allowance: Any = None) -> ProviderError:
    return ProviderError(
        "rate_limited", "", is_retryable=True, fault=Fault.LIMIT, retry_after_s=retry_after_s, allowance=allowance or {}
    )


def quota() -> ProviderError:
    return ProviderError("insufficient_quota", "pay first", is_retryable=False, fault=Fault.QUOTA)


async def test_an_answer_without_headers_sets_nothing() -> None:
    scene = Scene()

    await scene.answer({})

    assert scene.broker.paces == []


async def test_the_pace_is_of_the_gate_that_the_call_went_through() -> None:
    scene = Scene()

    await scene.answer(PLENTY, "east")

    [(endpoint, [pace])] = scene.broker.paces
    assert (endpoint, pace.unit) == ("east", Unit.REQUESTS)
    assert pace.per_s > 600 / 60
    assert scene.pacer.known(LANE, "east") == PLENTY
    assert scene.pacer.known(LANE, None) == {}


async def test_a_pace_is_set_at_most_five_times_a_second() -> None:
    scene = Scene()
    for _ in range(1_000):
        await scene.answer(PLENTY)
        scene.clock.advance_ms(1)

    assert len(scene.broker.paces) == 5


async def test_when_nearly_nothing_is_left_it_is_set_sooner() -> None:
    scene = Scene()
    await scene.answer(PLENTY)
    scene.clock.advance_ms(60)

    await scene.answer(NOTHING)

    assert len(scene.broker.paces) == 2
    assert scene.broker.paces[1][1][0].per_s < 10


async def test_an_index_that_is_away_costs_no_answer() -> None:
    scene = Scene()
    scene.broker.is_away = True

    await scene.answer(PLENTY)

    assert scene.pacer.known(LANE, None) == PLENTY


async def test_a_refusal_pauses_for_as_long_as_asked_and_a_little_more() -> None:
    scene = Scene()

    await scene.refuse(limit(retry_after_s=7))

    [(_, pause_ms)] = scene.broker.pauses
    assert 7_000 <= pause_ms <= 7_000 * (1 + JITTER)


async def test_a_short_pause_of_a_provider_that_says_what_is_left_needs_no_probe() -> None:
    scene = Scene()

    await scene.refuse(limit(1.0, NOTHING), times=8)

    assert scene.broker.pauses == []
    for _, [pace] in scene.broker.paces:
        assert pace.most is not None
        # The pace brings what is missing in as long as was asked: once, not once for each of the eight.
        assert 1.0 - 1e-9 <= -pace.most / pace.per_s <= 1.0 + JITTER
        assert pace.counted == 8


async def test_what_is_said_to_be_left_is_as_of_what_had_been_spent_by_then() -> None:
    """Other processes spend meanwhile: the index takes that off, for only it knows."""
    scene = Scene()
    await scene.answer(PLENTY)
    scene.clock.advance_ms(1_000)

    await scene.answer(PLENTY)

    [pace] = scene.broker.paces[-1][1]
    assert pace.counted == 2
    assert pace.most is not None
    assert 490 <= pace.most <= 500


async def test_a_long_pause_is_one_of_the_gate_even_then() -> None:
    scene = Scene()

    await scene.refuse(limit(SHORT_S * 2, NOTHING))

    assert len(scene.broker.pauses) == 1


async def test_without_a_retry_after_the_pause_doubles_with_each_refused_probe() -> None:
    """Calls that were out together count as one, else eight at once would pause for minutes."""
    scene = Scene()
    for _ in range(9):
        await scene.refuse(limit(), times=8)

    firsts = [round(pause_ms / 1000) for _, pause_ms in scene.broker.pauses[::8]]
    assert firsts[:4] == [1, 2, 4, 8]
    assert max(firsts) <= LONGEST_PAUSE_S * (1 + JITTER) + 1

    await scene.answer({})
    await scene.refuse(limit())
    assert scene.broker.pauses[-1][1] < 1_100


async def test_an_empty_account_pauses_its_gate_for_long_and_longer() -> None:
    scene = Scene()
    await scene.refuse(quota(), times=4)
    await scene.refuse(quota())

    pauses_s = [pause_ms / 1000 for _, pause_ms in scene.broker.pauses]
    assert all(FIRST_QUOTA_PAUSE_S <= pause_s <= FIRST_QUOTA_PAUSE_S * (1 + JITTER) for pause_s in pauses_s[:4])
    assert pauses_s[4] >= 2 * FIRST_QUOTA_PAUSE_S
    assert b'provider_quota_exhausted_total{model="m"} 5.0' in scene.meter.render()


async def test_what_the_provider_says_is_used_is_shown() -> None:
    scene = Scene()
    await scene.answer({Unit.TOKENS: Quota(1000, 250, 1.0)})

    scene.meter.observe_limits({"m": (600, 60_000)})

    assert b'rate_limit_utilisation{limit="tokens",model="m"} 0.75' in scene.meter.render()


@given(
    per_s=st.floats(0.001, 1e6),
    burst=st.floats(1, 1e6),
    per_minute=st.integers(1, 10**7),
)
def test_a_configured_limit_that_must_not_be_passed_is_not(per_s: float, burst: float, per_minute: int) -> None:
    """Whatever headers allow: a minute at that pace, begun with the whole burst, stays below."""
    pace = within(Pace(Unit.REQUESTS, per_s, burst, 1_000), per_minute)

    assert pace.valid_ms == 1 or 60 * pace.per_s + pace.burst <= per_minute
    assert pace.burst > 0


async def test_a_model_may_insist_on_its_configured_limits() -> None:
    scene = Scene()
    model = Model(LANE, DEFAULT_TENANT, "m", "openai", {}, rpm=60, options=ModelOptions(pacing=Pacing.CONFIGURED))

    await scene.answer(PLENTY, model=model)

    [(_, [pace])] = scene.broker.paces
    assert pace.valid_ms == 1


@pytest.mark.parametrize(
    ("endpoint", "limits"),
    [
        (None, {Unit.REQUESTS: 600, Unit.TOKENS: 60_000, Unit.OUTPUT_TOKENS: 9}),
        ("east", {Unit.REQUESTS: 5, Unit.INPUT_TOKENS: 7}),
        ("gone", {}),
    ],
)
def test_the_limits_are_those_of_the_way_taken(endpoint: str | None, limits: dict[Unit, int]) -> None:
    model = Model(
        LANE, DEFAULT_TENANT, "m", "openai", {}, rpm=600, tpm=60_000, options=ModelOptions(output_tpm=9),
        endpoints=(Endpoint("east", rpm=5, input_tpm=7),),
    )  # fmt: skip

    assert configured_limits(model, endpoint) == limits
