"""`llms simulate` and `llms advise`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.unit.cli.fake_server import FakeServer, invoke
from tests.unit.cli.history_server import HistoryServer, call, crowded

TRACE = "t,in_tokens,out_tokens,tenant,cls,svc\n0,10,10,a,2,10\n0.5,10,10,a,2,10\n1,10,10,b,0,1\n"
WISH = "rate=2,minutes=2,input=500,output=100"


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """Three calls: one runs, a low and a high one wait."""
    path = tmp_path / "calls.csv"
    path.write_text(TRACE)
    return str(path)


def test_settings_stand_side_by_side_in_a_table(trace: str) -> None:
    result = invoke(FakeServer(), "simulate", "--trace", trace, "--strategy", "fifo,priority", "--workers", "1")

    assert result.exit_code == 0, result.output
    (fifo, *_), (priority, *_) = (
        [line for line in result.stdout.splitlines() if line.startswith(name)] for name in ("fifo", "priority")
    )
    assert "19.0 / 19.0" in fifo
    assert "9.00 / 9.00" in priority
    assert "3 requests in 0.0 min" in result.stdout
    assert "Waiting over time, 0 to" in result.stdout


def test_json_has_every_figure_of_every_setting(trace: str) -> None:
    result = invoke(FakeServer(), "simulate", "--trace", trace, "--strategy", "fifo", "--workers", "1,2", "--json")

    (load,) = json.loads(result.stdout)["loads"]
    one, two = load["runs"]
    assert (load["requests"], one["setting"]["workers"], two["setting"]["workers"]) == (3, 1, 2)
    assert one["wait_by_class"]["high"]["p50_s"] == 19
    assert two["wait_by_class"]["high"]["p50_s"] == 9
    assert one["makespan_s"] == 21
    assert one["binding"] == "workers"


def test_the_same_seed_prints_the_same() -> None:
    args = ("simulate", "--generate", WISH, "--tpm", "60000", "--json")

    first, again, other = (invoke(FakeServer(), *args, "--seed", seed).stdout for seed in ("3", "3", "4"))

    assert first == again
    assert first != other


def test_arrivals_can_be_sped_up_and_tokens_priced(trace: str) -> None:
    args = ("simulate", "--trace", trace, "--speed", "2", "--price", "1:2", "--json")

    (load,) = json.loads(invoke(FakeServer(), *args).stdout)["loads"]

    assert load["span_s"] == 0.5
    assert load["runs"][0]["cost_microusd"] == 90


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), "Give one of --trace FILE, --history TIME, --generate"),
        (("--generate", "rate=1", "--history", "1h"), "Give one of"),
        (("--generate", "rate=1", "--workers", "few"), "--workers wants whole numbers from 1"),
        (("--generate", "rate=1", "--strategy", "quick"), "no strategy 'quick'"),
        (("--generate", "rate=fast"), "rate should be from"),
        (("--generate", "rate=1", "--option", "gamma=3"), "No strategy has an option 'gamma'. Known: beta"),
        (("--generate", "rate=1", "--option", "beta=much"), "--option wants NAME=NUMBER"),
        (("--generate", "rate=1", "--strategy", "shortest", "--option", "beta=-1"), "beta"),
        (("--generate", "rate=1", "--price", "cheap"), "--price wants IN:OUT"),
        (("--generate", "rate=1", "--workers", ",".join(map(str, range(1, 40)))), "At most 24 settings"),
        (("--trace", "nowhere.csv"), "does not exist"),
    ],
)
def test_wrong_usage_is_refused_with_what_would_be_right(args: tuple[str, ...], told: str) -> None:
    result = invoke(FakeServer(), "simulate", *args)

    assert result.exit_code in (1, 2)
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_history_is_replayed_with_the_limits_that_the_model_has() -> None:
    server = HistoryServer([call(number, 4) for number in range(200)])

    result = invoke(server, "simulate", "--history", "24h", "--strategy", "fair,fifo", "--json")

    (load,) = json.loads(result.stdout)["loads"]
    assert (load["model"], load["requests"]) == ("toy", 200)
    assert [run["setting"]["strategy"] for run in load["runs"]] == ["fair", "fifo"]
    assert load["runs"][0]["setting"]["workers"] == 4
    assert load["runs"][0]["setting"]["tpm"] == 60_000
    assert load["runs"][0]["cost_microusd"] == 2_000


def test_a_history_without_calls_and_one_that_was_cut_off_say_so() -> None:
    nothing = invoke(HistoryServer([]), "simulate", "--history", "1h")
    cut_off = HistoryServer([call(0, 1)])
    cut_off.is_cut = True

    assert nothing.exit_code == 1
    assert "There is nothing to simulate." in nothing.stderr
    assert "cut off on its way; try again" in invoke(cut_off, "simulate", "--history", "2h").stderr


def test_a_plot_is_written_as_png(trace: str, tmp_path: Path) -> None:
    target = tmp_path / "waits.png"

    result = invoke(FakeServer(), "simulate", "--trace", trace, "--strategy", "fifo,fair", "--plot", str(target))

    assert result.exit_code == 0, result.output
    assert target.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_a_plot_says_how_to_have_it(
    trace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)

    result = invoke(FakeServer(), "simulate", "--trace", trace, "--plot", str(tmp_path / "waits.png"))

    assert result.exit_code == 1
    assert "pip install 'llm-scheduler-server[plots]'" in result.stderr


def test_advice_names_the_setting_its_gain_and_its_price() -> None:
    server = HistoryServer(crowded())

    result = invoke(server, "advise")

    assert result.exit_code == 0, result.output
    assert "toy: 500 calls" in result.stdout
    assert "would have been better." in result.stdout
    assert "← advised" in result.stdout
    assert "+ starts in time" in result.stdout
    assert server.changes == []


def test_advice_is_applied_after_it_was_shown_and_confirmed() -> None:
    server = HistoryServer(crowded())

    declined = invoke(server, "advise", "--apply", input="n\n")
    assert server.changes == []
    applied = invoke(server, "advise", "--apply", "--yes")

    assert declined.exit_code == 1
    assert applied.exit_code == 0, applied.output
    ((name, changes),) = server.changes
    assert name == "toy"
    assert set(changes) <= {"strategy", "max_workers"}
    assert changes
    told = json.loads(invoke(HistoryServer(crowded()), "advise", "--json").stdout)
    assert told["models"]["toy"]["changes"] == changes


def test_too_little_data_is_said_and_nothing_advised() -> None:
    few = invoke(HistoryServer([call(number, 1) for number in range(20)]), "advise")
    idle = invoke(HistoryServer([call(10 * number, 1) for number in range(300)]), "advise", "--apply", "--yes")

    assert "Only 20 calls ended in that time" in few.stdout
    assert "there was room for all" in idle.stdout
    assert "toy stays as it is." in idle.stderr


def test_a_replay_that_is_unlike_what_happened_warns() -> None:
    server = HistoryServer([[row[0], row[1] + 500_000, row[2] + 500_000, *row[3:]] for row in crowded()])

    result = invoke(server, "advise")

    assert "Take its advice with care." in result.stdout


def test_a_model_that_was_not_called_is_an_error_with_the_next_step() -> None:
    result = invoke(HistoryServer([call(0, 1)]), "advise", "--model", "other")

    assert result.exit_code == 1
    assert "No call to 'other' ended in that time." in result.stderr
    assert "llms models list" in result.stderr
