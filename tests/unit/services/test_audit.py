"""Writing the audit log: nothing is lost while the record is away, and floods are counted."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from tests.contract.store_scene import StillClock

from llm_scheduler.domain.audit import AuditEntry, AuditOutcome
from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.services.audit import MOST_FAILURES, MOST_ORIGINS, MOST_WAITING, Audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.ports.audit import AuditMoves
    from llm_scheduler.ports.meter import Meter


class Log:
    """Keeps entries, or is away."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.is_away = False

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailableError("it is away.")
        self.entries += entries


class Gauge:
    """The newest value."""

    waiting = 0

    def audit_waits(self, count: int) -> None:
        self.waiting = count


class Scene:
    def __init__(self) -> None:
        self.log, self.clock, self.gauge = Log(), StillClock(), Gauge()
        self.audit = Audit(cast("AuditMoves", self.log), self.clock, cast("Meter", self.gauge))

    def entry(self, outcome: AuditOutcome = AuditOutcome.DONE, **changes: str) -> AuditEntry:
        base = AuditEntry(
            self.clock.now(), DEFAULT_TENANT, "user", 7, "ada", "model.change", "model", "m", outcome, "192.0.2.1", "r"
        )
        return replace(base, **changes)

    def targets(self) -> list[str]:
        return [entry.target for entry in self.log.entries]


async def test_an_entry_is_in_the_record_when_write_returns() -> None:
    it = Scene()

    await it.audit.write(it.entry())

    assert it.targets() == ["m"]
    assert it.gauge.waiting == 0


async def test_entries_wait_while_the_record_is_away_and_come_in_their_order() -> None:
    it = Scene()
    it.log.is_away = True
    for name in ("a", "b", "c"):
        await it.audit.write(it.entry(target=name))
    assert (it.targets(), it.gauge.waiting, it.audit.backlog) == ([], 3, 3)

    it.log.is_away = False
    await it.audit.step()

    assert it.targets() == ["a", "b", "c"]
    assert it.gauge.waiting == 0


async def test_entries_that_are_written_at_once_are_each_written_once() -> None:
    it = Scene()

    await asyncio.gather(*(it.audit.write(it.entry(target=str(number))) for number in range(50)))

    assert it.targets() == [str(number) for number in range(50)]


async def test_no_two_entries_of_a_process_have_one_time() -> None:
    """By time and request the record tells whether an entry was written already."""
    it = Scene()
    for _ in range(3):
        await it.audit.write(it.entry())

    assert len({entry.at for entry in it.log.entries}) == 3


async def test_a_record_that_says_nothing_holds_no_answer_up_for_long() -> None:
    it = Scene()

    async def silent(_: Sequence[AuditEntry]) -> None:
        await asyncio.Event().wait()

    it.log.add_audit = silent  # type: ignore[method-assign]
    it.audit.write_limit_s = 0.01
    await it.audit.write(it.entry())

    assert it.gauge.waiting == 1


async def test_a_backlog_has_an_end() -> None:
    it = Scene()
    it.log.is_away = True
    it.audit._waiting.extend([it.entry()] * MOST_WAITING)

    await it.audit.write(it.entry(target="one too many"))

    assert it.audit.backlog == MOST_WAITING


async def test_of_a_flood_of_failures_the_first_are_written_and_the_rest_is_counted() -> None:
    it = Scene()
    for number in range(1_000):
        await it.audit.attempt(it.entry(AuditOutcome.FAILED, target=f"user{number}", action="session.open"))
    assert len(it.log.entries) == MOST_FAILURES

    it.clock.pass_s(61)
    await it.audit.step()

    last = it.log.entries[-1]
    assert len(it.log.entries) == MOST_FAILURES + 1
    told = json.loads(last.after or "")
    assert (told["count"], last.outcome) == (990, AuditOutcome.FAILED)
    assert told["targets"] == [f"user{number}" for number in range(10, 20)]


async def test_a_flood_from_one_address_hides_nothing_of_another() -> None:
    it = Scene()
    for _ in range(100):
        await it.audit.attempt(it.entry(AuditOutcome.FAILED))
    await it.audit.attempt(it.entry(AuditOutcome.FAILED, address="192.0.2.2", target="other"))

    assert it.targets()[-1] == "other"


async def test_after_a_minute_failures_are_written_again() -> None:
    it = Scene()
    for _ in range(MOST_FAILURES + 5):
        await it.audit.attempt(it.entry(AuditOutcome.REFUSED))
    it.clock.pass_s(61)
    await it.audit.attempt(it.entry(AuditOutcome.REFUSED, target="later"))

    assert [json.loads(one.after)["count"] for one in it.log.entries if one.after] == [5]
    assert it.targets()[-1] == "later"


async def test_attempts_from_very_many_addresses_take_bounded_memory_and_rows() -> None:
    it = Scene()
    it.log.is_away = True  # only the windows matter here
    for number in range(MOST_ORIGINS + 500):
        it.audit._waiting.clear()
        await it.audit.attempt(it.entry(AuditOutcome.FAILED, address=f"10.{number // 65536}.{number // 256}.{number}"))

    assert len(it.audit._windows) == MOST_ORIGINS + 1


async def test_counts_are_written_when_the_process_stops() -> None:
    it = Scene()
    for _ in range(MOST_FAILURES + 7):
        await it.audit.attempt(it.entry(AuditOutcome.FAILED))

    await it.audit.close()

    assert json.loads(it.log.entries[-1].after or "")["count"] == 7
