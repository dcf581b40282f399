from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.stubs.servers import StubServer

from llm_scheduler.domain.ids import TaskId
from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.provider import Call, Provider, ProviderError
from llm_scheduler.providers import KINDS
from llm_scheduler.providers.anthropic import with_system_lifted
from llm_scheduler.providers.anthropic_answer import MessageAssembly

USER = {"role": "user", "content": "one two three four"}


@pytest.fixture
async def provider(stub: StubServer) -> AsyncIterator[Provider]:
    kind = KINDS["anthropic"]
    opened = kind.open("claude", kind.check({"base_url": stub.base_url, "api_key": "sk-ant-secret-1"}))
    yield opened
    await opened.close()


def chat(**body: Any) -> Call:
    return Call(TaskId(1), 1, "chat", {"messages": [USER], **body}, 5.0)


async def test_tokens_of_the_cache_belong_to_the_prompt(provider: Provider) -> None:
    answer = await provider.call(chat())

    usage: Any = answer.raw["usage"]
    assert usage["input_tokens"] == 2
    assert answer.usage == Usage(7, 6, cached_tokens=3, cache_write_tokens=2)


async def test_the_request_is_what_a_strict_server_wants(provider: Provider, stub: StubServer) -> None:
    system = {"role": "system", "content": "Be brief."}

    await provider.call(chat(messages=[system, USER], stream_options={"include_usage": True}))
    await provider.call(chat(max_tokens=3))

    first, second = await stub.requests()
    assert first["path"] == "/v1/messages"
    assert first["body"] == {
        "max_tokens": 1024,
        "messages": [USER],
        "system": "Be brief.",
        "model": "claude",
        "stream": True,
    }
    headers = first["headers"]
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("sk-ant-secret-1", "2023-06-01")
    assert second["body"]["max_tokens"] == 3


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [("stream_error", "overloaded"), ("cut", "stream_cut"), ("cut_clean", "stream_cut"), ("error:529", "overloaded")],
)
async def test_a_broken_answer_has_a_clear_code(
    provider: Provider, stub: StubServer, behaviour: str, code: str
) -> None:
    await stub.post("behaviour", behaviour=behaviour)

    with pytest.raises(ProviderError) as caught:
        await provider.call(chat())

    assert caught.value.code == code
    if behaviour == "cut":
        assert caught.value.usage.prompt_tokens == 7
        assert caught.value.usage.completion_tokens > 1


async def test_an_answer_that_was_not_streamed_is_taken(provider: Provider, stub: StubServer) -> None:
    await stub.post("behaviour", behaviour="plain")

    answer = await provider.call(chat(max_tokens=2))

    assert (answer.text, answer.finish_reason) == ("You said:", "max_tokens")


def assembled(*events: dict[str, Any]) -> MessageAssembly:
    assembly = MessageAssembly({})
    assembly.add({"type": "message_start", "message": {"id": "m", "content": [], "usage": {"input_tokens": 4}}})
    for event in events:
        assembly.add(event)
    return assembly


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    start = {"type": "content_block_start", "index": index, "content_block": content}
    return [start, *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)]


STOP = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn"},
    "usage": {"output_tokens": 9, "input_tokens": None},
}


def test_thoughts_signatures_and_tools_become_blocks() -> None:
    thinking = block(
        0, {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Let "}, {"type": "thinking_delta", "thinking": "me"},
        {"type": "signature_delta", "signature": "Eq"},
    )  # fmt: skip
    text = block(
        1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "a"}, {"type": "text_delta", "text": "b"}
    )
    tool = block(
        2, {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        {"type": "input_json_delta", "partial_json": ""}, {"type": "input_json_delta", "partial_json": '{"a"'},
        {"type": "input_json_delta", "partial_json": ": 1}"},
    )  # fmt: skip

    answer = assembled(*thinking, *text, *tool, {"type": "ping"}, {"type": "news"}, STOP).answer(3)

    assert answer.text == "ab"
    assert answer.usage == Usage(4, 9)
    assert answer.raw["content"] == [
        {"type": "thinking", "thinking": "Let me", "signature": "Eq"},
        {"type": "text", "text": "ab"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ]


def test_tool_input_that_was_cut_is_kept_as_it_is() -> None:
    tool = block(0, {"type": "tool_use", "input": {}}, {"type": "input_json_delta", "partial_json": '{"a'})

    raw: Any = assembled(*tool, STOP).answer(None).raw

    assert raw["content"] == [{"type": "tool_use", "input": {}, "partial_json": '{"a'}]


def test_citations_are_gathered() -> None:
    text = block(
        0, {"type": "text", "text": ""},
        {"type": "citations_delta", "citation": {"n": 1}}, {"type": "citations_delta", "citation": {"n": 2}},
    )  # fmt: skip

    raw: Any = assembled(*text, STOP).answer(None).raw

    assert raw["content"][0]["citations"] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("body", "system"),
    [
        ({"messages": [{"role": "system", "content": "A"}, USER]}, "A"),
        ({"messages": [{"role": "developer", "content": "A"}, {"role": "system", "content": "B"}, USER]}, "A\n\nB"),
        ({"system": "S", "messages": [{"role": "system", "content": "A"}, USER]}, "S\n\nA"),
        ({"messages": [{"role": "system", "content": [{"type": "text", "text": "A"}]}, USER]}, "A"),
        (
            {
                "system": [{"type": "text", "text": "S", "cache_control": {}}],
                "messages": [{"role": "system", "content": "A"}, USER],
            },
            [{"type": "text", "text": "S", "cache_control": {}}, {"type": "text", "text": "A"}],
        ),
    ],
)
def test_system_messages_are_lifted(body: dict[str, Any], system: object) -> None:
    assert with_system_lifted(body) == {"messages": [USER], "system": system}


def test_a_body_without_system_messages_is_left_alone() -> None:
    body: dict[str, object] = {"messages": [USER], "system": "S"}

    assert with_system_lifted(body) is body
