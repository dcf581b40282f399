from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain.ids import TaskId
from llm_scheduler.ports.provider import Answer, Call, Fault, Provider, ProviderError
from llm_scheduler.providers import KINDS
from llm_scheduler.providers.script import Script


def a_model(**config: Any) -> Provider:
    kind = KINDS["scripted"]
    return kind.open("demo", kind.check(config))


def a_call(task_id: int = 1, attempt: int = 1, type_: str = "chat", **body: Any) -> Call:
    return Call(TaskId(task_id), attempt, type_, body, 5.0)


async def outcome(provider: Provider, call: Call) -> str:
    try:
        return (await provider.call(call)).text
    except ProviderError as error:
        return error.code


async def test_the_text_is_a_template() -> None:
    provider = a_model(text="{task_id}/{attempt}: {prompt} {other}")

    answer = await provider.call(a_call(7, 2, messages=[{"role": "user", "content": "hi {task_id}"}]))

    assert answer.text == "7/2: hi {task_id} {other}"


async def test_tokens_are_computed_or_as_the_script_says() -> None:
    counted = await a_model(text="12345").call(a_call(messages=[{"role": "user", "content": "a b c d"}]))
    told = await a_model(prompt_tokens=11, completion_tokens=0).call(a_call())

    assert (counted.usage.prompt_tokens, counted.usage.completion_tokens) == (3, 2)
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (11, 0)


async def test_every_tenth_call_fails() -> None:
    provider = a_model(text="ok", errors=[{"every": 10, "code": "overloaded", "retry_after_s": 5}])

    outcomes = [await outcome(provider, a_call(number)) for number in range(1, 31)]

    assert [at for at, said in enumerate(outcomes, 1) if said == "overloaded"] == [10, 20, 30]


async def test_first_attempts_fail_and_the_next_succeeds() -> None:
    by_rule = a_model(text="ok", errors=[{"attempts": [1, 3], "code": "timeout"}])
    by_task = a_model(text="ok")

    assert [await outcome(by_rule, a_call(1, attempt)) for attempt in (1, 2, 3)] == ["timeout", "ok", "timeout"]
    script = {"fail_attempts": 2}
    outcomes = [await outcome(by_task, a_call(1, attempt, script=script)) for attempt in (1, 2, 3)]
    assert outcomes == ["server_error", "server_error", "ok"]


async def test_chance_repeats_whatever_the_order() -> None:
    rule = {"probability": 0.3, "seed": 7}
    forward, backward = a_model(text="ok", errors=[rule]), a_model(text="ok", errors=[rule])

    there = [await outcome(forward, a_call(number)) for number in range(1000)]
    back = [await outcome(backward, a_call(number)) for number in reversed(range(1000))]

    assert there == back[::-1]
    assert 230 < there.count("server_error") < 370


async def test_an_error_carries_what_its_rule_says() -> None:
    rule = {"code": "insufficient_quota", "http_status": 402, "message": "pay first"}

    with pytest.raises(ProviderError, match="pay first") as caught:
        await a_model(errors=[rule]).call(a_call())

    error = caught.value
    assert (error.http_status, error.is_retryable, error.fault) == (402, False, Fault.QUOTA)


async def test_the_task_may_bring_its_own_script() -> None:
    provider = a_model(text="theirs", delay_ms=3_600_000)

    answer = await provider.call(a_call(script={"delay_ms": 0, "completion_tokens": 99}))

    assert (answer.text, answer.usage.completion_tokens) == ("theirs", 99)


@pytest.mark.parametrize("script", [7, {"delay": 1}, {"ledger": "x"}, {"errors": [{"code": "?"}]}])
async def test_a_wrong_script_is_the_callers_mistake(script: object) -> None:
    with pytest.raises(ProviderError) as caught:
        await a_model().call(a_call(script=script))

    assert (caught.value.code, caught.value.fault) == ("invalid_request", Fault.CALLER)


async def test_the_ledger_has_a_line_for_each_start(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    provider = a_model(ledger=str(ledger), errors=[{"attempts": [2]}])

    await asyncio.gather(*(outcome(provider, a_call(task, attempt)) for task in (1, 2) for attempt in (1, 2)))
    await provider.close()

    lines = [line.split() for line in ledger.read_text().splitlines()]
    assert [(task, attempt) for task, attempt, _ in lines] == [("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")]
    assert all(int(at) > 1_600_000_000_000 for _, _, at in lines)


async def test_a_ledger_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="ledger") as caught:
        await a_model(ledger=str(tmp_path)).call(a_call())

    assert caught.value.fault is Fault.SETUP


async def test_words_come_at_the_speed_of_the_script() -> None:
    pieces: list[str] = []
    started_s = time.perf_counter()

    answer = await a_model(text="a b c d", completion_tokens=20, tokens_per_s=200).call(a_call(), pieces.append)

    assert pieces == ["a ", "b ", "c ", "d"]
    assert answer.text == "a b c d"
    assert time.perf_counter() - started_s >= 0.09


@given(said=st.text(max_size=50), chunks=st.integers(1, 60))
def test_pieces_are_as_many_as_asked_and_lose_nothing(said: str, chunks: int) -> None:
    pieces = Script(chunks=chunks).pieces(said)

    assert len(pieces) == chunks
    assert "".join(pieces) == said


@pytest.mark.parametrize(("type_", "key"), [("chat", "choices"), ("completion", "choices"), ("embedding", "data")])
async def test_each_task_type_has_its_body(type_: str, key: str) -> None:
    answer: Answer = await a_model().call(a_call(type_=type_))

    assert answer.raw[key]
    assert bool(answer.text) == (type_ != "embedding")


async def test_an_instant_call_costs_little() -> None:
    """The project's own cost is measured with this provider, so it must not stand out itself."""
    provider, call = a_model(), a_call(messages=[{"role": "user", "content": "hello"}])
    rounds_us: list[float] = []

    for _ in range(5):
        started_s = time.process_time()
        for _ in range(2000):
            await provider.call(call)
        rounds_us.append((time.process_time() - started_s) / 2000 * 1e6)

    # 5 µs where this was written; the rest is for slower machines.
    assert min(rounds_us) < 40
