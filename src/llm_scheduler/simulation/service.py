"""How long the provider takes for a call."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from random import Random

    from llm_scheduler.simulation.load import Load


class Speed(NamedTuple):
    """A provider's pace for calls whose time is not known.

    A call takes `first_s + input / input_per_s + output / output_per_s`, times a log-normal factor of mean 1 whose
    logarithm has the deviation `noise`. The defaults are what the traces of the goals (bench/traces/goals) were made
    with, found by least squares.
    """

    first_s: float = 0.34
    input_per_s: float = 5_500.0
    output_per_s: float = 57.0
    noise: float = 0.2


def timed(load: Load, speed: Speed, rng: Random) -> Load:
    """The load with a time for each call that has none. Drawn once, so that every setting replays the same calls."""
    requests = []
    for one in load.requests:
        if one.service_s is None:
            plain_s = speed.first_s + one.input_tokens / speed.input_per_s + one.output_tokens / speed.output_per_s
            factor = math.exp(rng.gauss(-(speed.noise**2) / 2, speed.noise)) if speed.noise else 1.0
            requests.append(one._replace(service_s=plain_s * factor))
        else:
            requests.append(one)
    return load._replace(requests=tuple(requests))
