"""What every provider does alike, whatever it talks to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.stubs.servers import StubServer, stub, stub_process

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import TaskId
from llm_scheduler.ports.provider import Answer, Call, Fault, Provider, ProviderError
from llm_scheduler.providers import KINDS

__all__ = ["stub", "stub_process"]

KEY = "sk-contract-0123456789"
SCRIPTS: dict[str, dict[str, Any]] = {
    "normal": {},
    "slow:0.005": {"delay_ms": 5, "tokens_per_s": 1000},
    "error:500": {"errors": [{"code": "server_error", "http_status": 500}]},
    "retry_after:2": {"errors": [{"code": "rate_limited", "retry_after_s": 2}]},
    "hang": {"delay_ms": 3_600_000},
    "hang_mid": {"tokens_per_s": 0.001},
}


@dataclass
class Subject:
    """One kind of provider, and how it is made to behave."""

    kind: str
    config: dict[str, Any]
    is_scripted: bool = False
    opened: list[Provider] = field(default_factory=list)

    def open(self, behaviour: str) -> Provider:
        kind = KINDS[self.kind]
        config = {**self.config, **(SCRIPTS[behaviour] if self.is_scripted else {})}
        provider = kind.open(f"stub:{behaviour}", kind.check(config))
        self.opened.append(provider)
        return provider


@pytest.fixture(params=["openai", "anthropic", "scripted"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "scripted":
        made = Subject("scripted", {}, is_scripted=True)
    else:
        server: StubServer = request.getfixturevalue("stub_process")
        made = Subject(request.param, {"base_url": server.base_url, "api_key": KEY})
    yield made
    for provider in made.opened:
        await provider.close()


def a_call(number: int = 1, timeout_s: float = 10.0, type_: str = "chat") -> Call:
    messages = [{"role": "user", "content": f"Please repeat the number {number}"}]
    return Call(TaskId(number), 1, type_, {"messages": messages}, timeout_s)


async def error_of(provider: Provider, call: Call) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await provider.call(call)
    return caught.value


async def test_an_answer_has_text_usage_a_reason_and_the_whole_body(subject: Subject) -> None:
    answer = await subject.open("normal").call(a_call(7))

    assert "7" in answer.text
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    assert answer.finish_reason in ("stop", "end_turn")
    assert answer.raw["model"] == "stub:normal"
    assert answer.raw["usage"]


async def test_the_pieces_together_are_the_text(subject: Subject) -> None:
    pieces: list[str] = []

    answer = await subject.open("slow:0.005").call(a_call(), pieces.append)

    assert len(pieces) > 1
    assert "".join(pieces) == answer.text


async def test_time_to_the_first_word_is_measured(subject: Subject) -> None:
    started_s = time.perf_counter()

    answer = await subject.open("slow:0.005").call(a_call())

    assert answer.ttft_ms is not None
    assert 0 <= answer.ttft_ms <= (time.perf_counter() - started_s) * 1000


async def test_a_server_error_says_that_another_try_may_help(subject: Subject) -> None:
    error = await error_of(subject.open("error:500"), a_call())

    assert (error.code, error.is_retryable, error.fault) == ("server_error", True, Fault.PROVIDER)
    assert error.http_status == 500


async def test_a_rate_limit_says_how_long_to_wait(subject: Subject) -> None:
    error = await error_of(subject.open("retry_after:2"), a_call())

    assert (error.code, error.is_retryable, error.fault) == ("rate_limited", True, Fault.LIMIT)
    assert error.retry_after_s == 2


@pytest.mark.parametrize("behaviour", ["hang", "hang_mid"])
async def test_a_call_ends_with_its_timeout(subject: Subject, behaviour: str) -> None:
    started_s = time.perf_counter()

    error = await error_of(subject.open(behaviour), a_call(timeout_s=0.2))

    assert (error.code, error.is_retryable, error.fault) == ("timeout", True, Fault.PROVIDER)
    assert 0.19 <= time.perf_counter() - started_s < 2


async def test_cancelling_ends_a_call_at_once(subject: Subject) -> None:
    has_begun = asyncio.Event()
    running = asyncio.create_task(subject.open("hang_mid").call(a_call(), lambda _: has_begun.set()))
    await asyncio.wait_for(has_begun.wait(), 5)
    cancelled_s = time.perf_counter()

    running.cancel()
    await asyncio.wait({running})

    assert running.cancelled()
    assert time.perf_counter() - cancelled_s < 0.5


async def test_calls_side_by_side_get_their_own_answers(subject: Subject) -> None:
    provider = subject.open("normal")

    answers: list[Answer] = await asyncio.gather(*(provider.call(a_call(number)) for number in range(100, 140)))

    assert all(str(number) in answer.text for number, answer in zip(range(100, 140), answers, strict=True))


async def test_closing_twice_or_unused_does_no_harm(subject: Subject) -> None:
    used, unused = subject.open("normal"), subject.open("normal")
    await used.call(a_call())

    for provider in (used, used, unused, unused):
        await provider.close()


async def test_an_unknown_task_type_is_the_callers_mistake(subject: Subject) -> None:
    error = await error_of(subject.open("normal"), a_call(type_="painting"))

    assert (error.code, error.is_retryable, error.fault) == ("invalid_request", False, Fault.CALLER)


async def test_what_check_gives_it_accepts(subject: Subject) -> None:
    kind = KINDS[subject.kind]

    assert kind.check(kind.check(subject.config)) == kind.check(subject.config)


async def test_a_mistyped_field_is_named_with_the_nearest_known_one(subject: Subject) -> None:
    with pytest.raises(InvalidInputError, match="Did you mean 'timeout_s'") as caught:
        KINDS[subject.kind].check({**subject.config, "timeout": 5})

    assert caught.value.loc == ("config", "timeout")


async def test_no_secret_shows_in_a_provider(subject: Subject) -> None:
    provider = subject.open("normal")

    assert KEY not in repr(provider)
    assert KEY not in repr(await provider.call(a_call()))


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_kind_is_listed_by_its_name_and_knows_its_tasks(name: str) -> None:
    kind = KINDS[name]

    assert kind.name == name
    assert "chat" in kind.task_types
    assert "api_key" in kind.secret_fields or name in ("scripted", "local")
