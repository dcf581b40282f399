"""Generated loads: so many requests a second for so long, of given lengths, urgency and tenants."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.simulation.dealing import Deal, dealt
from llm_scheduler.simulation.load import Request, ordered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from llm_scheduler.simulation.load import Load

MOST_REQUESTS: Final = 1_000_000


class Wish(NamedTuple):
    """What to generate.

    `rate` requests a second for `minutes`; the gaps are gamma draws whose coefficient of variation is `cv`
    (1 = Poisson, 0 = a metronome). Lengths are log-normal with this median and this spread (sigma of the logarithm).
    `high`, `medium`, `low`: shares of the classes. `bulk`: so many requests of one more tenant, all at a third of
    the time.
    """

    rate: float = 5.0
    minutes: float = 30.0
    cv: float = 1.0
    input: float = 700.0
    input_spread: float = 0.8
    output: float = 150.0
    output_spread: float = 0.9
    tenants: float = 20.0
    zipf: float = 1.1
    high: float = 0.2
    medium: float = 0.5
    low: float = 0.3
    bulk: float = 0.0


BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "rate": (1e-6, 100_000),
    "minutes": (1e-6, 100_000),
    "cv": (0, 20),
    "input": (1, 10_000_000),
    "input_spread": (0, 5),
    "output": (1, 10_000_000),
    "output_spread": (0, 5),
    "tenants": (1, 10_000),
    "zipf": (0, 10),
    "high": (0, 1),
    "medium": (0, 1),
    "low": (0, 1),
    "bulk": (0, MOST_REQUESTS),
}


def wish(text: str) -> Wish:
    """From `rate=5,minutes=30`; what is not named keeps its default.

    Raises:
        InvalidInputError: an unknown name or a value out of range; lists what there is.
    """
    given: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, mark, value = part.partition("=")
        if not mark or name not in BOUNDS:
            known = ", ".join(f"{key}={Wish._field_defaults[key]:g}" for key in BOUNDS)
            raise InvalidInputError(f"'{part[:60]}' is no NAME=NUMBER of a generated load. Known: {known}.", "generate")
        low, high = BOUNDS[name]
        number = _number(value)
        if not low <= number <= high:
            raise InvalidInputError(f"{name} should be from {low:g} to {high:g}, not '{value[:40]}'.", "generate")
        given[name] = number
    asked = Wish(**given)
    if asked.rate * asked.minutes * 60 + asked.bulk > MOST_REQUESTS:
        raise InvalidInputError(f"That is more than {MOST_REQUESTS:,} requests; lower rate or minutes.", "generate")
    if asked.high + asked.medium + asked.low <= 0:
        raise InvalidInputError("At least one of high, medium and low must be above 0.", "generate")
    return asked


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def generated(asked: Wish, rng: Random) -> Load:
    """The load of this wish; the same `rng` state gives the same load."""
    end_s = asked.minutes * 60
    requests: list[Request] = []
    at_s = _gap_s(asked, rng)
    while at_s < end_s:
        requests.append(_request(asked, at_s, rng))
        at_s += _gap_s(asked, rng)
    deal = Deal(int(asked.tenants), asked.zipf, (asked.high, asked.medium, asked.low))
    spread = dealt(ordered(requests), deal, rng)
    bulk = [_request(asked, end_s / 3, rng)._replace(tenant="bulk") for _ in range(int(asked.bulk))]
    return ordered((*spread.requests, *bulk))


def _gap_s(asked: Wish, rng: Random) -> float:
    if not asked.cv:
        return 1 / asked.rate
    shape = 1 / asked.cv**2
    return rng.gammavariate(shape, 1 / (asked.rate * shape))


def _request(asked: Wish, at_s: float, rng: Random) -> Request:
    return Request(
        at_s,
        max(1, round(rng.lognormvariate(math.log(asked.input), asked.input_spread))),
        max(1, round(rng.lognormvariate(math.log(asked.output), asked.output_spread))),
    )
