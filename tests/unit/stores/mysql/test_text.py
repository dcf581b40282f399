"""Values as SQL text, and statements filled with them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.rig import mariadb

from llm_scheduler.domain.status import Status
from llm_scheduler.stores import cache_statements, statements
from llm_scheduler.stores.mysql import locking, text
from llm_scheduler.stores.mysql.address import parse
from llm_scheduler.stores.mysql.connection import Connection, connect

VALUES = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=200),
    st.text("'\\\"`?%{};-\0\x1a\n", max_size=30),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.none(),
)


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    connection = await connect(parse(mariadb.shared().url("mysql")))
    yield connection
    await connection.close()


async def test_every_value_comes_back_as_it_was(connection: Connection) -> None:
    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(VALUES, min_size=1, max_size=8))
    def comes_back(values: list[Any]) -> None:
        places = ", ".join("?" * len(values))
        statement = text.filled(f"SELECT {places}, '?', `user` FROM user LIMIT 1", values)  # noqa: S608
        examples.append((statement, values))

    examples: list[tuple[str, list[Any]]] = []
    await asyncio.to_thread(comes_back)
    for statement, values in examples:
        (row,) = (await connection.execute(statement)).rows
        assert list(row[: len(values)]) == values
        assert row[len(values)] == "?"


def test_a_mark_inside_quotes_is_no_place() -> None:
    statement = """SELECT '?', "?", `?`, 'it''s ? \\' ?', ? FROM t -- {ids}"""

    assert text.filled(statement.removesuffix(" -- {ids}"), ("x",)).endswith("""'it''s ? \\' ?', 'x' FROM t""")


def test_a_value_that_looks_like_a_place_stays_a_value() -> None:
    filled = text.filled_list("UPDATE t SET a = ? WHERE id IN ({ids}) AND b = ?", [1, 2], ("{ids}?",), ("{cases}",))

    assert filled == "UPDATE t SET a = '{ids}?' WHERE id IN (1,2) AND b = '{cases}'"


def test_each_id_has_its_arm_in_every_case() -> None:
    template = "UPDATE t SET a = CASE id {cases} END, b = CASE id {cases} END WHERE id IN ({ids})"

    filled = text.filled_list(template, [7, 8], (), (), [("x", None), ("y", 2.5)])

    assert filled == (
        "UPDATE t SET a = CASE id WHEN 7 THEN 'x' WHEN 8 THEN 'y' END, "
        "b = CASE id WHEN 7 THEN NULL WHEN 8 THEN 2.5 END WHERE id IN (7,8)"
    )


def test_an_enumeration_is_its_value() -> None:
    assert text.literal(Status.QUEUED) == "'queued'"


@pytest.mark.parametrize("value", [{"a": 1}, [1], (1,), b"x", object()])
def test_nothing_that_is_built_of_others_becomes_text(value: object) -> None:
    with pytest.raises(TypeError):
        text.literal(value)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(OverflowError):
        text.literal(value)


def test_as_many_values_as_places() -> None:
    with pytest.raises(ValueError, match="2 values for 1 places"):
        text.filled("SELECT ?", (1, 2))


def test_every_select_of_a_move_says_whether_it_locks() -> None:
    """A new one that judges without a lock would be a race on MySQL that SQLite never shows."""
    of_moves = ("SELECT_", "ALIVE", "KEY_", "MODEL_NOW", "COUNT_UNFINISHED")
    for_reading = {"SELECT_RUNNING", "SELECT_REPLY"}
    selects = {
        name: value
        for name, value in vars(statements).items()
        if isinstance(value, str) and value.startswith("SELECT") and name.startswith(of_moves)
    }
    undecided = [
        name
        for name, value in selects.items()
        if name not in for_reading and value not in locking.LOCKS and value not in locking.INFORMING
    ]

    assert undecided == []


def test_an_order_that_sqlite_reads_out_of_cross_join_is_told_to_mysql() -> None:
    for query in (statements.SELECT_OVERDUE, cache_statements.NEXT_DUE):
        assert "STRAIGHT_JOIN" in locking.worded(query)
        assert "CROSS JOIN" not in locking.worded(query)
