"""The last minute's calls and tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.telemetry.minute import Minute


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 9), st.integers(0, 999)), max_size=60))
def test_it_sums_what_lies_within_sixty_seconds(steps: list[tuple[float, int, int]]) -> None:
    """Against a plain list, whatever the gaps."""
    minute, at_s, seen = Minute(), 1_000.0, list[tuple[int, int, int]]()
    for gap_s, calls, tokens in steps:
        at_s += gap_s
        minute.add(at_s, calls, tokens)
        seen.append((int(at_s), calls, tokens))

    recent = [(calls, tokens) for second, calls, tokens in seen if second > int(at_s) - 60]
    assert minute.sums(at_s) == (sum(c for c, _ in recent), sum(t for _, t in recent))
