"""The goal for pacing, on a virtual clock: the limit is used and hardly a call is refused (see `bench/pacing.py`)."""

from __future__ import annotations

import pytest
from bench.pacing import CASES, Case, lengths, measure

SECONDS = 600.0
SHORT = (
    "bucket 60 s, charges max_tokens",
    "bucket 6 s",
    "Azure-like windows",
    "true windows of 60 s",
    "bucket 60 s, configured 2x too high",
    "bucket 60 s, configured 2x too low",
)
SHARED = next(case for case in CASES if case.has_others and case.charges_most)


@pytest.mark.parametrize("case", [*(case for case in CASES if case.name in SHORT), SHARED], ids=lambda case: case.name)
async def test_the_limit_is_used_and_hardly_a_call_is_refused(case: Case) -> None:
    """Half as long as the bench, so one percent of slack for what the first minutes cost."""
    used, refused = await measure(case, lengths(), SECONDS, seed=2)

    assert case.goal is not None
    assert used >= case.goal[0] - 0.01
    assert refused <= case.goal[1] + 0.002
