"""A run from start to end: recall what the server has, send what is missing, collect what ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.cli.actions import watched
from llm_scheduler.cli.run.polling import WINDOW, Poller
from llm_scheduler.cli.run.sending import Sender

if TYPE_CHECKING:
    from llm_scheduler.cli.connection import Connection
    from llm_scheduler.cli.run.ledger import Ledger
    from llm_scheduler.cli.run.output import Output
    from llm_scheduler.cli.run.progress import Progress

SHORTEST_REST_S: Final = 0.2
LONGEST_REST_S: Final = 2.0
_COUNT_EVERY_S: Final = 2.0
_AUDIT_AFTER_S: Final = 30.0


class Run:
    """One run; `go` may be interrupted at any point and repeated by another process."""

    def __init__(self, connection: Connection, ledger: Ledger, output: Output, progress: Progress) -> None:
        self._connection, self._ledger, self._output, self._progress = connection, ledger, output, progress
        self._sender, self._poller = Sender(connection, ledger), Poller(connection, ledger)
        self._rest_s = SHORTEST_REST_S
        self._poll_at_s = self._count_at_s = self._moved_at_s = self._now_s()
        self._running = 0

    def revive(self, statuses: list[str]) -> int:
        """Queue this run's tasks with these statuses again; how many."""
        where = {"metadata": {"run": self._ledger.run_id}, "status": statuses}
        counts = self._connection.get(
            "/api/v1/tasks/counts", {"metadata.run": self._ledger.run_id, "status": ",".join(statuses)}
        )
        if not counts["total"]:
            return 0
        begun = self._connection.post("/api/v1/tasks/actions", {"action": "retry", "filter": where})
        return watched(self._connection, begun)["changed"]

    def cancel(self) -> int:
        """Cancel this run's tasks that have not ended; how many."""
        where = {"metadata": {"run": self._ledger.run_id}}
        begun = self._connection.post("/api/v1/tasks/actions", {"action": "cancel", "filter": where})
        return watched(self._connection, begun)["changed"]

    def recall(self) -> int:
        """Take over what an earlier run has left on the server; how many lines."""
        self._poller.recall()
        self._ledger.forget_known()
        self._output.flush()
        return self._ledger.tally.total - len(self._ledger.todo)

    def go(self) -> None:
        """Work until every line has ended."""
        self._progress.begin(self._ledger.tally.ended, self._ledger.tally.tokens)
        while not self._ledger.is_complete:
            self._send()
            if self._now_s() >= self._poll_at_s:
                self._collect()
            self._progress.show(self._ledger.tally, self._running)
            self._pause()
        self._running = 0
        self._progress.show(self._ledger.tally, 0)

    def _send(self) -> None:
        if not self._ledger.todo or self._now_s() < self._sender.may_send_at_s:
            return
        self._sender.send_chunk()
        if self._sender.unlocated:
            self._poller.locate(self._sender.unlocated)
            self._sender.unlocated = set()

    def _collect(self) -> None:
        ended = self._poller.poll()
        self._output.flush()
        now_s = self._now_s()
        if ended:
            self._moved_at_s = now_s
            # Much has ended at once: more of it may wait behind this window.
            self._rest_s = 0.0 if ended >= WINDOW // 2 else SHORTEST_REST_S
        else:
            self._rest_s = min(LONGEST_REST_S, max(SHORTEST_REST_S, self._rest_s * 1.5))
            self._audit(now_s)
        if now_s >= self._count_at_s:
            self._running = self._poller.running()
            self._count_at_s = now_s + _COUNT_EVERY_S
        self._poll_at_s = now_s + self._rest_s

    def _audit(self, now_s: float) -> None:
        """Nothing ends: perhaps tasks were deleted on the server."""
        is_lost = not self._ledger.open_ids and bool(self._ledger.sent)
        if is_lost or (now_s - self._moved_at_s > _AUDIT_AFTER_S and self._poller.is_any_gone()):
            self._poller.recall()
        if now_s - self._moved_at_s > _AUDIT_AFTER_S:
            self._moved_at_s = now_s

    def _pause(self) -> None:
        if self._ledger.is_complete:
            return
        until_s = self._poll_at_s
        if self._ledger.todo:
            until_s = min(until_s, self._sender.may_send_at_s)
        rest_s = until_s - self._now_s()
        if rest_s > 0:
            self._connection.pace.sleep_s(rest_s)

    def _now_s(self) -> float:
        return self._connection.pace.monotonic_s()
