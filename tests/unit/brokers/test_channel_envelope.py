"""Numbered messages: a loss is seen, and nothing else is taken for one."""

from __future__ import annotations

from llm_scheduler.brokers.redis.envelope import Envelope, Incoming, Outgoing, read

ONE, TWO = b"sender-1", b"sender-2"


def test_messages_are_numbered_for_each_topic() -> None:
    """A listener of one topic does not see the others."""
    out = Outgoing(ONE)
    read_back = [read(out.wrap(topic, b"x")) for topic in ("a", "b", "a")]

    assert read_back == [Envelope(ONE, number, False, b"x") for number in (1, 1, 2)]


def test_a_jump_is_a_loss_and_a_beginning_is_not() -> None:
    """Senders come and go; who is heard for the first time may have spoken before."""
    incoming = Incoming()

    assert incoming.follows(ONE, 7)
    assert incoming.follows(ONE, 8)
    assert incoming.follows(TWO, 1)
    assert not incoming.follows(ONE, 10)
    assert incoming.follows(ONE, 11)
    assert incoming.follows(ONE, 1)


def test_after_an_absence_everything_is_heard_for_the_first_time() -> None:
    """The gap was told already."""
    incoming = Incoming()
    incoming.follows(ONE, 1)
    incoming.forget()

    assert incoming.follows(ONE, 9)


def test_what_is_not_ours_is_let_go() -> None:
    """Anybody may publish on a Redis."""
    assert read(b"hello") is None


def test_a_topic_that_is_pushed_out_begins_again_without_a_false_loss() -> None:
    """Topics of processes that are long gone are not kept for ever."""
    out, incoming = Outgoing(ONE), Incoming()
    for _ in range(3):
        first = read(out.wrap("a", b""))
        assert first is not None
        incoming.follows(ONE, first.number)
    for number in range(2_000):
        out.wrap(f"t{number}", b"")
    again = read(out.wrap("a", b""))

    assert again is not None
    assert again.number == 1
    assert incoming.follows(ONE, again.number)
