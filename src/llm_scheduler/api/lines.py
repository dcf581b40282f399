"""Cutting a stream of bytes into lines, as they come."""

from __future__ import annotations

from typing import Final

_BOM: Final = b"\xef\xbb\xbf"


class LineTooLongError(ValueError):
    """A line is over the limit; `number` is its place, from 1."""

    def __init__(self, number: int) -> None:
        super().__init__(f"line {number} is too long")
        self.number = number


class LineCutter:
    """Gives whole lines, in order; holds no more than one unfinished line.

    Args:
        limit: most bytes of a line.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest: list[bytes] = []
        self._size = 0
        self._count = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that end in this piece, without their line ends."""
        whole = piece.split(b"\n")
        last = whole.pop()
        if whole and self._rest:
            self._rest.append(whole[0])
            whole[0] = b"".join(self._rest)
            self._rest, self._size = [], 0
        if whole and self._count == 0:
            whole[0] = whole[0].removeprefix(_BOM)
        self._count += len(whole)
        if last:
            self._rest.append(last)
            self._size += len(last)
        return whole

    def check(self) -> None:
        """Ask after each piece, when its lines have been taken.

        Raises:
            LineTooLongError: the unfinished line is over the limit.
        """
        if self._size > self._limit:
            raise LineTooLongError(self._count + 1)

    def end(self) -> list[bytes]:
        """The last line, if it has no line end."""
        last = b"".join(self._rest)
        if self._count == 0:
            last = last.removeprefix(_BOM)
        return [last] if last else []
