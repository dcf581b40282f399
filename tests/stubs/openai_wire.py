"""Answers in OpenAI's format, determined by the prompt alone."""

from __future__ import annotations

import base64
import re
import struct
from typing import Any, NamedTuple

import orjson

CREATED = 1_790_000_000
TOOL_ARGUMENTS = ['{"ci', 'ty": "Zü', 'rich", "n": ', "3}"]
_COMMON = {
    "model", "temperature", "top_p", "n", "stop", "seed", "max_tokens", "presence_penalty", "frequency_penalty",
    "logit_bias", "logprobs", "user", "stream", "stream_options",
}  # fmt: skip
KNOWN_FIELDS = {
    "chat": _COMMON | {
        "messages", "max_completion_tokens", "top_logprobs", "response_format", "tools", "tool_choice",
        "parallel_tool_calls", "functions", "function_call", "modalities", "audio", "prediction", "reasoning_effort",
        "verbosity", "web_search_options", "metadata", "store", "safety_identifier", "prompt_cache_key",
        "prompt_cache_retention", "service_tier",
    },
    "completion": _COMMON | {"prompt", "best_of", "echo", "suffix"},
    "embedding": {"model", "input", "encoding_format", "dimensions", "user"},
}  # fmt: skip


class Reply(NamedTuple):
    """What is said, in pieces of one token each, and what it counts."""

    pieces: list[str]
    prompt_tokens: int
    finish_reason: str

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + len(self.pieces)


def problem(kind: str, body: Any) -> str | None:
    """What a strict server would say against the request."""
    if not isinstance(body, dict):
        return "We could not parse the JSON body of your request."
    unknown = sorted(set(body) - KNOWN_FIELDS[kind])
    if unknown:
        return f"Unrecognized request argument supplied: {', '.join(unknown)}"
    if not isinstance(body.get("model"), str) or not body["model"]:
        return "you must provide a model parameter"
    if body.get("stream_options") is not None and not body.get("stream"):
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    if kind == "chat":
        return _messages_problem(body.get("messages"))
    if kind == "embedding":
        return None if body.get("input") else "Missing required parameter: 'input'."
    return None if "prompt" in body else "Missing required parameter: 'prompt'."


def _messages_problem(messages: Any) -> str | None:
    if not isinstance(messages, list) or not messages:
        return "Missing required parameter: 'messages'."
    for message in messages:
        if message.get("role") not in ("developer", "system", "user", "assistant", "tool"):
            return f"Invalid value: {message.get('role')!r} for 'messages[].role'."
    return None


def prompt_of(body: dict[str, Any]) -> str:
    said: list[str] = []
    for message in body.get("messages", ()):
        content = message.get("content") or ""
        parts = content if isinstance(content, list) else [{"text": content}]
        said += [part.get("text", "") for part in parts]
    for key in ("system", "prompt", "input"):
        value = body.get(key) or ""
        said += [value] if isinstance(value, str) else [str(item) for item in value]
    return " ".join(said)


def reply_to(body: dict[str, Any]) -> Reply:
    """`say N words` in the prompt sets the length; else the last words come back."""
    prompt = prompt_of(body)
    asked = re.search(r"say (\d+) words", prompt)
    words = ["word"] * int(asked[1]) if asked else ["You", "said:", *prompt.split()[-8:]]
    most = body.get("max_completion_tokens") or body.get("max_tokens") or 4096
    pieces = [word if at == 0 else f" {word}" for at, word in enumerate(words[:most])]
    return Reply(pieces, len(prompt.split()) + 3, "length" if len(words) > most else "stop")


def usage(reply: Reply) -> dict[str, int]:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": len(reply.pieces),
        "total_tokens": reply.tokens,
    }


def whole(kind: str, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    choices = []
    for index in range(body.get("n") or 1):
        choice: dict[str, Any] = {"index": index, "logprobs": None, "finish_reason": reply.finish_reason}
        if kind == "chat":
            choice["message"] = {"role": "assistant", "content": reply.text, "refusal": None}
        else:
            choice["text"] = reply.text
        choices.append(choice)
    name = "chat.completion" if kind == "chat" else "text_completion"
    head = {"id": "stub-1", "object": name, "created": CREATED, "model": body["model"]}
    return {**head, "choices": choices, "usage": usage(reply), "system_fingerprint": "fp_stub"}


def chunks(kind: str, body: dict[str, Any], reply: Reply, *, calls_tool: bool = False) -> list[dict[str, Any]]:
    """The chunks of a stream, without `[DONE]`."""
    counts = bool((body.get("stream_options") or {}).get("include_usage"))
    name = "chat.completion.chunk" if kind == "chat" else "text_completion"
    head = {"id": "stub-1", "object": name, "created": CREATED, "model": body["model"], "system_fingerprint": "fp_stub"}
    if counts:
        head["usage"] = None
    made: list[dict[str, Any]] = []

    def add(index: int, part: dict[str, Any], finish_reason: str | None = None) -> None:
        made.append({**head, "choices": [{"index": index, **part, "logprobs": None, "finish_reason": finish_reason}]})

    total = range(body.get("n") or 1)
    for index in total:
        if kind == "chat":
            add(index, {"delta": {"role": "assistant", "content": None if calls_tool else "", "refusal": None}})
    for delta in _tool_deltas() if calls_tool else ():
        add(0, {"delta": delta})
    for piece in () if calls_tool else reply.pieces:
        for index in total:
            add(index, {"delta": {"content": piece}} if kind == "chat" else {"text": piece})
    for index in total:
        add(
            index,
            {"delta": {}} if kind == "chat" else {"text": ""},
            "tool_calls" if calls_tool else reply.finish_reason,
        )
    if counts:
        made.append({**head, "choices": [], "usage": usage(reply)})
    return made


def _tool_deltas() -> list[dict[str, Any]]:
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    second = {"index": 1, "id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}}
    rest = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in TOOL_ARGUMENTS]
    return [{"tool_calls": [first]}, *rest, {"tool_calls": [second]}]


def sse(chunk: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def embeddings(body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    vector = [0.5, -0.25, 0.125][: body.get("dimensions") or 3]
    packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    value = packed if body.get("encoding_format") == "base64" else vector
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": value} for at in range(len(inputs))],
        "model": body["model"],
        "usage": {"prompt_tokens": reply.prompt_tokens, "total_tokens": reply.prompt_tokens},
    }
