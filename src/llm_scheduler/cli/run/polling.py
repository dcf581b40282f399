"""Learning how a run's tasks stand, with few and small questions."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.cli.values import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_scheduler.cli.connection import Connection
    from llm_scheduler.cli.run.ledger import Ledger

WINDOW: Final = 500
# Reverse proxies take request lines up to 8 KiB.
_LONGEST_IDS: Final = 6000
_ENDED: Final = ",".join(TERMINAL)
_TASKS: Final = "/api/v1/tasks"


class Poller:
    """Asks for what has ended among the oldest open tasks, and in turn among the others."""

    def __init__(self, connection: Connection, ledger: Ledger) -> None:
        self._connection, self._ledger = connection, ledger
        self._tour: Iterator[int] = iter(())
        self._cursor: str | None = None

    def recall(self) -> None:
        """Read every task of the run: what has ended, what is open, what is gone."""
        self._ledger.open_ids.clear()
        self._cursor = None
        seen = self._read_on()
        for number in sorted(self._ledger.sent - seen):
            self._ledger.refuse(number, "task_gone", "The task was deleted on the server.")

    def locate(self, numbers: set[int]) -> None:
        """Read the tasks that came after the last ones read; all of the run if these lines are not among them."""
        if numbers - self._read_on():
            self.recall()

    def poll(self) -> int:
        """Ask for ended tasks; how many were found."""
        ended = self._ask(self._ledger.open_ids)
        if len(self._ledger.open_ids) > WINDOW:
            tour = [task_id for task_id in islice(self._tour, WINDOW) if task_id in self._ledger.open_ids]
            if not tour:
                self._tour = iter(list(self._ledger.open_ids))
            ended += self._ask(tour)
        return ended

    def running(self) -> int:
        """How many of the oldest open tasks are running."""
        ids = _window(self._ledger.open_ids)
        if not ids:
            return 0
        answer = self._connection.get(f"{_TASKS}/counts", {"ids": _joined(ids), "status": "running"})
        return answer["counts"].get("running", 0)

    def is_any_gone(self) -> bool:
        """Whether one of the oldest open tasks is no longer there."""
        ids = _window(self._ledger.open_ids)
        return bool(ids) and self._connection.get(f"{_TASKS}/counts", {"ids": _joined(ids)})["total"] < len(ids)

    def _ask(self, candidates: Iterable[int]) -> int:
        ids = _window(candidates)
        if not ids:
            return 0
        page = self._connection.get(_TASKS, {"ids": _joined(ids), "status": _ENDED, "limit": WINDOW})
        for task in page["items"]:
            self._note(task)
        return len(page["items"])

    def _note(self, task: dict[str, Any]) -> int | None:
        if self._ledger.needs_whole(task):
            task = self._connection.get(f"{_TASKS}/{task['id']}")
        return self._ledger.note(task)

    def _read_on(self) -> set[int]:
        """Lines of the tasks from the last page read onwards."""
        seen: set[int] = set()
        while True:
            page = self._page()
            seen.update(number for task in page["items"] if (number := self._note(task)) is not None)
            if page.get("next_cursor") is None:
                # The last page may grow: it is read again next time.
                return seen
            self._cursor = page["next_cursor"]

    def _page(self) -> dict[str, Any]:
        where = {"metadata.run": self._ledger.run_id, "order": "asc", "limit": WINDOW}
        return self._connection.get(_TASKS, {**where, **({"cursor": self._cursor} if self._cursor else {})})


def _window(ids: Iterable[int]) -> list[int]:
    """The first ids, as many as an address may hold."""
    chosen, length = list[int](), 0
    for task_id in islice(ids, WINDOW):
        # A comma becomes three characters in a query.
        length += len(str(task_id)) + 3
        if length > _LONGEST_IDS:
            break
        chosen.append(task_id)
    return chosen


def _joined(ids: list[int]) -> str:
    return ",".join(map(str, ids))
