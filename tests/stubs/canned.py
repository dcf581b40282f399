"""Error answers as real servers give them: status, headers, body."""

from __future__ import annotations

import json
from typing import NamedTuple


class Canned(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


def _openai(message: str, type_: str, code: str | None = None, param: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": type_, "param": param, "code": code}}).encode()


def _anthropic(message: str, type_: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_1"}).encode()


_DATE = {"date": "Wed, 21 Oct 2026 07:28:00 GMT"}
_LIMIT = _openai("Rate limit reached for gpt-4o in organization org-x", "requests", "rate_limit_exceeded")
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"

CANNED: dict[str, Canned] = {
    "400": Canned(400, _openai("Invalid type for 'temperature'.", "invalid_request_error", "invalid_type")),
    "401": Canned(
        401,
        _openai(
            "Incorrect API key provided: sk-proj-abc123def456. Find your key at https://platform.openai.com",
            "invalid_request_error",
            "invalid_api_key",
        ),
    ),
    "402": Canned(402, _openai("Insufficient Balance", "unknown_error", "invalid_request_error")),
    "403": Canned(403, _openai("You are not allowed to sample from this model", "invalid_request_error")),
    "404": Canned(404, _openai("The model `gpt-9` does not exist", "invalid_request_error", "model_not_found")),
    "404_html": Canned(404, b"<!DOCTYPE html><title>Not here</title>", {"content-type": "text/html"}),
    "408": Canned(408, _openai("Request timed out", "timeout")),
    "409": Canned(409, _openai("Conflict", "conflict_error")),
    "413": Canned(413, _openai("Payload too large", "invalid_request_error")),
    "422": Canned(422, b'{"detail":[{"loc":["body","messages"],"msg":"field required","type":"missing"}]}'),
    "429": Canned(429, _LIMIT),
    "429_seconds": Canned(429, _LIMIT, {"retry-after": "7"}),
    "429_ms": Canned(429, _LIMIT, {"retry-after-ms": "250", "retry-after": "1"}),
    "429_date": Canned(429, _LIMIT, {"retry-after": "Wed, 21 Oct 2026 07:28:09 GMT", **_DATE}),
    "429_go": Canned(
        429,
        _LIMIT,
        {
            "x-ratelimit-remaining-requests": "12",
            "x-ratelimit-reset-requests": "8.64s",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "1m12.5s",
        },
    ),
    "429_long": Canned(429, _LIMIT, {"retry-after": "999999"}),
    "429_anthropic": Canned(
        429,
        _anthropic("This request would exceed your rate limit", "rate_limit_error"),
        {
            "anthropic-ratelimit-tokens-remaining": "0",
            "anthropic-ratelimit-tokens-reset": "2026-10-21T07:28:30Z",
            **_DATE,
        },
    ),
    "insufficient_quota": Canned(
        429, _openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota")
    ),
    "500": Canned(500, _openai("The server had an error", "server_error")),
    "500_empty": Canned(500, b""),
    "502_html": Canned(502, _HTML, {"content-type": "text/html"}),
    "503": Canned(503, _openai("The engine is currently overloaded", "server_error"), {"retry-after": "3"}),
    "504": Canned(504, b"upstream request timeout", {"content-type": "text/plain"}),
    "529": Canned(529, _anthropic("Overloaded", "overloaded_error")),
    "context": Canned(
        400,
        _openai(
            "This model's maximum context length is 8192 tokens.",
            "invalid_request_error",
            "context_length_exceeded",
            "messages",
        ),
    ),
    "context_phrase": Canned(400, b'{"object":"error","message":"maximum context length is 2048","code":400}'),
    "context_llama": Canned(
        400,
        b'{"error":{"code":400,"message":"request (9 tokens) exceeds the available context size (8 tokens)",'
        b'"type":"exceed_context_size_error"}}',
    ),
    "content_filter": Canned(
        400, _openai("The response was filtered", "invalid_request_error", "content_filter", "prompt")
    ),
    "prompt_too_long": Canned(400, _anthropic("prompt is too long: 210000 tokens", "invalid_request_error")),
    "credit": Canned(400, _anthropic("Your credit balance is too low", "invalid_request_error")),
    "redirect": Canned(307, b"", {"location": "https://elsewhere.example/v1"}),
}
