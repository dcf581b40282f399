"""Trying a provider out: one small real call, outside the queue and its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.ids import TaskId
from llm_scheduler.ports.provider import Call, ProviderError
from llm_scheduler.services.outcomes import task_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from llm_scheduler.domain.task import TaskError, Usage
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.provider import Provider

_LONGEST_S: Final = 60.0
_BODIES: Final[Mapping[str, Mapping[str, object]]] = {
    "chat": {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16},
    "completion": {"prompt": "Hello", "max_tokens": 16},
    "embedding": {"input": "hello"},
}


class Trial(NamedTuple):
    """One real call, timed. Exactly one of `text` and `error` is there."""

    latency_ms: int
    ttft_ms: int | None
    text: str | None
    usage: Usage | None
    error: TaskError | None


async def tried(provider: Provider, task_types: Set[str], timeout_s: float, clock: Clock) -> Trial:
    """Call it once with the first type of task that it takes; at most a minute."""
    task_type = next((kind for kind in _BODIES if kind in task_types), "chat")
    call = Call(TaskId(0), 1, task_type, _BODIES[task_type], min(timeout_s, _LONGEST_S))
    began_s = clock.monotonic_s()
    try:
        answer = await provider.call(call)
    except ProviderError as error:
        return Trial(_since_ms(began_s, clock), None, None, None, task_error(error))
    return Trial(_since_ms(began_s, clock), answer.ttft_ms, answer.text, answer.usage, None)


def _since_ms(began_s: float, clock: Clock) -> int:
    return round((clock.monotonic_s() - began_s) * 1000)
