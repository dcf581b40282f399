from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.api.lines import LineCutter, LineTooLongError


@given(lines=st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), max_size=20), data=st.data())
def test_lines_do_not_depend_on_how_the_stream_was_cut(lines: list[bytes], data: st.DataObject) -> None:
    text = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    cutter = LineCutter(1_000)

    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        found += cutter.feed(text[start:end])
    found += cutter.end()

    expected = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    assert found == (expected[:-1] if expected[-1] == b"" else expected)


def test_a_line_over_the_limit_is_named_before_it_ends() -> None:
    cutter = LineCutter(10)
    cutter.feed(b"one\ntwo\n123456")

    cutter.check()
    cutter.feed(b"78901")
    with pytest.raises(LineTooLongError) as caught:
        cutter.check()

    assert caught.value.number == 3


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    cutter = LineCutter(100)

    assert cutter.feed(b"\xef\xbb\xbf{}\n{}") == [b"{}"]
    assert cutter.end() == [b"{}"]
