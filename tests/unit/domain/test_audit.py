"""The chain of hashes: whatever is done to it shows."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain.audit import GENESIS, AuditEntry, AuditOutcome, AuditRow, Chain, hashed
from llm_scheduler.domain.ids import Millis, TenantId

ENTRY = AuditEntry(Millis(1), TenantId(1), "user", 7, "ada", "model.change", "model", "m", AuditOutcome.DONE)


def chained(count: int) -> list[AuditRow]:
    rows: list[AuditRow] = []
    head = GENESIS
    for number in range(1, count + 1):
        entry = replace(ENTRY, at=Millis(number), after=f'{{"n":{number}}}')
        head = hashed(head, number, entry)
        rows.append(AuditRow(number, entry, head))
    return rows


def looked_over(rows: list[AuditRow], expected: str = "", start: AuditRow | None = None) -> Chain:
    chain = Chain(expected, start)
    chain.follow(rows)
    return chain


def test_a_whole_chain_holds_to_its_head() -> None:
    rows = chained(5)

    chain = looked_over(rows, rows[2].hash)

    assert (chain.is_whole, chain.rows, chain.head_id, chain.head, chain.said()) == (True, 5, 5, rows[-1].hash, "")


def test_an_empty_log_is_whole() -> None:
    assert looked_over([]).is_whole
    assert looked_over([], GENESIS).is_whole


CHANGES = {
    "at": Millis(99), "tenant_id": None, "actor_kind": "key", "actor_id": 8, "actor": "eve", "action": "model.remove",
    "target_kind": "budget", "target": "n", "outcome": AuditOutcome.FAILED, "address": "192.0.2.1", "request_id": "r",
    "before": "{}", "after": None,
}  # fmt: skip


def test_every_field_is_tampered_with_below() -> None:
    assert CHANGES.keys() == set(AuditEntry.__slots__)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_any_field_breaks_the_chain_there(name: str) -> None:
    rows = chained(5)
    rows[2] = rows[2]._replace(entry=replace(rows[2].entry, **{name: CHANGES[name]}))

    chain = looked_over(rows)

    assert (chain.is_whole, chain.broken_id, chain.rows) == (False, 3, 2)


@pytest.mark.parametrize("gone", range(4))
def test_a_row_that_is_gone_breaks_the_chain_there(gone: int) -> None:
    rows = chained(5)
    del rows[gone]

    assert looked_over(rows).broken_id == gone + 1


def test_swapped_rows_break_the_chain_also_if_their_ids_are_swapped_back() -> None:
    rows = chained(5)
    rows[1], rows[2] = rows[2]._replace(id=2), rows[1]._replace(id=3)

    assert looked_over(rows).broken_id == 2


def test_an_end_that_is_cut_off_shows_by_the_head_that_was_noted() -> None:
    rows = chained(5)

    assert looked_over(rows[:3]).is_whole
    assert not looked_over(rows[:3], rows[-1].hash).is_whole


def test_a_log_that_was_made_anew_shows_by_the_head_that_was_noted() -> None:
    old, head, rows = chained(3), GENESIS, list[AuditRow]()
    for number in range(1, 4):
        entry = replace(ENTRY, at=Millis(number), actor="eve")
        head = hashed(head, number, entry)
        rows.append(AuditRow(number, entry, head))

    assert looked_over(rows).is_whole
    assert "replaced" in looked_over(rows, old[-1].hash).said()


def test_the_newest_rows_alone_are_checked_from_one_that_is_trusted() -> None:
    rows = chained(5)

    assert looked_over(rows[3:], start=rows[2]).rows == 2
    assert looked_over(rows[4:], start=rows[2]).broken_id == 4


TEXTS = st.text(max_size=300)


@given(actor=TEXTS, target=TEXTS, request_id=TEXTS)
def test_an_entry_is_cut_to_what_the_record_has_room_for(actor: str, target: str, request_id: str) -> None:
    entry = replace(ENTRY, actor=actor, target=target, request_id=request_id).fitted()

    assert (len(entry.actor) <= 100, len(entry.target) <= 191, len(entry.request_id) <= 128) == (True, True, True)
    entry.target.encode()
    assert entry.fitted() == entry
