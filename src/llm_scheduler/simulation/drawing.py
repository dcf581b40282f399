"""Runs as pictures: what is drawn, and how it looks in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.simulation.run import Run

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"


def waiting_over_time(run: Run, points: int, span_s: float) -> list[float]:
    """How many requests waited, on average, in each of so many equal parts of the span."""
    width_s = span_s / points if span_s else 1.0
    sums = [0.0] * points
    for number, request in enumerate(run.load.requests):
        first_s, last_s = request.at_s, request.at_s + run.wait_s(number)
        part = int(first_s // width_s)
        while part < points and part * width_s < last_s:
            sums[part] += max(0.0, min(last_s, (part + 1) * width_s) - max(first_s, part * width_s))
            part += 1
    return [one / width_s for one in sums]


def sparkline(values: Sequence[float], most: float | None = None) -> str:
    """One character a value, from the lowest to `most` (default: the largest)."""
    top = max(values, default=0.0) if most is None else most
    if top <= 0:
        return _LEVELS[0] * len(values)
    return "".join(_LEVELS[min(len(_LEVELS) - 1, int(value / top * len(_LEVELS)))] for value in values)


def bar(value: float, most: float, width: int) -> str:
    """A bar of at most so many characters, exact to an eighth of one."""
    eighths = 0 if most <= 0 else round(min(1.0, value / most) * width * 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")
