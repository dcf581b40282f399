"""Waiting after failures."""

from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.refresh import RefreshToken, first_half, kept_of, parsed
from llm_scheduler.domain.tries import FREE_TRIES, KEPT_MS, LONGEST_WAIT_S, Tries


def test_the_first_failures_cost_nothing_and_then_the_wait_doubles() -> None:
    tries, now, waits = Tries(), 0, list[int]()
    for _ in range(18):
        now += tries.wait_ms(Millis(now))
        tries = tries.failed(Millis(now))
        waits.append(tries.wait_ms(Millis(now)) // 1000)

    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300, 300]


@given(st.lists(st.integers(0, 10_000_000), max_size=60))
def test_no_wait_is_longer_than_the_longest_and_no_count_is_kept_longer_than_it_matters(gaps: list[int]) -> None:
    tries, now = Tries(), 1_800_000_000_000
    for gap in gaps:
        now += gap
        tries = tries.failed(Millis(now))

        assert tries.wait_ms(Millis(now)) <= LONGEST_WAIT_S * 1000
        assert tries.left_at(Millis(now + KEPT_MS)) == 0


@given(st.integers(0, 40), st.floats(0, 50), st.integers(0, 10**7))
def test_forgiving_never_makes_it_worse(failures: int, forgiven: float, later: int) -> None:
    tries = Tries()
    for _ in range(failures):
        tries = tries.failed(Millis(0))
    after = tries.forgiven(Millis(later), forgiven)

    assert 0 <= after.failures <= tries.left_at(Millis(later)) + 1e-9
    assert after.wait_ms(Millis(later)) <= tries.wait_ms(Millis(later))


def test_the_name_that_signed_in_is_as_new() -> None:
    tries = Tries()
    for _ in range(FREE_TRIES + 3):
        tries = tries.failed(Millis(0))

    assert tries.forgiven(Millis(1), 1_000) == Tries(0, 1, 0)


def test_refresh_tokens_come_apart_as_they_were_put_together() -> None:
    family, turn = first_half()
    token = RefreshToken(17, 3, family, turn)  # type: ignore[arg-type]

    assert parsed(token.text) == token
    assert token.kept == kept_of(family, turn)
    assert len(token.kept) == 64
    following = token.next()
    assert (following.generation, following.family) == (4, family)
    assert following.turn != turn
    assert following.is_of(token.kept)
    assert following.kept != token.kept
    assert following.csrf == token.csrf


@given(st.text(max_size=120))
def test_no_text_breaks_the_reading_of_refresh_tokens(text: str) -> None:
    found = parsed(text)

    assert found is None or found.text.split(".")[2] == text.split(".")[2]
