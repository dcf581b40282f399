from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from tests.stubs.canned import CANNED

from llm_scheduler.ports.broker import Unit
from llm_scheduler.ports.provider import Allowance, Quota
from llm_scheduler.providers.allowance import HEADERS, MAX_COUNT, MAX_RESET_S, allowance_of
from llm_scheduler.providers.faults import error_of_answer

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
EPOCH_S = 1_792_567_680  # the same instant
R, T, I, O = Unit.REQUESTS, Unit.TOKENS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS  # noqa: E741
TABLE: list[tuple[dict[str, str], Allowance]] = [
    ({}, {}),
    ({"content-type": "text/event-stream", "retry-after": "3"}, {}),
    (
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-limit-tokens": "150000",
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-remaining-tokens": "149984",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-reset-tokens": "6m0s",
        },
        {R: Quota(60, 59, 1), T: Quota(150_000, 149_984, 360)},
    ),
    (
        {"X-RateLimit-Limit-Tokens": "10", "X-RateLimit-Remaining-Tokens": "9", "X-RateLimit-Reset-Tokens": "20ms"},
        {T: Quota(10, 9, 0.02)},
    ),
    (  # Azure says no more than this
        {"x-ratelimit-remaining-requests": "119", "x-ratelimit-remaining-tokens": "119500"},
        {R: Quota(None, 119), T: Quota(None, 119_500)},
    ),
    (
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-10-21T07:28:45Z",
            "anthropic-ratelimit-tokens-limit": "48000",
            "anthropic-ratelimit-tokens-remaining": "40000",
            "anthropic-ratelimit-tokens-reset": "2026-10-21T09:28:12+02:00",
            "anthropic-ratelimit-input-tokens-limit": "40000",
            "anthropic-ratelimit-input-tokens-remaining": "39000",
            "anthropic-ratelimit-input-tokens-reset": "2026-10-21T07:28:02Z",
            "anthropic-ratelimit-output-tokens-limit": "8000",
            "anthropic-ratelimit-output-tokens-remaining": "0",
            "anthropic-ratelimit-output-tokens-reset": "2026-10-21T07:27:00Z",
            "date": DATE,
        },
        {R: Quota(50, 49, 45), T: Quota(48_000, 40_000, 12), I: Quota(40_000, 39_000, 2), O: Quota(8_000, 0, 0)},
    ),
    # Compatibles: the epoch in seconds and milliseconds, plain seconds, the short form.
    (
        {"x-ratelimit-remaining-requests": "4", "x-ratelimit-reset-requests": f"{EPOCH_S + 12}", "date": DATE},
        {R: Quota(None, 4, 12)},
    ),
    (
        {"x-ratelimit-remaining-requests": "4", "x-ratelimit-reset-requests": f"{EPOCH_S + 12}000", "date": DATE},
        {R: Quota(None, 4, 12)},
    ),
    ({"x-ratelimit-remaining-tokens": "4", "x-ratelimit-reset-tokens": "37.5"}, {T: Quota(None, 4, 37.5)}),
    (
        {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "7", "x-ratelimit-reset": "30"},
        {R: Quota(100, 7, 30)},
    ),
    ({"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "7", "ratelimit-reset": "30"}, {R: Quota(100, 7, 30)}),
    # What cannot be understood is left out, and takes nothing else with it.
    ({"x-ratelimit-remaining-requests": "4", "x-ratelimit-reset-requests": f"{EPOCH_S}"}, {R: Quota(None, 4)}),
    ({"x-ratelimit-remaining-requests": "4", "x-ratelimit-reset-requests": "5000000"}, {R: Quota(None, 4)}),
    ({"x-ratelimit-remaining-requests": "4", "x-ratelimit-reset-requests": "soon"}, {R: Quota(None, 4)}),
    ({"x-ratelimit-remaining-requests": "many", "x-ratelimit-remaining-tokens": "1e3"}, {T: Quota(None, 1000)}),
    ({"x-ratelimit-remaining-requests": "-1", "x-ratelimit-limit-requests": "60"}, {}),
    ({"x-ratelimit-remaining-requests": "nan", "x-ratelimit-remaining-tokens": "inf"}, {}),
    ({"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "3"}, {R: Quota(None, 3)}),
    ({"x-ratelimit-limit-requests": "60", "x-ratelimit-reset-requests": "1s"}, {}),
]


@pytest.mark.parametrize(("headers", "said"), TABLE)
def test_every_way_to_name_a_limit_is_understood(headers: dict[str, str], said: Allowance) -> None:
    assert allowance_of(CIMultiDict(headers)) == said


NAMES = sorted({name for families in HEADERS.values() for names in families for name in names} | {"date"})
WORDS = st.one_of(
    st.text(max_size=30),
    st.integers(-10, 10**20).map(str),
    st.floats().map(str),
    st.sampled_from(["6m0s", "1h2m3.5s", "20ms", "s", "2026-10-21T07:28:45Z", "9999-99-99", "1e309", "٣", DATE, ""]),
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # the table of all characters is read once, and may be slow
@given(headers=st.dictionaries(st.sampled_from(NAMES), WORDS))
def test_whatever_a_server_writes_the_allowance_is_sane(headers: dict[str, str]) -> None:
    for quota in allowance_of(headers).values():
        assert 0 <= quota.remaining <= MAX_COUNT
        assert quota.limit is None or 0 < quota.limit <= MAX_COUNT
        assert quota.reset_s is None or 0 <= quota.reset_s < MAX_RESET_S


def test_a_refusal_says_what_is_left_as_well() -> None:
    canned = CANNED["429_go"]

    error = error_of_answer(canned.status, CIMultiDict(canned.headers), canned.body)

    assert error.allowance == {R: Quota(None, 12, 8.64), T: Quota(None, 0, 72.5)}
