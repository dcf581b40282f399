"""The memory level's bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.contract.store_scene import StillClock

from llm_scheduler.caches.memory import MemoryCache


def test_the_least_recently_used_makes_room() -> None:
    evicted: list[int] = []
    cache = MemoryCache(StillClock(), max_entries=2, note_evicted=evicted.append)
    cache.keep("a", b"1", 60)
    cache.keep("b", b"2", 60)
    cache.look("a")
    cache.keep("c", b"3", 60)

    assert [cache.look(key) for key in "abc"] == [b"1", None, b"3"]
    assert evicted == [1]


def test_large_values_make_room_by_bytes() -> None:
    cache = MemoryCache(StillClock(), max_bytes=100)
    for number in range(9):
        cache.keep(str(number), b"x" * 9, 60)
    cache.keep("big", b"x" * 80, 60)

    assert cache.size_bytes <= 100
    assert cache.look("big") is not None
    assert cache.look("8") is not None


def test_time_to_live_goes_by_the_still_clock() -> None:
    clock = StillClock()
    cache = MemoryCache(clock)
    cache.keep("a", b"1", 5)
    clock.pass_s(4.9)
    assert cache.look("a") == b"1"
    clock.pass_s(0.1)

    assert cache.look("a") is None
    assert (len(cache), cache.size_bytes) == (0, 0)
    cache.keep("a", b"2", 5)
    assert cache.look("a") == b"2"


@given(
    st.lists(st.tuples(st.sampled_from(["keep", "look", "forget", "wait"]), st.integers(0, 7), st.integers(0, 40))),
)
def test_bounds_and_sums_hold_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    """Never more entries or bytes than allowed; the sum of bytes is that of what is held."""
    clock = StillClock()
    cache = MemoryCache(clock, max_entries=4, max_bytes=100)
    truth: dict[str, bytes] = {}
    for what, number, size in steps:
        key = f"k{number}"
        if what == "keep":
            if cache.look(key) is None:
                truth[key] = bytes([number]) * size
            cache.keep(key, bytes([number]) * size, 10)
        elif what == "look":
            assert cache.look(key) in (None, truth.get(key))
        elif what == "forget":
            cache.forget([key])
            assert cache.look(key) is None
        else:
            clock.pass_s(size)
        held = {key: value for key in truth if (value := cache.look(key)) is not None}
        assert len(cache) <= 4
        assert sum(len(key) + len(value) for key, value in held.items()) <= cache.size_bytes <= 100
    clock.pass_s(100)
    for key in truth:
        cache.look(key)
    assert cache.size_bytes == 0
