"""Loads from files, from wishes and from history."""

from __future__ import annotations

import contextlib
import gzip
import json
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.simulation.lane import load, request

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.simulation.dealing import Deal, dealt
from llm_scheduler.simulation.generating import generated, wish
from llm_scheduler.simulation.history import load_of
from llm_scheduler.simulation.load import cut, models_in, of_model, priority_class, sped_up
from llm_scheduler.simulation.service import Speed, timed
from llm_scheduler.simulation.trace import read

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "t,in_tokens,out_tokens,model,tenant,cls,svc"
COLUMNS = [
    "queued_at", "started_at", "ended_at", "model", "tenant", "priority", "type",
    "prompt_tokens", "completion_tokens", "cost_microusd", "deadline_at",
]  # fmt: skip


def test_a_trace_is_read_plain_and_gzipped_and_sorted_by_arrival(tmp_path: Path) -> None:
    text = f"{HEAD}\n2.5,10,20,m,b,2,1.5\n0,1,2,m,a,0,\n"
    plain, packed = tmp_path / "t.csv", tmp_path / "t.csv.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))

    assert read(plain) == read(packed)
    first, second = read(plain).requests
    assert (first.at_s, first.priority, first.service_s) == (0, 0, None)
    assert (second.at_s, second.priority, second.service_s, second.tenant) == (2.5, 9, 1.5, "b")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("t,in_tokens\n0,1\n", "lacks out_tokens. Columns: t, in_tokens"),
        (f"{HEAD},colour\n0,1,2,m,a,0,1,red\n", "unknown columns: colour"),
        (f"{HEAD}\n0,1,2,m,a,0,1\n0,-1,2,m,a,0,1\n", r"line 3: in_tokens should be a number from 0 .*not '-1'"),
        (f"{HEAD}\nnan,1,2,m,a,0,1\n", "line 2: t should be a number"),
        (f"{HEAD}\n0,1,2,m,a,7,1\n", "line 2: cls should be a number from 0 to 2, not '7'"),
        (f"{HEAD}\n0,1\n", "line 2: out_tokens should be"),
        (f"{HEAD}\n", "no requests below its header"),
        ("", "lacks t, in_tokens, out_tokens"),
    ],
)
def test_a_faulty_trace_is_refused_with_the_line_and_what_to_mend(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)

    with pytest.raises(InvalidInputError, match=fault):
        read(path)


