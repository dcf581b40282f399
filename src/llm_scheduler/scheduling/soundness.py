"""What a placement must be, so that both brokers can sort by it. Built-in strategies give nothing else."""

from __future__ import annotations

from math import isfinite
from typing import Final

from llm_scheduler.domain.placement import Placement

MOST_BANDS: Final = 100
"""A broker goes through the bands one by one."""
LARGEST: Final = (1 << 53) - 1
"""Whole numbers up to it are exact in a float, which is what Redis sorts by."""
_LEAST_WEIGHT: Final = 1e-9
_GREATEST_WEIGHT: Final = 1e9


def unsound(placement: object) -> str | None:
    """What is wrong with what a strategy gave; None = nothing."""
    if type(placement) is not Placement:
        return f"gave {type(placement).__name__}, not a Placement"
    band, share, weight, cost, order = placement
    wholes = (("band", band, 0, MOST_BANDS - 1), ("share", share, 0, LARGEST), ("order", order, -LARGEST, LARGEST))
    for name, number, least, most in wholes:
        if type(number) is not int:
            return f"{name} is {_shown(number)}, not a whole number"
        if not least <= number <= most:
            return f"{name} is {number:.3g}, not from {least} to {most}"
    for name, number, least, most in (("weight", weight, _LEAST_WEIGHT, _GREATEST_WEIGHT), ("cost", cost, 1, LARGEST)):
        if type(number) not in (int, float) or not isfinite(number):
            return f"{name} is {_shown(number)}, not a finite number"
        if not least <= number <= most:
            return f"{name} is {number:.3g}, not from {least:g} to {most:g}"
    return None


def _shown(value: object) -> str:
    return f"{value}" if isinstance(value, float | bool | None) else f"a {type(value).__name__}"
