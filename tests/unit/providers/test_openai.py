"""The provider against a server that is strict, slow, wrong or gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.stubs.servers import StubServer, started

from llm_scheduler.domain.ids import TaskId
from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.provider import Call, Fault, Provider, ProviderError
from llm_scheduler.providers import KINDS

KEY = "sk-test-very-secret-42"
MESSAGES = [{"role": "user", "content": "one two three four five six"}]
Open = Callable[..., Provider]


@pytest.fixture
async def opened(stub: StubServer) -> AsyncIterator[Open]:
    providers: list[Provider] = []

    def make(behaviour: str = "normal", **config: Any) -> Provider:
        kind = KINDS["openai"]
        given = {"base_url": stub.base_url, "api_key": KEY, "model": f"stub:{behaviour}", **config}
        providers.append(kind.open("ours", kind.check(given)))
        return providers[-1]

    yield make
    for provider in providers:
        await provider.close()


def chat(timeout_s: float = 10.0, **body: Any) -> Call:
    return Call(TaskId(1), 1, "chat", {"messages": MESSAGES, **body}, timeout_s)


async def error_of(provider: Provider, call: Call) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await provider.call(call)
    return caught.value


@pytest.mark.parametrize(
    ("behaviour", "code", "is_retryable"),
    [
        ("cut", "stream_cut", True),
        ("cut_clean", "stream_cut", True),
        ("garbage", "bad_response", True),
        ("garbage_stream", "bad_response", True),
        ("html", "bad_response", True),
        ("empty", "bad_response", True),
        ("huge:80", "bad_response", True),
        ("stream_error", "server_error", True),
        ("drop", "connection_failed", True),
        ("error:insufficient_quota", "insufficient_quota", False),
        ("error:401", "authentication_failed", False),
        ("error:502_html", "server_error", True),
        ("error:redirect", "not_found", False),
    ],
)
async def test_a_broken_answer_has_a_clear_code(opened: Open, behaviour: str, code: str, is_retryable: bool) -> None:
    error = await error_of(opened(behaviour), chat())

    assert (error.code, error.is_retryable) == (code, is_retryable)
    assert KEY not in error.message
    assert "abcdef123456" not in error.message


@pytest.mark.parametrize("behaviour", ["no_done", "plain", "slow:0.001", "hang_end"])
async def test_an_answer_that_is_complete_counts_however_it_came(opened: Open, behaviour: str) -> None:
    answer = await opened(behaviour).call(chat())

    assert answer.text == "You said: one two three four five six"
    assert answer.finish_reason == "stop"
    if behaviour != "no_done":
        assert answer.usage == Usage(9, 8)
        assert "usage_estimated" not in answer.raw


async def test_without_a_count_tokens_are_estimated_and_marked(opened: Open) -> None:
    answer = await opened("no_usage").call(chat())

    assert answer.raw["usage_estimated"] is True
    assert answer.usage.completion_tokens == -(-len(answer.text) // 4)
    assert answer.usage.prompt_tokens > 0
    assert answer.raw["usage"] == {
        "prompt_tokens": answer.usage.prompt_tokens,
        "completion_tokens": answer.usage.completion_tokens,
        "total_tokens": answer.usage.total_tokens,
    }


async def test_what_a_cut_answer_cost_is_told(opened: Open) -> None:
    error = await error_of(opened("cut"), chat())

    assert error.usage.prompt_tokens > 0
    assert error.usage.completion_tokens > 0


async def test_what_a_late_answer_cost_is_told(opened: Open) -> None:
    assert (await error_of(opened("hang_mid"), chat(timeout_s=0.2))).usage.completion_tokens > 0
    assert (await error_of(opened("hang"), chat(timeout_s=0.1))).usage == Usage()


async def test_the_body_is_as_it_would_be_without_streaming(opened: Open) -> None:
    streamed = await opened().call(chat(n=2))
    whole = await opened("plain").call(chat(n=2))

    message = {"role": "assistant", "content": streamed.text}
    choices: Any = streamed.raw["choices"]
    assert [choice["message"] for choice in choices] == [message, message]
    assert streamed.raw["object"] == whole.raw["object"] == "chat.completion"
    assert streamed.raw["usage"] == whole.raw["usage"]
    assert set(whole.raw) == set(streamed.raw)


async def test_the_task_goes_out_as_it_is_but_for_three_fields(opened: Open, stub: StubServer) -> None:
    body = {"temperature": 0.5, "model": "theirs", "stream": False, "stream_options": {"include_obfuscation": False}}

    await opened(headers={"X-Extra": "1"}, extra_body={"temperature": 0.1, "seed": 3}).call(chat(**body))

    [request] = await stub.requests()
    assert request["body"] == {
        "seed": 3,
        "messages": MESSAGES,
        "temperature": 0.5,
        "model": "stub:normal",
        "stream": True,
        "stream_options": {"include_obfuscation": False, "include_usage": True},
    }
    assert request["headers"]["authorization"] == f"Bearer {KEY}"
    assert request["headers"]["x-extra"] == "1"


async def test_an_answer_can_be_asked_for_whole(opened: Open, stub: StubServer) -> None:
    pieces: list[str] = []
    streamed = await opened().call(chat())
    whole = await opened(stream=False).call(chat(stream=True, stream_options={"include_usage": True}), pieces.append)

    request = (await stub.requests())[-1]
    assert "stream" not in request["body"]
    assert "stream_options" not in request["body"]
    assert (whole.text, whole.usage, pieces) == (streamed.text, streamed.usage, [streamed.text])


async def test_the_key_can_go_into_another_header(opened: Open, stub: StubServer) -> None:
    await opened(api_key_header="api-key").call(chat())

    [request] = await stub.requests()
    assert request["headers"]["api-key"] == KEY
    assert "authorization" not in request["headers"]


async def test_a_server_without_stream_options_is_asked_again_once_and_remembered(
    opened: Open, stub: StubServer
) -> None:
    provider = opened("refuse_stream_options")

    first, second = await provider.call(chat()), await provider.call(chat())

    assert first.text == second.text
    sent = ["stream_options" in request["body"] for request in await stub.requests()]
    assert sent == [True, False, False]


async def test_completion_and_embedding_have_their_own_paths(opened: Open, stub: StubServer) -> None:
    provider = opened()

    completion = await provider.call(Call(TaskId(1), 1, "completion", {"prompt": "a b"}, 5))
    embedding = await provider.call(Call(TaskId(2), 1, "embedding", {"input": ["a", "b"], "stream": True}, 5))

    assert (completion.text, completion.raw["object"]) == ("You said: a b", "text_completion")
    data: Any = embedding.raw["data"]
    assert [item["embedding"] for item in data] == [[0.5, -0.25, 0.125]] * 2
    assert embedding.usage == Usage(5, 0)
    assert [request["path"] for request in await stub.requests()] == ["/v1/completions", "/v1/embeddings"]


async def test_tool_calls_come_out_whole(opened: Open) -> None:
    answer = await opened("tool").call(chat())

    choices: Any = answer.raw["choices"]
    assert answer.finish_reason == "tool_calls"
    assert choices[0]["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "Zürich", "n": 3}'},
            },
            {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
        ],
    }


async def test_a_kept_connection_that_died_costs_nothing(opened: Open, stub: StubServer) -> None:
    """Servers close idle connections; a request that meets one of them is sent again over a new one."""
    provider = opened("drop_kept")

    answers = [await provider.call(chat()) for _ in range(3)]

    assert len({answer.text for answer in answers}) == 1
    assert (await stub.stats())["calls"] == 4


async def test_a_new_connection_that_dies_is_an_error_at_once(opened: Open, stub: StubServer) -> None:
    error = await error_of(opened("drop"), chat())

    assert (error.code, error.fault) == ("connection_failed", Fault.PROVIDER)
    assert (await stub.stats())["calls"] == 1


@pytest.mark.parametrize("behaviour", ["normal", "slow:0.001", "plain", "error:400"])
async def test_connections_are_kept(opened: Open, stub: StubServer, behaviour: str) -> None:
    """Also when the end of the body comes in a later packet than the last word."""
    provider = opened(behaviour)
    await asyncio.gather(provider.call(chat()), return_exceptions=True)
    before = (await stub.stats())["connections"]

    for _ in range(5):
        await asyncio.gather(provider.call(chat()), return_exceptions=True)

    assert (await stub.stats())["connections"] == before


@pytest.mark.parametrize("behaviour", ["hang", "hang_mid"])
@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_the_server_learns_at_once_that_nobody_waits(
    opened: Open, stub: StubServer, behaviour: str, how: str
) -> None:
    running = asyncio.create_task(opened(behaviour).call(chat(timeout_s=10 if how == "cancel" else 0.3)))
    await stub.wait_until(lambda stats: stats["running"] == 1)

    if how == "cancel":
        running.cancel()
    await asyncio.wait({running})

    await stub.wait_until(lambda stats: stats["aborted"] == 1, within_s=1)
    assert running.cancelled() or isinstance(running.exception(), ProviderError)


async def test_closing_ends_calls_that_still_run(opened: Open, stub: StubServer) -> None:
    provider = opened("hang")
    running = asyncio.create_task(provider.call(chat()))
    await stub.wait_until(lambda stats: stats["running"] == 1)

    await provider.close()
    await asyncio.wait({running}, timeout=2)

    error = running.exception()
    assert isinstance(error, ProviderError)
    assert error.code == "connection_failed"
    assert (await error_of(provider, chat())).code == "connection_failed"


async def test_a_server_that_is_not_there_is_named() -> None:
    with started() as server:
        port = server.port
    kind = KINDS["openai"]
    provider = kind.open("m", kind.check({"base_url": f"http://127.0.0.1:{port}/v1"}))

    error = await error_of(provider, chat())
    await provider.close()

    assert (error.code, error.is_retryable) == ("connection_failed", True)
    assert f"127.0.0.1:{port}" in error.message


async def test_input_that_is_no_json_is_the_callers_mistake(opened: Open) -> None:
    error = await error_of(opened(), chat(seed=2**70))

    assert (error.code, error.fault) == ("invalid_request", Fault.CALLER)


async def test_a_fast_answer_is_not_held_back(opened: Open) -> None:
    provider = opened()
    await provider.call(chat())
    started_s = time.perf_counter()

    await provider.call(chat())

    assert time.perf_counter() - started_s < 0.5
