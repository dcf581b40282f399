"""What is known about each line of a run: to be sent, sent, ended; and the sums for the display."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.cli.run.output import answer_of, refusal_of
from llm_scheduler.cli.values import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_scheduler.cli.run.output import Output
    from llm_scheduler.cli.run.source import Source

_EXAMPLES: Final = 5


@dataclass(slots=True)
class ErrorGroup:
    """Failures of one kind: how many, one message, the first lines."""

    count: int = 0
    message: str = ""
    lines: list[int] = field(default_factory=list[int])


@dataclass(slots=True)
class Tally:
    """Sums over the lines that have ended."""

    total: int
    completed: int = 0
    failed: int = 0
    tokens: int = 0
    cost_microusd: int = 0
    errors: dict[str, ErrorGroup] = field(default_factory=dict[str, ErrorGroup])

    @property
    def ended(self) -> int:
        """Lines that have an answer or an error."""
        return self.completed + self.failed


class Ledger:
    """Keeps the lines of one run. A task says itself which line it is, in its metadata."""

    def __init__(self, source: Source, run_id: str, output: Output) -> None:
        self.source, self.run_id = source, run_id
        self.todo: deque[int] = deque(source.numbers)
        self.sent: set[int] = set()
        self.open_ids: dict[int, None] = {}
        """Tasks that have not ended, oldest first."""
        self.tally = Tally(len(source.numbers) + len(source.bad))
        self._ended: set[int] = set()
        self._output = output

    @property
    def is_complete(self) -> bool:
        """Whether every line has ended."""
        return not self.todo and not self.sent

    def take(self, size: int) -> list[int]:
        """The next lines to send, at most `size`."""
        return [self.todo.popleft() for _ in range(min(size, len(self.todo)))]

    def give_back(self, numbers: Iterable[int]) -> None:
        """These were not sent after all; they come first again."""
        self.todo.extendleft(sorted(numbers, reverse=True))

    def forget_known(self) -> None:
        """Leave out of `todo` what the server has already."""
        self.todo = deque(number for number in self.todo if number not in self.sent and number not in self._ended)

    def needs_whole(self, task: dict[str, Any]) -> bool:
        """Whether the output needs the provider's whole answer, which lists leave out."""
        number = self._line_of(task)
        if number is None or number in self._ended or task["status"] != "completed":
            return False
        is_raw_asked = number in self.source.batch_lines or task["type"] == "embedding"
        return is_raw_asked and not (task.get("output") or {}).get("raw")

    def note(self, task: dict[str, Any]) -> int | None:
        """Take over what the server says about a task; the line it is, or None when it is not of this run."""
        number = self._line_of(task)
        if number is None:
            self.open_ids.pop(task["id"], None)
            return None
        if task["status"] in TERMINAL:
            self.open_ids.pop(task["id"], None)
            self._settle(number, task)
        elif number not in self._ended:
            self.open_ids[task["id"]] = None
            self.sent.add(number)
        return number

    def refuse(self, number: int, code: str, detail: str) -> None:
        """The line has no task and will have none."""
        if number in self._ended:
            return
        self._end(number)
        self._count_error(number, code, detail)
        self._output.put(number, refusal_of(self.source, number, code, detail))

    def _line_of(self, task: dict[str, Any]) -> int | None:
        metadata = task.get("metadata") or {}
        line = str(metadata.get("line", ""))
        return int(line) if metadata.get("run") == self.run_id and line.isdigit() else None

    def _settle(self, number: int, task: dict[str, Any]) -> None:
        if number in self._ended:
            return
        self._end(number)
        self.tally.tokens += (task.get("usage") or {}).get("total_tokens") or 0
        self.tally.cost_microusd += task.get("cost_microusd") or 0
        if task["status"] == "completed":
            self.tally.completed += 1
        else:
            error = task.get("error") or {}
            self._count_error(number, error.get("code") or task["status"], error.get("message") or "")
        self._output.put(number, answer_of(self.source, number, task))

    def _end(self, number: int) -> None:
        self._ended.add(number)
        self.sent.discard(number)

    def _count_error(self, number: int, code: str, message: str) -> None:
        self.tally.failed += 1
        group = self.tally.errors.setdefault(code, ErrorGroup(message=message))
        group.count += 1
        if len(group.lines) < _EXAMPLES:
            group.lines.append(number)
