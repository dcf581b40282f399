"""Money in whole numbers: nano-USD for one token, micro-USD for amounts; always rounded up.

A float would lose a micro-dollar now and then, and a budget that is off by one is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.task import Usage

NANO_PER_MICRO: Final = 1_000
MOST_MICROUSD: Final = 2**53 - 1
"""Of one amount: larger ones are cut to it. It fits every column and a number of JSON."""
MOST_TOKENS: Final = 2**53 - 1
MOST_RATE_NANOUSD: Final = 10**12
"""A thousand dollars for one token or request."""

DEFAULT_TIER: Final = "default"
STANDARD_TIERS: Final = frozenset({"", "auto", "default", "standard", "standard_only", "scale"})
"""What providers call the tier that costs what the price list says."""
CHEAPER_TIERS: Final = frozenset({"flex", "batch"})
"""Never dearer than the default, which stands in where they have no price of their own."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What one token of each kind costs, and one request, in nano-USD. None: like any other token of the prompt."""

    input_nanousd: int = 0
    output_nanousd: int = 0
    cached_input_nanousd: int | None = None
    cache_write_nanousd: int | None = None
    request_nanousd: int = 0

    @property
    def cached(self) -> int:
        """Of a token that was read from the provider's prompt cache."""
        return self.input_nanousd if self.cached_input_nanousd is None else self.cached_input_nanousd

    @property
    def written(self) -> int:
        """Of a token that was written into the provider's prompt cache."""
        return self.input_nanousd if self.cache_write_nanousd is None else self.cache_write_nanousd

    @property
    def dearest_input(self) -> int:
        """Of a token of the prompt, whatever becomes of it."""
        return max(self.input_nanousd, self.cached, self.written)


FREE: Final = Rates()


class Step(NamedTuple):
    """From so many prompt tokens on (exclusive), every token of the call has these rates."""

    above_tokens: int
    rates: Rates


class Price(NamedTuple):
    """What a call of one tier costs, and where that is known from.

    `source`: `override` (a row of `prices`), the name of a price list, `assumed`, `local`, or `unknown`.
    """

    rates: Rates
    steps: tuple[Step, ...] = ()
    source: str = "unknown"

    @property
    def is_known(self) -> bool:
        """Whether anybody said so."""
        return self.source != "unknown"

    @property
    def is_free(self) -> bool:
        """Whether a call costs nothing however long it is."""
        return all(not any(_parts(rates)) for rates in self.every_rates)

    @property
    def every_rates(self) -> tuple[Rates, ...]:
        """Those of short prompts first."""
        return (self.rates, *(step.rates for step in self.steps))

    def rates_of(self, prompt_tokens: int) -> Rates:
        """Those of a call whose prompt has so many tokens."""
        found = self.rates
        for step in self.steps:
            if prompt_tokens > step.above_tokens:
                found = step.rates
        return found


def cost_microusd(price: Price, usage: Usage) -> int:
    """What a call cost, rounded up to a whole micro-USD.

    Tokens of the prompt cache are part of `prompt_tokens`; more of them than the prompt has count as the prompt.
    """
    prompt = _tokens(usage.prompt_tokens)
    rates = price.rates_of(prompt)
    cached = min(_tokens(usage.cached_tokens), prompt)
    written = min(_tokens(usage.cache_write_tokens), prompt - cached)
    nano = (
        (prompt - cached - written) * rates.input_nanousd
        + cached * rates.cached
        + written * rates.written
        + _tokens(usage.completion_tokens) * rates.output_nanousd
        + rates.request_nanousd
    )
    return microusd(nano)


def most_microusd(price: Price, prompt_tokens: int, output_tokens: int) -> int:
    """What a call costs at most whose prompt and answer have at most so many tokens.

    Each part is taken at the dearest rate that it can have, so no usage within these bounds costs more.
    """
    every = price.every_rates
    nano = (
        _tokens(prompt_tokens) * max(rates.dearest_input for rates in every)
        + _tokens(output_tokens) * max(rates.output_nanousd for rates in every)
        + max(rates.request_nanousd for rates in every)
    )
    return microusd(nano)


def microusd(nanousd: int) -> int:
    """Whole micro-USD, rounded up, at most `MOST_MICROUSD`."""
    return min(-(-nanousd // NANO_PER_MICRO), MOST_MICROUSD)


def dearest(prices: Sequence[Price]) -> Price:
    """A price that none of these is above, part by part. Its steps are gone: their rates are in it."""
    every = [rates for price in prices for rates in price.every_rates]
    rates = Rates(
        max(one.input_nanousd for one in every),
        max(one.output_nanousd for one in every),
        max(one.cached for one in every),
        max(one.written for one in every),
        max(one.request_nanousd for one in every),
    )
    return Price(rates, source=prices[0].source)


def tier_price(tiers: Mapping[str, Price], tier: str | None) -> Price | None:
    """The price of a tier by its name. The default's stands in for a cheaper one, never for a dearer one: then None."""
    name = plain_tier(tier)
    found = tiers.get(name)
    if found is None and (name in CHEAPER_TIERS or name == DEFAULT_TIER):
        found = tiers.get(DEFAULT_TIER)
    return found


def plain_tier(tier: str | None) -> str:
    """One word for one tier: `fast` is `priority`, and every name of the usual one is `default`."""
    name = (tier or "").strip().lower()
    if name in STANDARD_TIERS:
        return DEFAULT_TIER
    return "priority" if name == "fast" else name


def _tokens(count: int) -> int:
    return min(max(count, 0), MOST_TOKENS)


def _parts(rates: Rates) -> tuple[int, ...]:
    return rates.input_nanousd, rates.output_nanousd, rates.cached, rates.written, rates.request_nanousd


def dollars(microusd: int) -> str:
    """For people: `$0.0042`."""
    whole, part = divmod(microusd, 1_000_000)
    return f"${whole}.{f'{part:06}'.rstrip('0'):0<2}"


def no_room(most_microusd: int, budgets: Sequence[str]) -> str:
    """Why a task is held, for people."""
    named = " and ".join(repr(name) for name in budgets)
    return (
        f"The call may cost {dollars(most_microusd)}, and there is no room for it in {named}. "
        "It goes on after a top-up or in a new period."
    )
