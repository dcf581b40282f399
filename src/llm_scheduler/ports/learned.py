"""What the record keeps of finished calls, so that others and later processes can expect as much.

Only sums are kept: every process adds to the same ones, in any order, and none has to read before it writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.ids import Millis

LONGEST_SCOPE: Final = 191
"""Characters of a scope's name."""


class Sums(NamedTuple):
    """Of the calls that one scope has seen.

    `input_tokens` is what the provider counted, `input_estimate` what the plain estimate had said of the same
    inputs: their ratio is the factor by which the estimate is wrong.
    """

    samples: float = 0.0
    output_tokens: float = 0.0
    service_ms: float = 0.0
    input_tokens: float = 0.0
    input_estimate: float = 0.0

    def plus(self, more: Sums) -> Sums:
        """Both together."""
        return Sums(
            self.samples + more.samples,
            self.output_tokens + more.output_tokens,
            self.service_ms + more.service_ms,
            self.input_tokens + more.input_tokens,
            self.input_estimate + more.input_estimate,
        )


class Learned(NamedTuple):
    """The sums of one scope, as they are on record."""

    scope: str
    sums: Sums
    updated_at: Millis


class LearnedMoves(Protocol):
    """Every call is safe from several processes at once."""

    async def add_samples(self, added: Mapping[str, Sums]) -> None:
        """Add to the sums of these scopes; those that are new begin with them.

        After a connection that was lost during the commit one call may count twice: means hardly notice.
        """
        ...

    async def samples(self, since: Millis, limit: int) -> Sequence[Learned]:
        """Scopes that somebody added to at this instant or later, the latest first."""
        ...

    async def fade_samples(self, most: float) -> int:
        """Halve the sums of scopes with more samples than this; how many. What is new then counts for more."""
        ...

    async def forget_samples(self, before: Millis, limit: int) -> int:
        """Remove scopes that nobody added to since before an instant; how many."""
        ...
