"""A finished task as OpenAI's `chat.completion`, whole or in chunks, whatever its provider's own words are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import orjson

from llm_scheduler.api.showing import usage_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llm_scheduler.domain.task import Task, Usage

ID: Final = "chatcmpl-"
DONE: Final = b"data: [DONE]\n\n"
_ANTHROPIC_ENDS: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_OURS: Final = frozenset({"id", "object", "created", "model", "choices", "usage"})


class Head(NamedTuple):
    """What every chunk of an answer says."""

    id: str
    created: int
    model: str

    @classmethod
    def of(cls, task: Task, model: str) -> Head:
        """The head of the task's answer."""
        return cls(f"{ID}{task.id}", task.created_at // 1000, model)


def completion(task: Task, model: str) -> dict[str, object]:
    """The whole answer of a completed task."""
    head, raw = Head.of(task, model), _raw(task)
    shown: dict[str, object] = {
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": choices_of(task, raw),
        "usage": usage_of(task.usage, raw),
    }
    return shown | extras_of(raw)


def choices_of(task: Task, raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the model said."""
    if isinstance(raw.get("choices"), list):
        return [_whole_choice(choice) for choice in raw["choices"]]
    if raw.get("type") == "message" and isinstance(raw.get("content"), list):
        return [_choice_of_message(raw)]
    message = {"role": "assistant", "content": task.output or "", "refusal": None}
    return [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}]


def usage_of(usage: Usage, raw: Mapping[str, Any]) -> dict[str, object]:
    """The provider's own object where it speaks OpenAI's words, for its details; else one of what was counted."""
    own = raw.get("usage")
    shown: dict[str, object] = dict(usage_json(usage))
    if isinstance(own, dict) and "prompt_tokens" in own:
        return shown | cast("dict[str, object]", own)
    cached, written = usage.cached_tokens, usage.cache_write_tokens
    if cached or written:
        shown["prompt_tokens_details"] = {"cached_tokens": cached, "cache_write_tokens": written}
    return shown


def extras_of(raw: Mapping[str, Any]) -> dict[str, object]:
    """What else an answer in OpenAI's words says: `system_fingerprint`, `service_tier`, what its server adds."""
    if "choices" not in raw:
        return {name: raw[name] for name in ("usage_estimated",) if name in raw}
    return {name: value for name, value in raw.items() if name not in _OURS}


def chunk(head: Head, choices: list[dict[str, Any]], **more: object) -> bytes:
    """One event of a stream."""
    said = {
        "id": head.id,
        "object": "chat.completion.chunk",
        "created": head.created,
        "model": head.model,
        "choices": choices,
    }
    return b"data: %s\n\n" % orjson.dumps(said | more)


def delta(
    index: int, said: Mapping[str, Any], finish_reason: str | None = None, logprobs: Any = None
) -> dict[str, Any]:
    """A choice of a chunk."""
    return {"index": index, "delta": said, "logprobs": logprobs, "finish_reason": finish_reason}


def last_deltas(task: Task, said_before: str) -> Iterator[dict[str, Any]]:
    """What is still to be said of a completed task when this text of its first choice was, and how each ends."""
    for choice in choices_of(task, _raw(task)):
        index = choice["index"]
        message = {name: value for name, value in choice["message"].items() if value is not None}
        message.pop("role", None)
        if index == 0 and isinstance(message.get("content"), str):
            message["content"] = message["content"][len(said_before) :]
        if not message.get("content"):
            message.pop("content", None)
        if "tool_calls" in message:
            message["tool_calls"] = [{"index": at, **call} for at, call in enumerate(message["tool_calls"])]
        if index > 0:
            yield delta(index, {"role": "assistant", "content": ""})
        if message:
            yield delta(index, message, logprobs=choice.get("logprobs"))
        yield delta(index, {}, choice["finish_reason"])


def stream_extras(task: Task) -> dict[str, object]:
    """What the last chunks of a stream say beside their choices."""
    raw = _raw(task)
    return {name: raw[name] for name in ("system_fingerprint", "service_tier") if raw.get(name) is not None}


def stream_usage(task: Task) -> dict[str, object]:
    """The usage, for the chunk before the end."""
    raw = _raw(task)
    shown: dict[str, object] = {"usage": usage_of(task.usage, raw)}
    return shown | ({"usage_estimated": True} if raw.get("usage_estimated") else {})


def _raw(task: Task) -> Mapping[str, Any]:
    value = {} if task.raw is None else orjson.loads(task.raw)
    return value if isinstance(value, dict) else {}


def _whole_choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    """With the fields that clients count on."""
    message = {"role": "assistant", "content": None, "refusal": None, **(choice.get("message") or {})}
    return {"index": 0, "finish_reason": "stop", "logprobs": None, **choice, "message": message}


def _choice_of_message(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Of Anthropic's Message."""
    blocks = [block for block in raw["content"] if isinstance(block, dict)]
    said = "".join(block.get("text") or "" for block in blocks if block.get("type") == "text")
    thought = "".join(block.get("thinking") or "" for block in blocks if block.get("type") == "thinking")
    calls = [_call_of_block(block) for block in blocks if block.get("type") == "tool_use"]
    message: dict[str, Any] = {"role": "assistant", "content": said or (None if calls else ""), "refusal": None}
    if calls:
        message["tool_calls"] = calls
    if thought:
        message["reasoning_content"] = thought
    reason = _ANTHROPIC_ENDS.get(str(raw.get("stop_reason")), "stop")
    return {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}


def _call_of_block(block: Mapping[str, Any]) -> dict[str, Any]:
    arguments = block.get("partial_json")
    if not isinstance(arguments, str):
        arguments = orjson.dumps(block.get("input") or {}).decode()
    return {
        "id": block.get("id"),
        "type": "function",
        "function": {"name": block.get("name"), "arguments": arguments},
    }
