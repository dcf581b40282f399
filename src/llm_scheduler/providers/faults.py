"""What an error answer means: whose fault, whether to try again, and when. The rules are tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from llm_scheduler.ports.provider import Fault, ProviderError
from llm_scheduler.providers.allowance import allowance_of
from llm_scheduler.providers.masking import masked
from llm_scheduler.providers.retry_after import retry_after_s

if TYPE_CHECKING:
    from llm_scheduler.domain.task import Usage

MAX_MESSAGE_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about an error."""

    code: str
    is_retryable: bool
    fault: Fault


def _again(code: str, fault: Fault = Fault.PROVIDER) -> Verdict:
    return Verdict(code, is_retryable=True, fault=fault)


def _never(code: str, fault: Fault = Fault.CALLER) -> Verdict:
    return Verdict(code, is_retryable=False, fault=fault)


VERDICTS: Final[Mapping[str, Verdict]] = {
    verdict.code: verdict
    for verdict in (
        _again("rate_limited", Fault.LIMIT),
        _again("timeout"),
        _again("connection_failed"),
        _again("stream_cut"),
        _again("bad_response"),
        _again("server_error"),
        _again("overloaded"),
        _never("invalid_request"),
        _never("too_large"),
        _never("content_filtered"),
        _never("context_length_exceeded"),
        _never("authentication_failed", Fault.SETUP),
        _never("permission_denied", Fault.SETUP),
        _never("not_found", Fault.SETUP),
        _never("insufficient_quota", Fault.QUOTA),
    )
}
"""Every code that a provider may give."""

SPECIFIC_WORDS: Final[Mapping[str, str]] = {
    "insufficient_quota": "insufficient_quota",
    "billing_hard_limit_reached": "insufficient_quota",
    "billing_not_active": "insufficient_quota",
    "billing_error": "insufficient_quota",
    "insufficient_balance": "insufficient_quota",
    "context_length_exceeded": "context_length_exceeded",
    "exceed_context_size_error": "context_length_exceeded",
    "string_above_max_length": "context_length_exceeded",
    "content_filter": "content_filtered",
    "content_policy_violation": "content_filtered",
    "invalid_api_key": "authentication_failed",
    "account_deactivated": "authentication_failed",
    "model_not_found": "not_found",
    "rate_limit_exceeded": "rate_limited",
    "overloaded_error": "overloaded",
    "request_too_large": "too_large",
}
"""`code` or `type` of an error body that says more than the status."""

GENERAL_WORDS: Final[Mapping[str, str]] = {
    "rate_limit_error": "rate_limited",
    "requests": "rate_limited",
    "tokens": "rate_limited",
    "invalid_request_error": "invalid_request",
    "authentication_error": "authentication_failed",
    "permission_error": "permission_denied",
    "not_found_error": "not_found",
    "timeout_error": "timeout",
    "api_error": "server_error",
    "server_error": "server_error",
}
"""`type` of an error inside a stream, where there is no status to go by."""

PHRASES: Final[tuple[tuple[str, str], ...]] = (
    ("maximum context length", "context_length_exceeded"),
    ("exceeds the available context size", "context_length_exceeded"),
    ("prompt is too long", "context_length_exceeded"),
    ("credit balance is too low", "insufficient_quota"),
)
"""For servers that put it only into the message of a 400."""

STATUSES: Final[Mapping[int, str]] = {
    400: "invalid_request",
    401: "authentication_failed",
    402: "insufficient_quota",
    403: "permission_denied",
    404: "not_found",
    405: "not_found",
    408: "timeout",
    409: "server_error",
    413: "too_large",
    422: "invalid_request",
    425: "server_error",
    429: "rate_limited",
    500: "server_error",
    502: "server_error",
    503: "overloaded",
    504: "server_error",
    529: "overloaded",
}


def error_of(code: str, message: str, *, http_status: int | None = None, usage: Usage | None = None) -> ProviderError:
    """The error for one of our codes; `message` holds no secret."""
    verdict = VERDICTS[code]
    return ProviderError(
        code,
        message,
        is_retryable=verdict.is_retryable,
        fault=verdict.fault,
        http_status=http_status,
        usage=usage,
    )


def error_of_answer(
    status: int, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...] = ()
) -> ProviderError:
    """What an answer with an error status says.

    Args:
        status: of the answer, not 200.
        headers: of the answer; names in any case must be found (a case-insensitive mapping).
        body: its first bytes: JSON in OpenAI's or Anthropic's shape, HTML, or nothing.
        secrets: texts that must not come back in the message.
    """
    words, said = _said(body)
    if 300 <= status < 400:
        code, said = "not_found", "the address redirects elsewhere; give 'base_url' the final one"
    else:
        code = _code_of(status, words, said)
    verdict = VERDICTS[code]
    wait_s = retry_after_s(headers) if verdict.is_retryable else None
    return ProviderError(
        code,
        _message(f"HTTP {status}", said, secrets),
        is_retryable=verdict.is_retryable,
        fault=verdict.fault,
        http_status=status,
        retry_after_s=wait_s,
        allowance=allowance_of(headers),
    )


def error_in_stream(error: object, secrets: tuple[str, ...] = (), usage: Usage | None = None) -> ProviderError:
    """What an `error` object in the middle of an answer says; `usage` is what was spent until then."""
    words, said = _words_and_message(error)
    status = error.get("code") if isinstance(error, Mapping) else None
    if isinstance(status, int) and 400 <= status < 600:  # llama.cpp, vLLM: the status it would have been
        code = _code_of(status, words, said)
    else:
        known = (SPECIFIC_WORDS.get(word) or GENERAL_WORDS.get(word) for word in words)
        code = next((code for code in known if code), "server_error")
        status = None
    return error_of(code, _message("error in the answer", said, secrets), http_status=status, usage=usage)


def _code_of(status: int, words: tuple[str, ...], said: str) -> str:
    for word in words:
        if word in SPECIFIC_WORDS:
            return SPECIFIC_WORDS[word]
    if status in (400, 413, 422):
        lowered = said.lower()
        for phrase, code in PHRASES:
            if phrase in lowered:
                return code
    default = "server_error" if status >= 500 else "invalid_request" if status >= 400 else "bad_response"
    return STATUSES.get(status, default)


def _said(body: bytes) -> tuple[tuple[str, ...], str]:
    """The error's words (most telling first) and its message."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return (), _plain(body)
    if isinstance(value, list) and value:  # Gemini's compatible endpoint wraps the object
        value = value[0]
    if isinstance(value, Mapping):
        return _words_and_message(value.get("error", value))
    return (), _plain(body)


def _words_and_message(error: object) -> tuple[tuple[str, ...], str]:
    if isinstance(error, Mapping):
        words = tuple(word for key in ("code", "type") if isinstance(word := error.get(key), str))
        message = error.get("message") or error.get("detail") or ""
        return words, message if isinstance(message, str) else orjson.dumps(message).decode()
    return (), error if isinstance(error, str) else ""


def _plain(body: bytes) -> str:
    said = body.decode("utf-8", "replace").strip()
    if said[:1] == "<":
        lowered = said.lower()
        start, end = lowered.find("<title>"), lowered.find("</title>")
        title = said[start + 7 : end].strip() if 0 <= start < end else ""
        return f"a web page instead of an answer{f' titled {title!r}' if title else ''}; is 'base_url' right?"
    return said


def _message(where: str, said: str, secrets: tuple[str, ...]) -> str:
    said = " ".join(masked(said, secrets).split())[:MAX_MESSAGE_CHARS]
    return f"{where}: {said}" if said else where
