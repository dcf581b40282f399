"""What the commands print, for people and for programs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from tests.unit.cli.fake_server import FakeClock, FakeServer, completed, failed, invoke

from llm_scheduler.cli.main import main
from llm_scheduler.cli.screen import count, excerpt, money, span


def busy(count_: int = 3) -> FakeServer:
    server = FakeServer()
    for number in range(count_):
        invoke(server, "submit", "toy", f"task {number}", "--priority", str(number % 10))
    return server


def test_version_is_printed_without_anything_heavy() -> None:
    heavy = ("rich", "httpx2", "pydantic", "sqlalchemy", "orjson", "aiohttp")
    code = (
        "import sys\nfrom llm_scheduler.cli.main import main\n"
        "try:\n    main(['version'])\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert out.splitlines() == ["llm-scheduler 0.1.0", "[]"]


@pytest.mark.parametrize(
    "group",
    [[], ["tasks"], ["models"], ["dlq"], ["budgets"], ["prices"], ["db"], ["config"], ["plugins"]],
)
def test_every_command_has_help_with_an_example(group: list[str]) -> None:
    listing = CliRunner().invoke(main, [*group, "--help"]).stdout.split("Commands:\n")[1].split("\n\n")[0]
    names = [line.split()[0] for line in listing.splitlines() if line[2] != " "]

    assert names
    for name in names:
        result = CliRunner().invoke(main, [*group, name, "--help"])
        assert result.exit_code == 0, name
        assert "Example:" in result.stdout, name


def test_a_misspelt_command_gets_the_nearest() -> None:
    result = CliRunner().invoke(main, ["taks"])

    assert result.exit_code == 2
    assert "Did you mean 'tasks'?" in result.stderr


def test_submit_prints_the_id_alone_on_stdout() -> None:
    result = invoke(FakeServer(), "submit", "toy", "Hi", "-m", "team=search", "--system", "Be brief.")

    assert result.stdout == "100\n"
    assert "llms tasks watch 100" in result.stderr


@pytest.mark.parametrize(("given", "ttl_s"), [("1h", 3600), ("90", 90), ("90s", 90), ("15m", 900), ("30d", 2_592_000)])
def test_submit_asks_for_the_cache(given: str, ttl_s: int) -> None:
    server = FakeServer()

    result = invoke(server, "submit", "toy", "Hi", "--cache", given)

    assert result.exit_code == 0
    assert json.loads(server.requests[-1].content)["cache"] == {"ttl_s": ttl_s}


@pytest.mark.parametrize("given", ["", "0", "-1", "1w", "h", "1.5h", "31d", "99999999999999999999s", "٣h"])
def test_a_time_that_is_none_is_refused(given: str) -> None:
    result = invoke(FakeServer(), "submit", "toy", "Hi", "--cache", given)

    assert result.exit_code == 2
    assert "is no time" in result.stderr


def test_submit_reads_a_prompt_from_stdin() -> None:
    server = FakeServer()

    invoke(server, "submit", "toy", "-", input="a long story")

    assert server.submitted() == ["a long story"]


def test_submit_wait_prints_the_answer_and_says_how_it_went() -> None:
    server = FakeServer()
    server.planned = [lambda request: None, lambda request: server.work()]

    result = invoke(server, "submit", "toy", "Hi", "--wait")

    assert result.exit_code == 0
    assert result.stdout == "echo Hi\n"
    assert "Task 100 completed" in result.stderr
    assert "4 + 6 tokens" in result.stderr


def test_submit_wait_of_a_task_that_fails_is_a_failure() -> None:
    server = FakeServer()
    server.outcomes = lambda task: failed()
    server.planned = [lambda request: None, lambda request: server.work()]

    result = invoke(server, "submit", "toy", "Hi", "--wait")

    assert result.exit_code == 1
    assert "Too much. (overloaded)" in result.stderr
    assert "llms tasks logs 100" in result.stderr


def test_submit_wait_gives_up_after_its_timeout() -> None:
    clock = FakeClock()

    result = invoke(FakeServer(), "submit", "toy", "Hi", "--wait", "--timeout", "3", clock=clock)

    assert result.exit_code == 1
    assert "it goes on" in result.stderr
    assert clock.now_s >= 3


def test_submit_stream_prints_deltas_as_they_come() -> None:
    server = FakeServer()
    done = {"id": 100, "status": "completed", **completed("Hello you"), "created_at": None}
    server.events = [
        ("status", {"id": 100, "status": "running", "attempt": 1, "at": "2026-01-31T09:00:00Z"}),
        ("delta", {"text": "Hello ", "attempt": 1}),
        ("delta", {"text": "you", "attempt": 1}),
        ("done", done),
    ]

    result = invoke(server, "submit", "toy", "Hi", "--stream")

    assert result.exit_code == 0
    assert result.stdout == "Hello you\n"


def test_submit_stream_survives_a_cut_stream() -> None:
    server = FakeServer()
    server.events = [("delta", {"text": "echo ", "attempt": 1})]
    server.planned = [lambda request: None, lambda request: None, lambda request: server.work()]

    result = invoke(server, "submit", "toy", "Hi", "--stream")

    assert result.exit_code == 0
    assert result.stdout == "echo Hi\n"


def test_tasks_list_is_a_table_for_people() -> None:
    server = busy()
    server.work(1)

    result = invoke(server, "tasks", "list")

    assert result.exit_code == 0
    header, _, *rows = result.stdout.splitlines()
    assert header.split()[:4] == ["ID", "STATUS", "MODEL", "PRI"]
    assert [row.split()[0] for row in rows] == ["102", "101", "100"]
    assert "echo task 0" in rows[-1]
    assert "\x1b" not in result.stdout


def test_tasks_list_is_json_for_programs() -> None:
    result = invoke(busy(), "tasks", "list", "--json", "--limit", "2", "--oldest-first")

    assert [task["id"] for task in json.loads(result.stdout)["items"]] == [100, 101]


def test_tasks_list_all_follows_pages_and_gives_ids() -> None:
    server = busy()
    server.planned = [
        lambda request: None,
    ]

    result = invoke(server, "tasks", "list", "--all", "--ids", "--status", "queued", "--status", "running")

    assert result.stdout.split() == ["102", "101", "100"]
    assert server.requests[-1].url.params.get_list("status") == ["queued", "running"]


def test_the_filter_goes_over_as_the_server_words_it() -> None:
    server = FakeServer()

    invoke(
        server, "tasks", "list", "--model", "toy", "-m", "run=42", "--created-after", "2026-01-31", "--priority", "high"
    )

    params = server.requests[-1].url.params
    assert params["model"] == "toy"
    assert params["metadata.run"] == "42"
    assert params["created_after"].startswith("2026-01-31T00:00:00")
    assert params["priority"] == "0"


def test_tasks_get_shows_question_and_answer() -> None:
    server = busy(1)
    server.work()

    result = invoke(server, "tasks", "get", "100")

    assert "status    completed" in result.stdout
    assert "echo task 0" in result.stdout


def test_tasks_logs_shows_each_step() -> None:
    assert "started" in invoke(busy(1), "tasks", "logs", "100").stdout


def test_tasks_watch_tells_status_and_text() -> None:
    server = busy(1)
    server.events = [
        ("status", {"id": 100, "status": "running", "attempt": 1, "at": "2026-01-31T09:00:00Z"}),
        ("delta", {"text": "Hi", "attempt": 1}),
        ("done", {"id": 100, "status": "completed", **completed("Hi")}),
    ]

    result = invoke(server, "tasks", "watch", "100")

    assert result.exit_code == 0
    assert result.stdout == "Hi\n"
    assert "running  attempt 1" in result.stderr


def test_cancel_by_id_reports_each_and_fails_if_one_could_not() -> None:
    server = busy(2)
    server.work(1)

    result = invoke(server, "tasks", "cancel", "100", "101")

    assert result.exit_code == 1
    assert "Task 101 is cancelled." in result.stderr
    assert "Task 100 is completed." in result.stderr


def test_cancel_by_filter_asks_first() -> None:
    server = busy(3)

    no = invoke(server, "tasks", "cancel", "--model", "toy", input="n\n")
    yes = invoke(server, "tasks", "cancel", "--model", "toy", input="y\n")

    assert no.exit_code == 1
    assert "Cancel 3 tasks?" in no.stderr
    assert "3 tasks cancelled." in yes.stderr


def test_a_filter_that_matches_nothing_changes_nothing() -> None:
    server = FakeServer()

    assert "Nothing to retry." in invoke(server, "tasks", "retry", "--all").stderr
    assert server.paths("POST") == []


def test_moving_needs_ids_or_a_filter_but_not_both() -> None:
    assert invoke(FakeServer(), "tasks", "cancel").exit_code == 2
    assert invoke(FakeServer(), "tasks", "cancel", "1", "--model", "toy").exit_code == 2


def test_dead_letters_are_listed_and_queued_again() -> None:
    server = busy(2)
    server.outcomes = lambda task: failed()
    server.work(2)

    listing = invoke(server, "dlq", "list")
    by_id = invoke(server, "dlq", "requeue", "100")
    by_filter = invoke(server, "dlq", "requeue", "--model", "toy", "--yes")

    assert "overloaded: Too much." in listing.stdout
    assert "retries_exhausted" in listing.stdout
    assert "1 dead letters queued again." in by_id.stderr
    assert "1 dead letters queued again." in by_filter.stderr


def test_models_are_listed_with_workers_and_share_of_good_calls() -> None:
    result = invoke(FakeServer(), "models", "list")

    row = next(line for line in result.stdout.splitlines() if line.startswith("toy"))
    assert row.split() == [
        "toy",
        "scripted",
        "active",
        "1/4",
        "7",
        "–",
        "60",
        "000",
        "200",
        "75.4",
        "%",
    ]  # of the 199 that have ended


def test_a_model_is_added_with_its_key_from_the_environment() -> None:
    server = FakeServer()

    result = invoke(
        server,
        *("models", "add", "gpt", "--base-url", "https://api.example/v1", "--key-env", "MY_KEY", "--rpm", "60"),
        *("-c", "timeout_s=30", "--max-retries", "2"),
        env={"MY_KEY": "sk-1"},
    )

    assert result.exit_code == 0
    assert json.loads(server.requests[-1].content) == {
        "name": "gpt",
        "type": "openai",
        "config": {"timeout_s": 30, "base_url": "https://api.example/v1", "api_key": "sk-1"},
        "rpm": 60,
        "retry": {"max_retries": 2},
    }


def test_a_model_is_added_that_finds_its_concurrency() -> None:
    server = FakeServer()

    result = invoke(server, *("models", "add", "gpu", "--max-workers", "auto", "--most-workers", "128"))
    scaled = invoke(server, "models", "scale", "gpu", "auto")

    assert result.exit_code == 0
    body = json.loads(server.requests[0].content)
    assert (body["max_workers"], body["auto_workers"]) == ("auto", {"max": 128})
    assert "finds by itself" in scaled.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--max-workers", "many"),
        ("--max-workers", "0"),
        ("--min-workers", "2"),
        ("--max-workers", "4", "--most-workers", "9"),
    ],
)
def test_workers_that_make_no_sense_are_wrong_usage(options: tuple[str, ...]) -> None:
    assert invoke(FakeServer(), "models", "add", "gpu", *options).exit_code == 2


def test_a_missing_key_variable_is_wrong_usage() -> None:
    assert invoke(FakeServer(), "models", "add", "gpt", "--key-env", "NOT_THERE").exit_code == 2


def test_models_are_steered() -> None:
    server = FakeServer()

    assert invoke(server, "models", "pause", "toy").exit_code == 0
    assert server.models["toy"]["status"] == "paused"
    assert invoke(server, "models", "resume", "toy").exit_code == 0
    assert invoke(server, "models", "scale", "toy", "16").exit_code == 0
    assert server.models["toy"]["max_workers"] == 16
    assert invoke(server, "models", "set", "toy", "strategy=shortest", "config.timeout_s=60").exit_code == 0
    assert server.requests[-1].method == "PATCH"
    assert json.loads(server.requests[-1].content) == {"strategy": "shortest", "config": {"timeout_s": 60}}
    assert invoke(server, "models", "set", "toy", "strategy").exit_code == 2
    assert invoke(server, "models", "remove", "toy", "--yes").exit_code == 0
    assert "toy" not in server.models


def test_a_model_test_tells_the_time_it_took() -> None:
    result = invoke(FakeServer(), "models", "test", "toy")

    assert "✓ toy answers in 840 ms, first token after 120 ms; 5 tokens." in result.stderr
    assert result.stdout == "pong\n"


def test_a_model_test_that_fails_says_why() -> None:
    server = FakeServer()
    error = {"code": "authentication_failed", "message": "Wrong key."}
    server.models["toy"]["trial"] = {"ok": False, "latency_ms": 3, "error": error}

    result = invoke(server, "models", "test", "toy")

    assert result.exit_code == 1
    assert "Wrong key. (authentication_failed)" in result.stderr


def test_completion_covers_both_names() -> None:
    for shell in ("bash", "zsh", "fish"):
        script = CliRunner().invoke(main, ["completion", shell]).stdout
        assert "_LLMS_COMPLETE" in script
        assert "_LLM_SCHEDULER_COMPLETE" in script


def test_config_show_masks_secrets_and_names_sources() -> None:
    result = CliRunner().invoke(
        main, ["config", "show", "--json"], env={"LLMS_PORT": "8123", "LLMS_BOOTSTRAP_API_KEY": "top-secret-0123456"}
    )

    shown = json.loads(result.stdout)
    assert shown["port"] == {"value": 8123, "source": "LLMS_PORT"}
    assert "top-secret" not in result.stdout


def test_config_show_of_an_unknown_setting_names_the_nearest() -> None:
    result = CliRunner().invoke(main, ["config", "show"], env={"LLMS_PROT": "1"})

    assert result.exit_code == 1
    assert "LLMS_PORT" in result.stderr


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0424, "42 ms"), (3.44, "3.4 s"), (125, "2 m 05 s"), (12_000, "3 h 20 m"), (352_800, "4 d 02 h"), (None, None)],
)
def test_spans_are_short(seconds: float | None, text: str | None) -> None:
    assert span(seconds) == text


def test_numbers_and_money_read_well() -> None:
    assert count(1_234_567) == "1 234 567"
    assert money(4_200) == "$0.0042"
    assert money(12_340_000) == "$12.34"
    assert money(2_000_000) == "$2.00"
    assert excerpt("a\nb " * 40, 10) == "a b a b a…"
