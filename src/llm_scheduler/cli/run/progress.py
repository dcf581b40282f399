"""How far a run is, on stderr: a bar at a terminal, a plain line now and then elsewhere, nothing if asked."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Self

import click

from llm_scheduler.cli.screen import console, count, span

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from llm_scheduler.cli.run.ledger import Tally

_WINDOW_S: Final = 30.0
_LINE_EVERY_S: Final = 5.0


class Speed:
    """Lines and tokens per second over the last half minute."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int, int]] = deque()

    def mark(self, at_s: float, ended: int, tokens: int) -> None:
        """Remember sums at a moment."""
        self._marks.append((at_s, ended, tokens))
        while len(self._marks) > 2 and at_s - self._marks[1][0] > _WINDOW_S:
            self._marks.popleft()

    def per_s(self) -> tuple[float, float]:
        """Lines and tokens per second."""
        if len(self._marks) < 2:
            return 0.0, 0.0
        (first_s, first, few), (last_s, last, many) = self._marks[0], self._marks[-1]
        passed_s = last_s - first_s
        return ((last - first) / passed_s, (many - few) / passed_s) if passed_s > 0 else (0.0, 0.0)


class Progress:
    """Base: keeps the speed and shows nothing (`--quiet`)."""

    def __init__(self, total: int, now_s: Callable[[], float]) -> None:
        self._total, self._now_s = total, now_s
        self._speed = Speed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state standing."""

    def begin(self, ended: int, tokens: int) -> None:
        """What was there already does not count for the speed."""
        self._speed.mark(self._now_s(), ended, tokens)

    def show(self, tally: Tally, running: int) -> None:
        """Take the sums."""
        self._speed.mark(self._now_s(), tally.ended, tally.tokens)
        self._draw(tally, running)

    def notice(self, text: str) -> None:
        """A remark in between; also when quiet, since it tells why nothing moves."""
        click.echo(text, err=True)

    def _draw(self, tally: Tally, running: int) -> None:
        """Nothing to draw."""

    def _figures(self, tally: Tally, running: int) -> str:
        lines_s, tokens_s = self._speed.per_s()
        parts = [
            f"{count(tally.ended)}/{count(self._total)} done",
            f"{count(tally.failed)} failed",
            f"{count(running)} running",
            f"{lines_s:.1f} tasks/s",
            f"{count(tokens_s)} tokens/s",
            f"{count(tally.tokens)} tokens",
        ]
        left = self._total - tally.ended
        return " · ".join(parts) + (f" · {span(left / lines_s)} left" if lines_s and left else "")


class LineProgress(Progress):
    """A line every five seconds, for logs."""

    def __init__(self, total: int, now_s: Callable[[], float]) -> None:
        super().__init__(total, now_s)
        self._next_s = now_s() + _LINE_EVERY_S

    def _draw(self, tally: Tally, running: int) -> None:
        if self._now_s() >= self._next_s:
            self._next_s = self._now_s() + _LINE_EVERY_S
            click.echo(self._figures(tally, running), err=True)


class BarProgress(Progress):
    """A bar with figures, for a terminal."""

    def __init__(self, total: int, now_s: Callable[[], float]) -> None:
        super().__init__(total, now_s)
        self._bar, self._row = _bar(total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def notice(self, text: str) -> None:
        """Above the bar."""
        self._bar.console.print(text, markup=False)

    def _draw(self, tally: Tally, running: int) -> None:
        self._bar.update(self._row, completed=tally.ended, figures=self._figures(tally, running))


def _bar(total: int) -> tuple[Bar, TaskID]:
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(bar_width=24), TaskProgressColumn(), TextColumn("{task.fields[figures]}", markup=False))
    bar = Bar(*columns, console=console(is_err=True), refresh_per_second=5)
    return bar, bar.add_task("", total=total, figures="")
