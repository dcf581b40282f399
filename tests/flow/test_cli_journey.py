"""A day with the command line: register a model, submit, run a file, interrupt it, look, mend, scale."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.live import KEY, Server, free_port, ledger_calls, server, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
LLMS = [sys.executable, "-m", "llm_scheduler"]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("cli")) as running:
        yield running


class Shell:
    """Runs `llms` as a person would, against one server."""

    def __init__(self, live: Server) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMS_")}
        self.environ = {**kept, "LLMS_URL": f"http://127.0.0.1:{live.port}", "LLMS_API_KEY": KEY}

    def __call__(self, *args: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([*LLMS, *args], env=self.environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == expect, done.stderr
        return done

    def json(self, *args: str, expect: int = 0) -> Any:
        return json.loads(self(*args, "--json", expect=expect).stdout)

    def start(self, *args: str) -> subprocess.Popen[str]:
        """As a terminal does: whoever runs the tests in the background has SIGINT ignored, and that is inherited."""
        return subprocess.Popen(
            [*LLMS, *args],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


@pytest.fixture
def llms(live: Server) -> Shell:
    return Shell(live)


def prompts(path: Path, count: int) -> Path:
    path.write_text("".join(json.dumps({"prompt": f"prompt {number}"}) + "\n" for number in range(1, count + 1)))
    return path


def answers(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_model_is_registered_tried_and_asked(llms: Shell) -> None:
    llms("models", "add", "toy", "--type", "scripted", "-c", "text=You said: {prompt}")

    assert "toy answers in" in llms("models", "test", "toy").stderr
    asked = llms("submit", "toy", "good morning", "--priority", "high", "--wait", "-m", "team=search")
    streamed = llms("submit", "toy", "good evening", "--stream")
    listed = llms.json("tasks", "list", "-m", "team=search")

    assert asked.stdout == "You said: good morning\n"
    assert "completed" in asked.stderr
    assert "You said: good evening\n" in streamed.stdout
    assert [task["status"] for task in listed["items"]] == ["completed"]
    assert "good morning" in llms("tasks", "get", str(listed["items"][0]["id"])).stdout


def test_a_run_is_interrupted_and_goes_on_without_paying_twice(llms: Shell, tmp_path: Path) -> None:
    ledger, output = tmp_path / "calls", tmp_path / "out.jsonl"
    llms(
        *("models", "add", "slow", "--type", "scripted", "--max-workers", "4"),
        *("-c", "delay_ms=200", "-c", f"ledger={ledger}"),
    )
    command = ("run", str(prompts(tmp_path / "in.jsonl", 120)), "-o", str(output), "--model", "slow")

    first = llms.start(*command)
    wait_until("some answers are written", lambda: output.exists() and len(answers(output)) >= 10)
    first.send_signal(signal.SIGINT)
    _, told = first.communicate(timeout=30)
    kept = len(answers(output))
    second = llms.json(*command)

    assert first.returncode == 130, told
    assert "run the same command again to go on" in told
    assert 10 <= kept < 120
    assert (second["total"], second["completed"]) == (120, 120)
    assert [answer["line"] for answer in answers(output)] == list(range(1, 121))
    calls = ledger_calls(ledger)
    assert len(calls) == 120
    assert set(calls.values()) == {1}


def test_a_run_can_be_cancelled_and_taken_up_again(llms: Shell, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    llms("models", "add", "slower", "--type", "scripted", "--max-workers", "2", "-c", "delay_ms=150")
    command = ("run", str(prompts(tmp_path / "in.jsonl", 60)), "-o", str(output), "--model", "slower")

    first = llms.start(*command, "--cancel-on-interrupt")
    wait_until("some answers are written", lambda: output.exists() and len(answers(output)) >= 5)
    first.send_signal(signal.SIGINT)
    _, told = first.communicate(timeout=30)
    cancelled = llms.json("tasks", "list", "--model", "slower", "--status", "cancelled", "--limit", "100")["items"]
    second = llms.json(*command)

    assert first.returncode == 130, told
    assert "cancelled" in told
    assert cancelled
    assert (second["completed"], second["failed"]) == (60, 0)


def test_batch_lines_come_back_whole(llms: Shell, tmp_path: Path) -> None:
    llms("models", "add", "batcher", "--type", "scripted")
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    body = {"model": "batcher", "messages": [{"role": "user", "content": "Hi"}]}
    lines = [
        {"custom_id": f"c{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        for number in range(5)
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))

    llms("run", str(source), "-o", str(output))

    assert [answer["custom_id"] for answer in answers(output)] == ["c0", "c1", "c2", "c3", "c4"]
    assert all(answer["response"]["body"]["choices"][0]["message"]["content"] for answer in answers(output))


def test_dead_letters_are_found_and_mended(llms: Shell) -> None:
    llms(
        *("models", "add", "moody", "--type", "scripted"),
        *("-c", 'errors=[{"attempts": [1], "code": "content_filtered", "message": "Not that."}]'),
    )

    failed = llms("submit", "moody", "something", "--wait", expect=1)
    dead = llms.json("dlq", "list", "--model", "moody")["items"]
    llms("dlq", "requeue", str(dead[0]["id"]))
    mended = llms("tasks", "watch", str(dead[0]["id"]))

    assert "content_filtered" in failed.stderr
    assert "completed" in mended.stderr
    assert "content_filtered" in llms("tasks", "logs", str(dead[0]["id"])).stdout


def test_models_are_paused_scaled_and_removed(llms: Shell) -> None:
    llms("models", "add", "brief", "--type", "scripted")

    llms("models", "pause", "brief")
    waiting = llms("submit", "brief", "later").stdout.strip()
    refused = llms("models", "remove", "brief", "--yes", expect=4)
    llms("models", "scale", "brief", "16")
    llms("tasks", "cancel", "--model", "brief", "--yes")
    llms("models", "remove", "brief", "--yes")

    assert "llms tasks cancel" in refused.stderr
    assert "brief" not in {model["name"] for model in llms.json("models", "list")["items"]}
    assert waiting.isdigit()


def test_the_doctor_is_content_and_top_has_a_picture(llms: Shell) -> None:
    checks = llms.json("doctor")
    picture = llms("top", "--once").stdout

    assert checks["ok"], checks
    assert "tasks/min" in picture


def test_refusals_and_absence_have_their_exit_codes(llms: Shell) -> None:
    assert "There is no model" in llms("submit", "nowhere", "Hi", expect=4).stderr
    assert "Set LLMS_API_KEY" in llms("--api-key", "wrong-key-0123456789", "tasks", "list", expect=4).stderr
    llms("tasks", "list", "--limit", "0", expect=2)
    llms.environ["LLMS_URL"] = f"http://127.0.0.1:{free_port()}"
    assert "Start one: llms serve" in llms("tasks", "list", expect=3).stderr


def test_a_demo_runs_and_leaves_nothing() -> None:
    done = subprocess.run([*LLMS, "demo", "--seconds", "2"], capture_output=True, text=True, timeout=90)

    assert done.returncode == 0, done.stderr
    assert "LLM Scheduler runs at http://127.0.0.1:" in done.stderr


@pytest.mark.parametrize("is_up", [False, True], ids=["starting", "running"])
def test_a_demo_that_is_told_to_end_takes_its_server_along(is_up: bool) -> None:
    """SIGTERM ended the demo alone; its server went on for ever."""
    with subprocess.Popen([*LLMS, "demo"], stderr=subprocess.PIPE, text=True) as demo:
        started: list[psutil.Process] = []
        try:
            process = psutil.Process(demo.pid)
            wait_until("it has a server", process.children)
            started += process.children()
            if is_up:
                assert demo.stderr is not None
                assert "runs at" in demo.stderr.readline()

            demo.terminate()
            demo.communicate(timeout=60)

            assert [one for one in started if one.is_running()] == []
        finally:
            demo.kill()
            for one in started:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
