"""Events of Anthropic's streams put together to the Message that would have come without streaming."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.provider import Answer
from llm_scheduler.providers.tokens import estimated_prompt_tokens

_PROMPT_COUNTS: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_CACHE_COUNTS: Final = ("cache_read_input_tokens", "cache_creation_input_tokens")
_PIECES: Final[Mapping[str, tuple[str, str]]] = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "partial_json"),
}
"""Type of a delta: its field, and the block's field that grows by it."""


class MessageAssembly:
    """One Message.

    Args:
        body: the request, for estimating the prompt if the server counts nothing.
    """

    def __init__(self, body: Mapping[str, object]) -> None:
        self.is_over = False
        self._body = body
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}

    @property
    def is_complete(self) -> bool:
        """The message says why it stopped, or that it has."""
        return bool(self._message) and (self.is_over or bool(self._message.get("stop_reason")))

    def add(self, chunk: dict[str, Any]) -> str:
        """Take an event in; gives the text that it adds. Unknown events are passed over, as Anthropic asks."""
        kind = chunk.get("type")
        if kind == "content_block_delta":
            return self._add_delta(chunk.get("index", 0), chunk.get("delta") or {})
        if kind == "content_block_start":
            return self._start_block(chunk.get("index", 0), dict(chunk.get("content_block") or {}))
        if kind == "message_start":
            self._message = dict(chunk.get("message") or {})
            self._count(self._message.get("usage"))
        elif kind == "message_delta":
            self._message.update(chunk.get("delta") or {})
            self._count(chunk.get("usage"))
        elif kind == "message_stop":
            self.is_over = True
        return ""

    def take_whole(self, body: dict[str, Any]) -> str | None:
        """Take an answer that was not streamed; None if it is no message."""
        if not isinstance(body.get("content"), list):
            return None
        self._message = dict(body)
        self._count(body.get("usage"))
        self._blocks = dict(enumerate(body["content"]))
        return _text_of(body["content"])

    def usage_so_far(self) -> Usage:
        """As counted by the server, tokens of the cache among the prompt's; else an estimate."""
        counted = self._usage
        prompt = sum(_number(counted.get(name)) for name in _PROMPT_COUNTS)
        # At the start the server counts a token or so; while the message goes on, our estimate is nearer.
        said = _number(counted.get("output_tokens"))
        if not self.is_complete or not said:
            said = max(said, estimated_prompt_tokens({"input": self._ended_blocks()}))
        cached, written = (_number(counted.get(name)) for name in _CACHE_COUNTS)
        return Usage(prompt or estimated_prompt_tokens(self._body), said, cached, written)

    def answer(self, ttft_ms: int | None) -> Answer:
        """The whole."""
        blocks = self._ended_blocks()
        raw = {**self._message, "content": blocks, "usage": self._usage}
        usage = self.usage_so_far()
        if not self._usage:
            raw["usage"] = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
            raw["usage_estimated"] = True
        reason = self._message.get("stop_reason")
        return Answer(_text_of(blocks), raw, usage, reason if isinstance(reason, str) else None, ttft_ms)

    def _count(self, usage: object) -> None:
        """Later counts are totals; null leaves a count as it was."""
        if isinstance(usage, Mapping):
            self._usage.update({name: value for name, value in usage.items() if value is not None})

    def _start_block(self, index: int, block: dict[str, Any]) -> str:
        said = block.pop("text", None) if block.get("type") == "text" else None
        self._blocks[index] = block
        if said is None:
            return ""
        self._pieces[index, "text"] = [said]
        return said

    def _add_delta(self, index: int, delta: Mapping[str, Any]) -> str:
        kind = delta.get("type", "")
        self._blocks.setdefault(index, {"type": kind.removesuffix("_delta")})
        if kind == "citations_delta":
            block = self._blocks[index]
            block["citations"] = [*(block.get("citations") or ()), delta.get("citation")]
            return ""
        if kind not in _PIECES:
            return ""
        source, target = _PIECES[kind]
        piece = delta.get(source) or ""
        self._pieces.setdefault((index, target), []).append(piece)
        return piece if kind == "text_delta" else ""

    def _ended_blocks(self) -> list[dict[str, Any]]:
        blocks = {index: dict(block) for index, block in self._blocks.items()}
        for (index, name), pieces in self._pieces.items():
            block, said = blocks[index], "".join(pieces)
            if name != "partial_json":
                block[name] = (block.get(name) or "") + said
            elif said:
                try:
                    block["input"] = orjson.loads(said)
                except orjson.JSONDecodeError:  # cut at max_tokens: keep what there is
                    block[name] = said
        return [blocks[index] for index in sorted(blocks)]


def _text_of(blocks: list[Any]) -> str:
    return "".join(block.get("text") or "" for block in blocks if block.get("type") == "text")


def _number(value: object) -> int:
    return int(min(value, 2**53)) if isinstance(value, int | float) and value > 0 else 0
