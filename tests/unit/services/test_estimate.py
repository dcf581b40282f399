"""Tokens of a request, before and after something was learned."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.learned import Sums
from llm_scheduler.scheduling.prediction import NOTHING_KNOWN
from llm_scheduler.services.estimate import ATTACHMENT_TOKENS, Estimate, RequestSize, estimated, measured, sample

PICTURE = "data:image/png;base64," + "A" * 400_000
texts = st.text(max_size=200)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**12) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["type", "content", "url"]), inner),
    max_leaves=12,
)


def size_of(body: dict[str, Any], task_type: str = "chat") -> RequestSize:
    return measured(task_type, body, len(orjson.dumps(body)))


def said(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def test_a_text_is_its_bytes_divided_by_four() -> None:
    body = {"messages": [{"role": "user", "content": "é" * 200}]}

    assert size_of(body) == RequestSize(-(-len(orjson.dumps(body)) // 4))
    assert len(orjson.dumps(body)) > 400


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "high"}},
        {"type": "image_url", "image_url": PICTURE},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
        {"type": "document", "source": {"type": "base64", "data": PICTURE}},
        {"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}},
        {"type": "file", "file": {"file_data": PICTURE, "filename": "a.pdf"}},
    ],
)
def test_an_attachment_counts_a_fixed_number_instead_of_its_bytes(part: dict[str, Any]) -> None:
    found = size_of(said({"type": "text", "text": "What is this?"}, part, part)).plain_tokens

    assert 2 * ATTACHMENT_TOKENS < found < 2 * ATTACHMENT_TOKENS + 100


def test_a_picture_that_is_only_named_counts_as_one() -> None:
    named = {"type": "image", "source": {"type": "file", "file_id": "f1"}}

    assert size_of(said(named)).plain_tokens > ATTACHMENT_TOKENS


def test_a_text_of_a_message_is_never_an_attachment() -> None:
    assert size_of({"messages": [{"role": "user", "content": PICTURE}]}).plain_tokens > 100_000


@pytest.mark.parametrize(
    ("more", "bound", "choices"),
    [
        ({}, None, 1),
        ({"max_tokens": 70}, 70, 1),
        ({"max_completion_tokens": 50, "max_tokens": 70}, 50, 1),
        ({"max_tokens": 70, "n": 3}, 210, 3),
        ({"n": 3}, None, 3),
        ({"max_tokens": True, "n": "3"}, None, 1),
        ({"max_tokens": -1, "n": 0}, None, 1),
    ],
)
def test_a_request_bounds_its_output(more: dict[str, Any], bound: int | None, choices: int) -> None:
    found = size_of({"messages": [], **more})

    assert (found.output_bound, found.choices) == (bound, choices)


def test_an_embedding_has_no_output() -> None:
    size = size_of({"input": "hello" * 10}, "embedding")

    assert estimated(size, NOTHING_KNOWN) == Estimate(21, 0)


@given(body=st.dictionaries(st.sampled_from(["messages", "n", "max_tokens", "prompt"]), values))
def test_any_request_has_a_size(body: dict[str, Any]) -> None:
    """What a caller sends is checked elsewhere, or by the provider: it never breaks the estimate."""
    size = size_of(body)

    assert size.plain_tokens >= 0
    assert estimated(size, NOTHING_KNOWN).total >= 0


@given(
    plain=st.integers(0, 10**9),
    bound=st.none() | st.integers(1, 10**9),
    choices=st.integers(1, 128),
    output=st.floats(0, 10**7),
    factor=st.floats(0.5, 4),
)
def test_an_estimate_keeps_to_the_bound(
    plain: int, bound: int | None, choices: int, output: float, factor: float
) -> None:
    expected = NOTHING_KNOWN._replace(output_tokens=output, input_factor=factor)

    found = estimated(RequestSize(plain, bound, choices), expected)

    assert found.output_tokens <= (bound if bound is not None else output * choices + 1)
    assert 0 <= found.total <= 100_000_000
    assert found.input_tokens == min(100_000_000, -(-plain * factor // 1))


def test_a_call_teaches_its_output_for_one_choice() -> None:
    assert sample(RequestSize(100, None, 4), Usage(130, 80), 1_500.0) == Sums(1, 20, 1_500, 130, 100)


def test_an_input_that_nobody_counted_teaches_nothing_about_inputs() -> None:
    assert sample(RequestSize(100), Usage(0, 80), 1_500.0) == Sums(1, 80, 1_500, 0, 0)
