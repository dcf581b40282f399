"""Answers in Anthropic's format, determined by the prompt alone."""

from __future__ import annotations

from typing import Any

import orjson

from tests.stubs.openai_wire import TOOL_ARGUMENTS, Reply

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens"}
KNOWN_FIELDS = {
    "model", "max_tokens", "messages", "system", "stop_sequences", "temperature", "top_p", "top_k", "tools",
    "tool_choice", "thinking", "metadata", "service_tier", "stream", "cache_control", "output_config", "container",
}  # fmt: skip


def problem(body: Any) -> str | None:
    """What a strict server would say against the request."""
    if not isinstance(body, dict):
        return "The request body is not valid JSON"
    for key in ("model", "max_tokens", "messages"):
        if not body.get(key):
            return f"{key}: Field required"
    unknown = sorted(set(body) - KNOWN_FIELDS)
    if unknown:
        return f"{unknown[0]}: Extra inputs are not permitted"
    if any(message.get("role") not in ("user", "assistant") for message in body["messages"]):
        return 'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter'
    return None


def usage(reply: Reply) -> dict[str, int]:
    """Three prompt tokens come out of a cache and two go into it; `input_tokens` leaves both out."""
    return {
        "input_tokens": reply.prompt_tokens - 5 if reply.prompt_tokens > 5 else reply.prompt_tokens,
        "cache_read_input_tokens": 3 if reply.prompt_tokens > 5 else 0,
        "cache_creation_input_tokens": 2 if reply.prompt_tokens > 5 else 0,
        "output_tokens": len(reply.pieces),
    }


def whole(body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    return {
        "id": "msg_stub",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": reply.text}],
        "stop_reason": STOP_REASONS[reply.finish_reason],
        "stop_sequence": None,
        "usage": usage(reply),
    }


def events(body: dict[str, Any], reply: Reply, *, calls_tool: bool = False) -> list[dict[str, Any]]:
    started = whole(body, reply)
    started |= {"content": [], "stop_reason": None, "usage": {**usage(reply), "output_tokens": 1}}
    made: list[dict[str, Any]] = [
        {"type": "message_start", "message": started},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    ]
    made += [_delta(0, {"type": "text_delta", "text": piece}) for piece in reply.pieces]
    made.append({"type": "content_block_stop", "index": 0})
    if calls_tool:
        block = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
        made.append({"type": "content_block_start", "index": 1, "content_block": block})
        made += [_delta(1, {"type": "input_json_delta", "partial_json": piece}) for piece in TOOL_ARGUMENTS]
        made.append({"type": "content_block_stop", "index": 1})
    reason = "tool_use" if calls_tool else STOP_REASONS[reply.finish_reason]
    made.append(
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": len(reply.pieces)},
        }
    )
    made.append({"type": "message_stop"})
    return made


def sse(event: dict[str, Any]) -> bytes:
    return b"event: " + event["type"].encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"


def _delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}
