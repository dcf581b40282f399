from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.providers.retry_after import MAX_WAIT_S, retry_after_s

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
EPOCH_S = 1_792_567_680  # the same instant


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "86400"}, MAX_WAIT_S),
        ({"retry-after": "2s"}, 2),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": DATE}, 30),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:30 GMT", "date": DATE}, 0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"x-ratelimit-reset-requests": "20ms", "x-ratelimit-reset-tokens": "6m0s"}, 0.02),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"}, 360),
        ({"x-ratelimit-reset-requests": "1h2m3.5s"}, MAX_WAIT_S),
        ({"x-ratelimit-reset": str(EPOCH_S + 12), "date": DATE}, 12),
        ({"x-ratelimit-reset": str((EPOCH_S + 12) * 1000), "date": DATE}, 12),
        ({"x-ratelimit-reset-requests": "5"}, 5),
        ({"anthropic-ratelimit-requests-reset": "2026-10-21T07:28:45Z", "date": DATE}, 45),
        (
            {
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-10-21T07:28:45Z",
                "anthropic-ratelimit-requests-remaining": "4",
                "anthropic-ratelimit-requests-reset": "2026-10-21T07:28:02Z",
                "date": DATE,
            },
            45,
        ),
    ],
)
def test_every_way_to_name_a_wait_is_understood(headers: dict[str, str], wait_s: float | None) -> None:
    assert retry_after_s(headers) == (None if wait_s is None else pytest.approx(wait_s))


@given(said=st.text(max_size=40), reset=st.text(max_size=40), date=st.sampled_from(["", DATE, "x"]))
def test_whatever_a_server_writes_the_wait_is_sane(said: str, reset: str, date: str) -> None:
    wait_s = retry_after_s({"retry-after": said, "x-ratelimit-reset": reset, "date": date})

    assert wait_s is None or 0 <= wait_s <= MAX_WAIT_S