def test_a_file_that_is_no_text_or_a_cut_off_gzip_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(f"{HEAD}\n{'0,1,2,m,a,0,1' * 50}\n".encode())
    for content in (whole[: len(whole) // 2], b"\x1f\x8bnonsense", b"\xff\xfe\x00\x80"):
        path = tmp_path / "t.csv.gz"
        path.write_bytes(content)

        with pytest.raises(InvalidInputError, match=r"t\.csv\.gz"):
            read(path)


@given(text=st.text(max_size=300))
def test_no_text_makes_the_reader_fail_in_another_way(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("trace") / "t.csv"
    path.write_text(f"{HEAD}\n{text}", encoding="utf-8", newline="")

    with contextlib.suppress(InvalidInputError):
        assert read(path).requests


def test_a_wish_gives_about_what_it_asks_for() -> None:
    made = generated(wish("rate=10,minutes=30,input=500,input_spread=0,high=0.5,medium=0.5,low=0,tenants=4"), Random(1))

    assert len(made.requests) == pytest.approx(18_000, rel=0.03)
    assert {one.input_tokens for one in made.requests} == {500}
    assert {priority_class(one.priority) for one in made.requests} == {"high", "medium"}
    assert {one.tenant for one in made.requests} == {"t0", "t1", "t2", "t3"}
    counts = [sum(one.tenant == f"t{number}" for one in made.requests) for number in range(4)]
    assert counts == sorted(counts, reverse=True)


def test_a_metronome_and_a_bulk_come_when_they_should() -> None:
    made = generated(wish("rate=1,minutes=1,cv=0,bulk=5"), Random(1))

    assert [one.at_s for one in made.requests if one.tenant != "bulk"] == list(range(1, 60))
    assert {one.at_s for one in made.requests if one.tenant == "bulk"} == {20}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("rate", "'rate' is no NAME=NUMBER"),
        ("speed=3", "Known: rate=5, minutes=30"),
        ("rate=-1", "rate should be from 1e-06"),
        ("rate=many", "not 'many'"),
        ("rate=100000,minutes=1000", "more than 1,000,000 requests"),
        ("high=0,medium=0,low=0", "At least one of high, medium and low"),
    ],
)
def test_a_faulty_wish_is_refused_with_what_there_is(text: str, fault: str) -> None:
    with pytest.raises(InvalidInputError, match=fault):
        wish(text)


def test_dealing_keeps_the_tenants_and_classes_that_are_there() -> None:
    given_ = load(request(0, tenant="", priority=9), request(1, tenant="own", priority=9))

    anew = dealt(given_, Deal(), Random(1))
    kept = dealt(given_, Deal(), Random(1), has_classes=True)

    assert anew.requests[0].tenant.startswith("t")
    assert anew.requests[1].tenant == "own"
    assert [one.priority for one in kept.requests] == [9, 9]


def test_times_follow_the_formula_and_given_ones_stay() -> None:
    given_ = load(request(0, 7.0), request(1)._replace(service_s=None, input_tokens=100, output_tokens=10))

    made = timed(given_, Speed(first_s=1, input_per_s=100, output_per_s=10, noise=0), Random(1))

    assert [one.service_s for one in made.requests] == [7.0, 3.0]


def test_loads_are_cut_sped_up_and_sorted_out_by_model() -> None:
    whole = load(request(0, model="a"), request(4, model="b"), request(8, model="a"))

    assert [one.at_s for one in sped_up(whole, 4).requests] == [0, 1, 2]
    assert [one.at_s for one in cut(whole, 4, 8).requests] == [0]
    assert models_in(whole) == ["a", "b"]
    assert [one.at_s for one in of_model(whole, "a").requests] == [0, 8]


def _lines(*rows: list[object], end: object | None = None) -> list[str]:
    head = {"columns": COLUMNS, "tenants": {"1": 2.0}, "strategy": "fair"}
    return [json.dumps(one) for one in (head, *rows, {"rows": len(rows)} if end is None else end)]


def test_history_becomes_a_load_that_begins_with_its_first_arrival() -> None:
    rows: list[list[object]] = [
        [9_000, 9_500, 12_500, "m", 1, 0, "chat", 70, 30, 5, 19_000],
        [5_000, 5_000, 6_000, "m", 2, 9, "chat", 1, 2, 0, None],
    ]

    made = load_of(_lines(*rows))

    assert [one.at_s for one in made.requests] == [0, 4]
    late = made.requests[1]
    assert (late.tenant, late.priority, late.service_s, late.waited_s, late.deadline_s) == ("1", 0, 3.0, 0.5, 10.0)
    assert (late.input_tokens, late.output_tokens, late.cost_microusd) == (70, 30, 5)
    assert made.weights == {"1": 2.0}
    assert made.strategy == "fair"


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([], "This is no history"),
        (['{"detail": "no"}'], "This is no history"),
        (["<html>"], "not in JSON lines"),
        (_lines([1, 1, 1, "m", 1, 5, "chat", 1, 1, 0, None])[:-1], "cut off on its way; try again"),
        (_lines(end={"rows": 3}), "cut off"),
        (_lines(["x", 1, 1, "m", 1, 5, "chat", 1, 1, 0, None]), "malformed row"),
        (_lines([1, 1, 1, "m"]), "malformed row"),
    ],
)
def test_an_answer_that_is_no_whole_history_is_refused(lines: list[str], fault: str) -> None:
    with pytest.raises(InvalidInputError, match=fault):
        load_of(lines)
