"""A kind of task beyond chat, completion and embedding: another input, the same calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.ports.provider import Answer

WIRE_TYPES = frozenset({"chat", "completion", "embedding"})
"""Types of call that providers know by themselves."""


class TaskType(Protocol):
    """Pure, and quick: it runs between other tasks. A task of it goes to any model that takes its wire type."""

    name: str

    def check(self, value: str | dict[str, object]) -> dict[str, object]:
        """What is recorded as the task's input: an object that JSON can hold.

        Raises:
            InvalidInputError: with `loc` ("input", field) and what to do.
        """
        ...

    def estimate(self, body: Mapping[str, object]) -> tuple[int, int]:
        """Tokens that go in, and tokens that may come out."""
        ...

    def to_call(self, body: Mapping[str, object]) -> tuple[str, dict[str, object]]:
        """The wire type and the request body, in the provider's own words."""
        ...

    def finish(self, answer: Answer, body: Mapping[str, object]) -> Answer:
        """The answer as it is recorded.

        Raises:
            ProviderError: it is no answer to this task; says whether another try may give one.
        """
        ...
