"""The limits of one lane that pass with time: requests and tokens per minute."""

from __future__ import annotations

from llm_scheduler.brokers.gcra import Pace, share_of_minute_us
from llm_scheduler.brokers.window import TokenWindow


class RateLimits:
    """RPM by pace; TPM by pace and by window. None = no such limit."""

    __slots__ = ("_requests", "_rpm", "_tokens", "_tpm", "_window", "is_on")

    def __init__(self) -> None:
        self.is_on = False
        """There is a limit: the other calls matter only then."""
        self._rpm: int | None = None
        self._tpm: int | None = None
        self._requests = Pace()
        self._tokens = Pace()
        self._window = TokenWindow()

    def change(self, rpm: int | None, tpm: int | None) -> None:
        """Other limits from now on; what was spent stays spent."""
        self._rpm, self._tpm = rpm, tpm
        self.is_on = rpm is not None or tpm is not None

    def forget(self) -> None:
        """As if nothing had started yet."""
        self._requests, self._tokens, self._window = Pace(), Pace(), TokenWindow()

    def wait_us(self, now_us: int, tokens: int) -> int:
        """How long until a call with this reservation may start; 0 = now."""
        wait_us = 0
        if self._rpm is not None:
            wait_us = max(wait_us, self._requests.wait_us(now_us))
        if self._tpm is not None:
            wait_us = max(
                wait_us,
                self._tokens.wait_us(now_us),
                self._window.wait_us(now_us, tokens, self._tpm),
            )
        return wait_us

    def charge(self, now_us: int, tokens: int) -> int | None:
        """A call starts. The answer is what `settle` needs; None = nothing to settle."""
        if self._rpm is not None:
            self._requests.charge(now_us, share_of_minute_us(1, self._rpm))
        if self._tpm is None:
            return None
        self._tokens.charge(now_us, share_of_minute_us(tokens, self._tpm))
        return self._window.add(now_us, tokens)

    def settle(self, now_us: int, slice_: int | None, reserved: int, used: int) -> None:
        """A call that reserved so many tokens used so many.

        `slice_` None: the start was never charged here (the slot was adopted from the record, or
        there was no limit then); its use counts from now on.
        """
        if self._tpm is None:
            return
        if slice_ is None:
            self._tokens.charge(now_us, share_of_minute_us(used, self._tpm))
            self._window.add(now_us, used)
            return
        self._tokens.correct(share_of_minute_us(used, self._tpm) - share_of_minute_us(reserved, self._tpm))
        self._window.correct(now_us, slice_, used - reserved)
