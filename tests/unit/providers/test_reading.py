"""Whatever a server sends, it is an answer or a ProviderError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.ports.provider import Answer, ProviderError
from llm_scheduler.providers.anthropic_answer import MessageAssembly
from llm_scheduler.providers.openai_answer import ChoicesAssembly, EmbeddingAssembly
from llm_scheduler.providers.reading import AnswerReader, Assembly

WHERE: dict[str, Callable[[], Assembly]] = {
    "chat": lambda: ChoicesAssembly({}, is_chat=True),
    "completion": lambda: ChoicesAssembly({}, is_chat=False),
    "embedding": lambda: EmbeddingAssembly({}),
    "message": lambda: MessageAssembly({}),
}
WORDS = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "message_delta", "text_delta", "input_json_delta",
     "citations_delta", "text", "stop", "x"]
)  # fmt: skip
KEYS = st.sampled_from(
    ["choices", "delta", "message", "text", "content", "tool_calls", "function", "name", "arguments", "index", "id",
     "type", "usage", "prompt_tokens", "finish_reason", "logprobs", "error", "code", "data", "content_block",
     "partial_json", "citation", "stop_reason", "input_tokens", "role"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-3, 2**60) | st.floats(allow_nan=False) | WORDS
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)
CHUNK = st.dictionaries(KEYS, JSON, max_size=5) | st.fixed_dictionaries(
    {"choices": st.lists(st.dictionaries(KEYS, JSON, max_size=5), max_size=3)}
)


def outcome(kind: str, content_type: str, data: bytes, *, is_cut: bool) -> Answer | None:
    reader = AnswerReader(WHERE[kind](), lambda _: None)
    reader.begin(content_type)
    try:
        reader.feed(data)
        return reader.answer(is_cut=is_cut)
    except ProviderError:
        return None


@given(
    kind=st.sampled_from(sorted(WHERE)), chunks=st.lists(CHUNK, max_size=6), is_cut=st.booleans(), is_done=st.booleans()
)
def test_a_stream_of_any_json_is_an_answer_or_an_error(
    kind: str, chunks: list[dict[str, Any]], is_cut: bool, is_done: bool
) -> None:
    data = b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n" * is_done

    answer = outcome(kind, "text/event-stream", data, is_cut=is_cut)

    if answer is not None:
        assert isinstance(answer.text, str)
        assert answer.usage.total_tokens >= 0
        orjson.dumps(answer.raw)


@given(kind=st.sampled_from(sorted(WHERE)), body=CHUNK, is_cut=st.booleans())
def test_a_body_of_any_json_is_an_answer_or_an_error(kind: str, body: dict[str, Any], is_cut: bool) -> None:
    answer = outcome(kind, "application/json", orjson.dumps(body), is_cut=is_cut)

    assert answer is None or isinstance(answer.text, str)


@given(
    kind=st.sampled_from(sorted(WHERE)), data=st.binary(max_size=40), type_=st.sampled_from(["", "text/event-stream"])
)
def test_any_bytes_are_no_answer(kind: str, data: bytes, type_: str) -> None:
    assert outcome(kind, type_, data, is_cut=False) is None


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n", b"\r\n\r\n"])
def test_the_last_event_needs_no_blank_line(end: bytes) -> None:
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\ndata: [DONE]'

    answer = outcome("chat", "text/event-stream", chunk + end, is_cut=False)

    assert answer is not None
    assert answer.text == "x"


@pytest.mark.parametrize("start", [b"", b"\n", b": hello\n\n", b"event: x\n"])
def test_a_stream_is_known_by_its_first_byte_whatever_it_is_called(start: bytes) -> None:
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'

    answer = outcome("chat", "text/plain", start + chunk, is_cut=False)

    assert answer is not None
    assert answer.text == "x"


def test_spaces_before_a_body_are_no_stream() -> None:
    """A server that lets us wait may send spaces to keep the connection busy."""
    reader = AnswerReader(WHERE["chat"](), None)
    reader.begin("application/json")

    for piece in (b" ", b" ", b'{"choices":[{"message":{"content":"x"},', b'"finish_reason":"stop"}]}'):
        reader.feed(piece)

    assert reader.answer(is_cut=False).text == "x"
