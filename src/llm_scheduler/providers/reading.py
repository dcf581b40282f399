"""From bytes to an answer: streamed or whole, complete or cut, sense or nonsense."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

import orjson

from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.provider import NO_ALLOWANCE, ProviderError
from llm_scheduler.providers.faults import error_in_stream, error_of
from llm_scheduler.providers.masking import masked
from llm_scheduler.providers.sse import EventReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.ports.provider import Allowance, Answer
    from llm_scheduler.providers.upstream import Upstream

_SHAPE_ERRORS: Final = (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError)
"""What walking through JSON of another shape than the format's raises."""

_STREAM_STARTS: Final = b"d:eir"
"""First bytes of `data:`, a comment, `event:`, `id:` and `retry:`."""


class Assembly(Protocol):
    """Puts one wire format's pieces together."""

    is_over: bool
    """Whether the last word was heard; the reader sets it at `[DONE]`, the format at an event of its own."""

    @property
    def is_complete(self) -> bool:
        """Whether the answer has all that it needs, last word or not."""
        ...

    def add(self, chunk: dict[str, object]) -> str:
        """Take one event in; gives the text that it adds to the answer."""
        ...

    def take_whole(self, body: dict[str, object]) -> str | None:
        """Take an answer that was not streamed; gives its text, None if it is no such answer."""
        ...

    def usage_so_far(self) -> Usage:
        """Counted or estimated."""
        ...

    def answer(self, ttft_ms: int | None) -> Answer:
        """The whole."""
        ...


class AnswerReader:
    """A `Sink` that recognises a stream, a JSON body and everything else by their first byte.

    Args:
        assembly: the format.
        on_delta: gets each piece of text.
        secrets: texts that must not stand in an error.
    """

    def __init__(
        self, assembly: Assembly, on_delta: Callable[[str], None] | None, secrets: tuple[str, ...] = ()
    ) -> None:
        self._assembly = assembly
        self._on_delta = on_delta
        self._secrets = secrets
        self._started_s = time.perf_counter()
        self._ttft_ms: int | None = None
        self._claims_stream = False
        self._events: EventReader | None = None
        self._whole: list[bytes] = []
        self.allowance: Allowance = NO_ALLOWANCE

    def begin(self, content_type: str, allowance: Allowance = NO_ALLOWANCE) -> None:
        """Note what the server calls its answer, and what is left of its limits."""
        self.allowance = allowance
        self._claims_stream = content_type.startswith("text/event-stream")

    def feed(self, data: bytes) -> bool:
        """Take bytes in; True after the last event of a stream."""
        if self._events is None:
            if not self._whole and self._starts_stream(data):
                self._events = EventReader()
            else:
                self._whole.append(data)
                return False
        for event in self._events.feed(data):
            self._take(event.data)
            if self._assembly.is_over:
                return True
        return False

    def answer(self, *, is_cut: bool) -> Answer:
        """The answer, when all bytes are in.

        Args:
            is_cut: the connection broke before the body's end.

        Raises:
            ProviderError: `stream_cut` or `bad_response`.
        """
        if self._events is None:
            self._take_whole(is_cut=is_cut)
        elif not self._assembly.is_complete:
            self._take_unended()
            if not self._assembly.is_complete:
                said = "the stream ended before the answer did"
                raise error_of("stream_cut", said, http_status=200, usage=self._usage())
        try:
            answer = self._assembly.answer(self._ttft_ms)
            return replace(answer, allowance=self.allowance) if self.allowance else answer
        except _SHAPE_ERRORS as error:
            raise error_of("bad_response", "the answer has an unknown shape", http_status=200) from error

    def usage_spent(self) -> Usage:
        """What was used before the call broke off: nothing that we know of, until the first word came."""
        return Usage() if self._ttft_ms is None else self._usage()

    def _usage(self) -> Usage:
        try:
            return self._assembly.usage_so_far()
        except _SHAPE_ERRORS:
            return Usage()

    def _starts_stream(self, data: bytes) -> bool:
        first = data.lstrip()[:1]
        if first in b"{[<":
            return not first and self._claims_stream
        return self._claims_stream or first in _STREAM_STARTS

    def _take_unended(self) -> None:
        """The last event of a server that spares the blank line behind it."""
        event = self._events.close() if self._events else None
        if event is not None and (event.data == b"[DONE]" or _is_json(event.data)):
            self._take(event.data)

    def _take(self, data: bytes) -> None:
        if data == b"[DONE]":
            self._assembly.is_over = True
            return
        try:
            chunk = orjson.loads(data)
            if chunk.get("error"):
                raise error_in_stream(chunk["error"], self._secrets, self._usage())
            said = self._assembly.add(chunk)
        except _SHAPE_ERRORS as error:
            raise self._nonsense(data) from error
        if said:
            self._say(said)

    def _take_whole(self, *, is_cut: bool) -> None:
        data = b"".join(self._whole)
        if is_cut:
            raise error_of("stream_cut", "the connection broke in the middle of the answer", http_status=200)
        if not data.strip():
            raise error_of("bad_response", "the answer is empty", http_status=200)
        try:
            body = orjson.loads(data)
            if body.get("error"):
                raise error_in_stream(body["error"], self._secrets)
            said = self._assembly.take_whole(body)
        except _SHAPE_ERRORS as error:
            raise self._nonsense(data) from error
        if said is None:
            raise self._nonsense(data)
        if said:
            self._say(said)

    def _say(self, said: str) -> None:
        if self._ttft_ms is None:
            self._ttft_ms = round((time.perf_counter() - self._started_s) * 1000)
        if self._on_delta is not None:
            self._on_delta(said)

    def _nonsense(self, data: bytes) -> ProviderError:
        if data.lstrip()[:1] == b"<":
            return error_of("bad_response", "a web page instead of an answer; is 'base_url' right?", http_status=200)
        start = masked(data[:200].decode("utf-8", "replace"), self._secrets)
        return error_of("bad_response", f"the answer is not understood: {start!r}", http_status=200)


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


async def ask(upstream: Upstream, url: str, body: bytes, reader: AnswerReader, timeout_s: float) -> Answer:
    """One request and its answer, under one timeout.

    Raises:
        ProviderError: `timeout`, or what went wrong.
    """
    try:
        async with asyncio.timeout(timeout_s):
            is_whole = await upstream.post(url, body, reader)
        return reader.answer(is_cut=not is_whole)
    except TimeoutError:
        error = error_of("timeout", f"no answer within {timeout_s:g} s", usage=reader.usage_spent())
        error.allowance = reader.allowance
        raise error from None
    except ProviderError as error:
        error.allowance = error.allowance or reader.allowance  # the head was good, what came behind it was not
        raise
