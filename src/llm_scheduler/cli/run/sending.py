"""Handing a run's lines over in chunks, no faster than the queue takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from llm_scheduler.cli.connection import Call
from llm_scheduler.cli.faults import RefusedError

if TYPE_CHECKING:
    from llm_scheduler.cli.connection import Connection
    from llm_scheduler.cli.run.ledger import Ledger

FIRST_CHUNK: Final = 500
LARGEST_CHUNK: Final = 1000
"""Of the refused lines an answer names no more than these."""
_LARGEST_BYTES: Final = 4 * 1024 * 1024
_BUSY_WAIT_S: Final = 5.0
_SEND_READ_S: Final = 300.0
_QUEUE_FULL: Final = "queue_full"


class Sender:
    """Sends what the ledger has to do. Each line carries a key, so that sending twice makes one task."""

    def __init__(self, connection: Connection, ledger: Ledger) -> None:
        self._connection, self._ledger = connection, ledger
        self._size = FIRST_CHUNK
        self.may_send_at_s = 0.0
        self.unlocated: set[int] = set()
        """Lines sent whose tasks' ids are not known: they must be read from the server."""

    def send_chunk(self) -> None:
        """Send the next lines; a full queue puts them back and sets the time of the next try.

        Raises:
            RefusedError: refused for a reason that waiting does not mend.
        """
        numbers, content = self._chunk()
        call = Call(
            "POST",
            "/api/v1/tasks/bulk",
            content=content,
            headers={"Content-Type": "application/x-ndjson"},
            read_s=_SEND_READ_S,
            is_repeatable=True,
            is_patient=False,
        )
        try:
            answer = self._connection.send(call)
        except RefusedError as error:
            if error.status == 422 and "rejected" in error.problem:
                self._take_over(numbers, error.problem)
                return
            if error.status == 413 and len(numbers) == 1:
                self._ledger.refuse(numbers[0], error.code or "too_large", error.problem.get("detail") or error.message)
                return
            self._ledger.give_back(numbers)
            if error.status == 413:
                self._size = len(numbers) // 2
            elif error.status in (429, 503):
                self._wait(error.message, error.retry_after_s)
            else:
                raise
            return
        self._take_over(numbers, answer)

    def _chunk(self) -> tuple[list[int], bytes]:
        ledger = self._ledger
        numbers, rows, length = ledger.take(self._size), list[bytes](), 0
        for number, line in zip(numbers, ledger.source.read(numbers), strict=True):
            metadata = {**line.task.get("metadata", {}), "run": ledger.run_id, "line": str(number)}
            task = {**line.task, "metadata": metadata, "idempotency_key": f"run:{ledger.run_id}:{number}"}
            if ledger.source.options.cache_s is not None:
                task["cache"] = {"ttl_s": ledger.source.options.cache_s}
            row = orjson.dumps(task)
            if rows and length + len(row) > _LARGEST_BYTES:
                break
            rows.append(row)
            length += len(row)
        ledger.give_back(numbers[len(rows) :])
        return numbers[: len(rows)], b"\n".join(rows) + b"\n"

    def _take_over(self, numbers: list[int], answer: dict[str, Any]) -> None:
        refused = {numbers[item["line"] - 1]: item for item in answer["rejected"]}
        waiting = [number for number, item in refused.items() if item["code"] == _QUEUE_FULL]
        for number, item in refused.items():
            if item["code"] != _QUEUE_FULL:
                self._ledger.refuse(number, item["code"], item["detail"])
        taken = {number for number in numbers if number not in refused}
        self._ledger.sent.update(taken)
        self._locate(taken, answer)
        if waiting:
            self._ledger.give_back(waiting)
            self._wait(refused[waiting[0]]["detail"], None)
        else:
            self._size = min(LARGEST_CHUNK, self._size * 2)

    def _locate(self, taken: set[int], answer: dict[str, Any]) -> None:
        """Take ids that leave no doubt: all new, as many as were accepted, without a gap."""
        first, last = answer.get("first_id"), answer.get("last_id")
        if not taken:
            return
        if answer.get("repeated") or first is None or last is None or last - first + 1 != len(taken):
            self.unlocated |= taken
            return
        self._ledger.open_ids.update(dict.fromkeys(range(first, last + 1)))

    def _wait(self, why: str, after_s: float | None) -> None:
        delay_s = after_s or _BUSY_WAIT_S
        self.may_send_at_s = self._connection.pace.monotonic_s() + delay_s
        self._connection.notice(f"{why} Sending again in {delay_s:g} s.")
