"""The window of true minutes."""

from __future__ import annotations

from llm_scheduler.brokers.window import TokenWindow

SECOND_US = 1_000_000


KEPT_US = 60_600_000


def test_a_start_is_counted_for_a_minute_and_a_half_second() -> None:
    window = TokenWindow()
    window.add(99_999, 100)

    assert window.wait_us(60_599_999, 1, 100) == 1
    assert window.wait_us(KEPT_US, 1, 100) == 0


def test_the_wait_ends_when_enough_old_starts_have_left() -> None:
    window = TokenWindow()
    for second in range(10):
        window.add(second * SECOND_US, 10)

    assert window.wait_us(10 * SECOND_US, 25, 100) == 2 * SECOND_US + KEPT_US - 10 * SECOND_US


def test_a_correction_counts_where_the_start_stood() -> None:
    window = TokenWindow()
    slice_ = window.add(0, 100)
    window.add(30 * SECOND_US, 50)

    window.correct(40 * SECOND_US, slice_, -90)

    assert window.wait_us(40 * SECOND_US, 40, 100) == 0
    assert window.wait_us(40 * SECOND_US, 41, 100) > 0


def test_a_correction_that_comes_too_late_changes_nothing() -> None:
    window = TokenWindow()
    slice_ = window.add(0, 100)
    window.add(70 * SECOND_US, 50)

    window.correct(70 * SECOND_US, slice_, -90)

    assert window.wait_us(70 * SECOND_US, 51, 100) > 0


def test_a_long_silence_empties_the_window() -> None:
    window = TokenWindow()
    for second in range(60):
        window.add(second * SECOND_US, 10)

    assert window.wait_us(10_000 * SECOND_US, 100, 100) == 0
