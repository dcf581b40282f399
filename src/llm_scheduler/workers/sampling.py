"""What a call tells the controller of concurrency."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.ports.provider import Fault
from llm_scheduler.scheduling.concurrency import Outcome, Sample
from llm_scheduler.services.concurrency import REFUSED_HOLD_S, is_no_room

if TYPE_CHECKING:
    from llm_scheduler.domain.model import Model
    from llm_scheduler.ports.provider import Answer, ProviderError
    from llm_scheduler.workers.tools import Tools


FULL: Final = frozenset({"throttled", "circuit", "drained", "concurrency"})
"""What holds an endpoint that takes no calls of another one; limits of time only tell it to wait."""
FASTEST_MS: Final = 0.5
"""For one token of an answer: no server writes two thousand in a second into one stream."""


class Timed:
    """One call of a model, from now on."""

    __slots__ = ("_at", "_began_s", "_endpoint", "_model", "_tools")

    def __init__(self, tools: Tools, model: Model, endpoint: str | None = None) -> None:
        self._tools, self._model, self._endpoint = tools, model, endpoint
        self._at, self._began_s = tools.clock.now(), tools.clock.monotonic_s()

    def answered(self, answer: Answer) -> None:
        """It gave an answer."""
        usage, latency_ms, ttft_ms = answer.usage, self._ms(), answer.ttft_ms
        if ttft_ms is not None and latency_ms - ttft_ms <= FASTEST_MS * usage.completion_tokens:
            ttft_ms = None  # it came whole, or a proxy held it back: its first token says nothing of waiting
        self._note(Sample(self._at, latency_ms, ttft_ms, usage.prompt_tokens, usage.completion_tokens))

    async def refused(self, error: ProviderError) -> bool:
        """It failed; whether for want of room, so that fewer calls at once are the remedy and no pause.

        While another endpoint takes calls, fewer at once would starve it: the one that is full pauses instead.
        Returns when the slot may be given back: the next call would find no room either.
        """
        tools, latency_ms = self._tools, self._ms()
        if not tools.concurrency.holds(self._model):
            return False
        if not is_no_room(error, latency_ms, tools.models.timeout_s(self._model)):
            return False
        if await self._have_others_room():
            return False
        self._note(Sample(self._at, latency_ms, None, 0, 0, Outcome.REFUSED))
        if error.fault is Fault.LIMIT or error.code == "overloaded":
            await asyncio.sleep(REFUSED_HOLD_S)
        return True

    async def _have_others_room(self) -> bool:
        if self._endpoint is None:
            return False
        try:
            state = await self._tools.broker.state(self._model.id)
        except BrokerUnavailableError:
            return True  # nothing is known against it
        others = [gate for gate in state.gates if gate.endpoint != self._endpoint]
        return any(not FULL & {hold.reason for hold in gate.holds} for gate in others)

    def _ms(self) -> int:
        return round((self._tools.clock.monotonic_s() - self._began_s) * 1000)

    def _note(self, sample: Sample) -> None:
        self._tools.concurrency.note(self._model, sample)
