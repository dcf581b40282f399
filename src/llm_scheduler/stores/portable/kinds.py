"""What a group commit runs: the kinds of its jobs, in the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.errors import SchedulerError
from llm_scheduler.stores.portable.audit import append_all
from llm_scheduler.stores.portable.record import record_all
from llm_scheduler.stores.portable.start import start_all
from llm_scheduler.stores.portable.submit import submit_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_scheduler.stores.portable.access import Transaction

LARGEST_BATCH: Final = 256
"""Jobs of one transaction."""


def run_singly(transaction: Transaction, moves: list[Callable[[Transaction], Any]]) -> list[Any]:
    """The kind of everything that is not worth merging: one after the other."""
    outcomes: list[Any] = []
    for move in moves:
        try:
            outcomes.append(move(transaction))
        except SchedulerError as error:  # refused before anything was written
            outcomes.append(error)
    return outcomes


# Moves come before ends: a retry that is due at once must not be promoted in the commit that records its
# failure, for the promoter could then be answered before the slot is released.
KINDS: Final[Mapping[str, Callable[[Any, list[Any]], list[Any]]]] = {
    "submit": submit_all,
    "start": start_all,
    "move": run_singly,
    "record": record_all,
    # Last: all processes wait for its lock, so it is held briefly.
    "audit": append_all,
}


def run_merged(transaction: Transaction, jobs: list[tuple[str, Any]]) -> list[Any]:
    """All jobs (kind, payload) of each kind as one; one outcome per job, an exception is for its caller."""
    outcomes: list[Any] = [None] * len(jobs)
    for kind, run in KINDS.items():
        places = [place for place, job in enumerate(jobs) if job[0] == kind]
        if places:
            answers = run(transaction, [jobs[place][1] for place in places])
            for place, answer in zip(places, answers, strict=True):
                outcomes[place] = answer
    return outcomes


def touch(transaction: Transaction) -> None:
    """A write that changes nothing, to prove that one commits."""
    transaction.do("UPDATE id_blocks SET next_id = next_id WHERE name = ?", ("tasks",))
