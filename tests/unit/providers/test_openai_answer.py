from __future__ import annotations

from typing import Any

from llm_scheduler.domain.task import Usage
from llm_scheduler.providers.merging import joined, merge_tool_calls
from llm_scheduler.providers.openai_answer import ChoicesAssembly


def assembled(*parts: dict[str, Any], is_chat: bool = True, **last: Any) -> dict[str, Any]:
    assembly = ChoicesAssembly({"messages": [{"role": "user", "content": "hi"}]}, is_chat=is_chat)
    for part in parts:
        assembly.add({"id": "1", "object": "chunk", "created": 5, "model": "m", "choices": [part]})
    assembly.add({"id": "1", "choices": [], **last})
    assembly.is_over = True
    return dict(assembly.answer(None).raw)


def delta(index: int = 0, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": fields, "finish_reason": finish_reason}


def test_choices_are_kept_apart_and_in_order() -> None:
    raw = assembled(
        delta(1, role="assistant", content="b"), delta(0, content="a"), delta(1, content="B"), delta(0, content="A"),
        delta(1, "stop"), delta(0, "length"),
    )  # fmt: skip

    assert [(choice["index"], choice["message"]["content"], choice["finish_reason"]) for choice in raw["choices"]] == [
        (0, "aA", "length"),
        (1, "bB", "stop"),
    ]


def test_thoughts_refusals_and_unknown_fields_are_kept() -> None:
    raw = assembled(
        delta(reasoning_content="hm"), delta(reasoning_content="m"), delta(refusal="No"), delta(refusal="."),
        delta(annotations=[{"a": 1}]), delta(annotations=[{"a": 2}]),
        delta(0, "stop", audio={"id": "x", "data": "AB"}), delta(audio={"data": "CD"}),
        system_fingerprint="fp", timings={"ms": 4},
    )  # fmt: skip

    assert raw["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "hmm",
        "refusal": "No.",
        "annotations": [{"a": 1}, {"a": 2}],
        "audio": {"id": "x", "data": "ABCD"},
    }
    assert (raw["system_fingerprint"], raw["timings"], raw["created"]) == ("fp", {"ms": 4}, 5)


def test_logprobs_of_all_chunks_are_gathered() -> None:
    one, two = ({"token": name, "logprob": -0.5} for name in "ab")
    raw = assembled(
        delta(content="a") | {"logprobs": {"content": [one], "refusal": None}},
        delta(content="b") | {"logprobs": {"content": [two], "refusal": None}},
        delta(0, "stop"),
    )

    assert raw["choices"][0]["logprobs"] == {"content": [one, two], "refusal": None}


def test_a_count_inside_a_choice_is_found() -> None:
    part = delta(0, "stop", content="x") | {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    assembly = ChoicesAssembly({}, is_chat=True)
    assembly.add({"choices": [part]})

    assert assembly.usage_so_far() == Usage(3, 1)


def test_an_estimate_counts_thoughts_and_arguments_too() -> None:
    assembly = ChoicesAssembly({}, is_chat=True)
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "x" * 400}}
    assembly.add({"choices": [delta(reasoning_content="y" * 400), delta(tool_calls=[call])]})

    assert assembly.usage_so_far().completion_tokens >= 200


def test_plain_completions_have_text() -> None:
    raw = assembled({"index": 0, "text": "a"}, {"index": 0, "text": "b", "finish_reason": "stop"}, is_chat=False)

    assert raw["object"] == "text_completion"
    assert raw["choices"] == [{"index": 0, "finish_reason": "stop", "logprobs": None, "text": "ab"}]


def merged(*parts: dict[str, Any]) -> list[Any]:
    calls: dict[int, dict[str, Any]] = {}
    for part in parts:
        merge_tool_calls(calls, [part])
    return [joined(calls[index]) for index in sorted(calls)]


def test_tool_calls_that_interleave_are_told_apart_by_index() -> None:
    calls = merged(
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}},
        {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{"}},
        {"index": 0, "function": {"arguments": "1"}},
        {"index": 1, "function": {"arguments": "}"}},
        {"index": 0, "id": "", "function": {"name": None, "arguments": "2"}},
    )

    assert [(call["id"], call["function"]) for call in calls] == [
        ("a", {"name": "f", "arguments": "12"}),
        ("b", {"name": "g", "arguments": "{}"}),
    ]


def test_tool_calls_without_index_are_told_apart_by_id() -> None:
    calls = merged(
        {"id": "a", "function": {"name": "f", "arguments": "1"}},
        {"function": {"arguments": "2"}},
        {"id": "a", "function": {"arguments": "3"}},
        {"id": "b", "function": {"name": "g", "arguments": "4"}},
    )

    assert [(call["id"], call["function"]["arguments"]) for call in calls] == [("a", "123"), ("b", "4")]


def test_a_wild_index_makes_no_gap() -> None:
    assert len(merged({"index": 1_000_000_000, "id": "a", "function": {"name": "f", "arguments": ""}})) == 1


def test_a_senseless_count_does_no_harm() -> None:
    assembly = ChoicesAssembly({}, is_chat=True)
    assembly.add({"choices": [delta(0, "stop")], "usage": {"prompt_tokens": 1e300, "completion_tokens": -5}})

    assert assembly.usage_so_far() == Usage(2**53, 0)
