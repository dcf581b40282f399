"""Chunks of OpenAI's streams put together to the body that would have come without streaming."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.provider import Answer
from llm_scheduler.providers.merging import Pieces, joined, merge, merge_tool_calls
from llm_scheduler.providers.tokens import estimated_prompt_tokens

_ONLY_IN_STREAMS: Final = frozenset({"choices", "usage", "object", "obfuscation"})


class ChoicesAssembly:
    """Answers with `choices`: of chat, and of plain completion.

    Args:
        body: the request, for estimating the prompt if the server counts nothing.
        is_chat: choices hold a `message`; else a `text`.
    """

    def __init__(self, body: Mapping[str, object], *, is_chat: bool) -> None:
        self.is_over = False
        self._body = body
        self._is_chat = is_chat
        self._head: dict[str, Any] = {}
        self._has_head = False
        self._choices: dict[int, dict[str, Any]] = {}
        self._tool_calls: dict[int, dict[int, dict[str, Any]]] = {}
        self._usage: Mapping[str, Any] | None = None
        self._whole: dict[str, Any] | None = None

    @property
    def is_complete(self) -> bool:
        """Every choice has ended, or the server says that all is said."""
        choices = self._choices
        return bool(choices) and (self.is_over or all(choice["finish_reason"] for choice in choices.values()))

    def add(self, chunk: dict[str, Any]) -> str:
        """Take a chunk in; gives the text that it adds to the first choice."""
        choices = chunk.get("choices")
        usage = chunk.get("usage")
        if usage:
            self._usage = usage
        said = ""
        is_in_midst = self._has_head
        for part in choices or ():
            index = part.get("index") or 0
            piece = self._add_to(index, part)
            if index == 0:
                said += piece
            if part.get("finish_reason"):
                is_in_midst = False
        if not (is_in_midst and choices and not usage):
            self._take_head(chunk)
        return said

    def take_whole(self, body: dict[str, Any]) -> str | None:
        """Take an answer that was not streamed; None if it has no choices."""
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return None
        self._whole = body
        self._usage = body.get("usage")
        return _text_of(choices[0])

    def usage_so_far(self) -> Usage:
        """As counted by the server; else an estimate."""
        if self._usage:
            return usage_of(self._usage)
        choices = self._whole["choices"] if self._whole else self._ended_choices()
        said = sum(estimated_prompt_tokens({"input": _said_in(choice)}) for choice in choices)
        return Usage(estimated_prompt_tokens(self._body), said)

    def answer(self, ttft_ms: int | None) -> Answer:
        """The whole."""
        raw = self._whole if self._whole is not None else self._assembled()
        usage = self.usage_so_far()
        if not self._usage:
            raw = {**raw, "usage": usage_object(usage), "usage_estimated": True}
        first = raw["choices"][0]
        reason = first.get("finish_reason")
        return Answer(_text_of(first), raw, usage, reason if isinstance(reason, str) else None, ttft_ms)

    def _take_head(self, chunk: dict[str, Any]) -> None:
        """Keep what is no choice. Some comes early, some late (timings, service_tier): the midst is spared."""
        self._has_head = bool(chunk.get("choices"))
        head = self._head
        for key, value in chunk.items():
            if key not in _ONLY_IN_STREAMS and ((value is not None and value != "") or key not in head):
                head[key] = value

    def _assembled(self) -> dict[str, Any]:
        name = "chat.completion" if self._is_chat else "text_completion"
        raw = {"id": "", "object": name, **self._head, "choices": self._ended_choices()}
        if self._usage:
            raw["usage"] = self._usage
        return raw

    def _add_to(self, index: int, part: Mapping[str, Any]) -> str:
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = {"index": index, "finish_reason": None, "logprobs": None}
            if self._is_chat:
                choice["message"] = {"role": "assistant", "content": None}
        piece = ""
        for key, value in part.items():
            if value is None or key == "index":
                continue
            if key == "delta":
                piece = self._add_delta(index, choice["message"], value) if self._is_chat else ""
            elif key == "text":
                piece = value
                merge(choice, key, value)
            elif key == "usage":  # Moonshot counts here
                self._usage = self._usage or value
            elif key == "logprobs":
                merge(choice, key, value)
            else:
                choice[key] = value
        return piece

    def _add_delta(self, index: int, message: dict[str, Any], delta: Mapping[str, Any]) -> str:
        piece = ""
        for key, value in delta.items():
            if value is None:
                continue
            if key == "tool_calls":
                merge_tool_calls(self._tool_calls.setdefault(index, {}), value)
                continue
            if key == "content" and isinstance(value, str):
                piece = value
                have = message["content"]
                if type(have) is Pieces:  # nearly always: spared the call
                    have.append(value)
                    continue
            merge(message, key, value)
        return piece

    def _ended_choices(self) -> list[dict[str, Any]]:
        choices = []
        for index in sorted(self._choices):
            choice = joined(self._choices[index])
            calls = self._tool_calls.get(index)
            if calls:
                message = choice["message"]
                message["tool_calls"] = [joined(calls[at]) for at in sorted(calls)]
                # An empty content beside tool calls is how some streams write null.
                message["content"] = message["content"] or None
            elif not self._is_chat:
                choice.setdefault("text", "")
            choices.append(choice)
        return choices


class EmbeddingAssembly:
    """The answer to an embedding request, which is never streamed."""

    def __init__(self, body: Mapping[str, object]) -> None:
        self.is_over = False
        self.is_complete = False
        self._body = body
        self._whole: dict[str, Any] = {}

    def add(self, chunk: dict[str, Any]) -> str:
        """Pass over: a stream is no answer here."""
        return ""

    def take_whole(self, body: dict[str, Any]) -> str | None:
        """Take the body; None if it holds no embeddings."""
        if not isinstance(body.get("data"), list) or not body["data"]:
            return None
        self._whole = body
        return ""

    def usage_so_far(self) -> Usage:
        """As counted by the server; else an estimate."""
        usage = self._whole.get("usage")
        return usage_of(usage) if usage else Usage(estimated_prompt_tokens(self._body))

    def answer(self, ttft_ms: int | None) -> Answer:
        """The whole; it has no text."""
        raw = self._whole
        usage = self.usage_so_far()
        if not raw.get("usage"):
            raw = {**raw, "usage": usage_object(usage), "usage_estimated": True}
        return Answer("", raw, usage, None, ttft_ms)


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Tokens out of OpenAI's usage object."""
    details = usage.get("prompt_tokens_details")
    parts: Mapping[str, Any] = details if isinstance(details, Mapping) else {}
    # DeepSeek and Moonshot count hits of their caches at the top.
    cached = parts.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or usage.get("cached_tokens")
    return Usage(
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        _count(cached),
        _count(parts.get("cache_write_tokens")),
    )


def usage_object(usage: Usage) -> dict[str, int]:
    """OpenAI's usage object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _count(value: object) -> int:
    return int(min(value, 2**53)) if isinstance(value, int | float) and value > 0 else 0


def _text_of(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    said = message.get("content") if isinstance(message, Mapping) else choice.get("text")
    return said if isinstance(said, str) else ""


def _said_in(choice: Mapping[str, Any]) -> list[object]:
    """What was generated: text, thoughts and the arguments of calls."""
    message = choice.get("message")
    if not isinstance(message, Mapping):
        return [choice.get("text")]
    calls = message.get("tool_calls") or ()
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    return [
        message.get("content"),
        message.get("refusal"),
        thoughts,
        *(call.get("function") for call in calls),
    ]
