from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.providers.sse import Event, EventReader

LINES = st.sampled_from(
    [b"data: a", b"data:b", b"data:  c ", b"data", b"event: delta", b"event:x", b": a comment", b"id: 7", b"retry: 3",
     b"", b"", b"data: \xc3\xa9", b"unknown: y", b"data: x:y"]
)  # fmt: skip
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=30).map(lambda lines: b"".join(a + b for a, b in lines))


def read(*parts: bytes) -> list[Event]:
    reader = EventReader()
    events = [event for part in parts for event in reader.feed(part)]
    last = reader.close()
    return events if last is None else [*events, last]


def by_the_book(data: bytes) -> list[Event]:
    """The standard's algorithm, line by line; the last event needs no blank line."""
    events: list[Event] = []
    lines: list[bytes] = []
    name = b""
    for line in [*data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), b""]:
        if not line:
            if lines:
                events.append(Event(b"\n".join(lines), name))
            lines, name = [], b""
            continue
        key, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if key == b"data":
            lines.append(value)
        elif key == b"event":
            name = value
    return events


@given(data=STREAMS, cuts=st.lists(st.integers(0, 300), max_size=12))
def test_wherever_the_bytes_are_cut_the_events_are_the_standards(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]

    parts = [data[start:end] for start, end in pairwise(edges)]

    assert read(*parts) == by_the_book(data)


@given(data=STREAMS)
def test_byte_by_byte_is_no_different(data: bytes) -> None:
    assert read(*(data[at : at + 1] for at in range(len(data)))) == by_the_book(data)


def test_an_event_is_given_as_soon_as_its_blank_line_is_there() -> None:
    reader = EventReader()

    assert reader.feed(b"data: 1\n") == []
    assert reader.feed(b"\ndata: 2") == [Event(b"1")]
    assert reader.feed(b"\n\n") == [Event(b"2")]


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_byte_order_mark_is_no_part_of_the_first_field(cut: int) -> None:
    data = b"\xef\xbb\xbfdata: 1\n\n"

    assert read(data[:cut], data[cut:]) == [Event(b"1")]


def test_a_large_event_in_small_pieces_takes_linear_time() -> None:
    reader = EventReader()
    started_s = time.process_time()

    for _ in range(100_000):
        reader.feed(b"x" * 100)

    assert time.process_time() - started_s < 2
