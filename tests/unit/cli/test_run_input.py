"""The four shapes of input lines, what is wrong with bad ones, and OpenAI's format on the way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.fake_server import FakeClock, FakeServer, failed, invoke

from llm_scheduler.cli.run.lines import BadLineError, RunOptions, parsed
from llm_scheduler.cli.run.source import Source


def line(value: Any, **options: Any) -> dict[str, Any]:
    return parsed(json.dumps(value).encode(), RunOptions(**{"model": "toy", **options})).task


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize(
    ("value", "task"),
    [
        ("Hi", {"model": "toy", "type": "chat", "input": {"messages": [user("Hi")]}}),
        (
            {"prompt": "Hi", "model": "m", "priority": "high", "max_tokens": 5, "metadata": {"a": 1}},
            {
                "model": "m",
                "type": "chat",
                "input": {"messages": [user("Hi")], "max_tokens": 5},
                "priority": 0,
                "metadata": {"a": "1"},
            },
        ),
        (
            {"messages": [user("Hi")], "temperature": 0.5},
            {"model": "toy", "type": "chat", "input": {"messages": [user("Hi")], "temperature": 0.5}},
        ),
        (
            {"custom_id": "a", "url": "/v1/embeddings", "method": "POST", "body": {"model": "e", "input": ["x"]}},
            {"model": "e", "type": "embedding", "input": {"input": ["x"]}},
        ),
        ({"prompt": "Hi", "type": "completion"}, {"model": "toy", "type": "completion", "input": {"prompt": "Hi"}}),
    ],
)
def test_a_line_becomes_the_task_it_asks_for(value: Any, task: dict[str, Any]) -> None:
    assert line(value) == task


def test_options_fill_in_what_a_line_leaves_open() -> None:
    task = line("Hi", max_tokens=7, priority=9, system="Be brief.")

    assert task["input"] == {
        "messages": [{"role": "system", "content": "Be brief."}, user("Hi")],
        "max_tokens": 7,
    }
    assert task["priority"] == 9


def test_a_line_knows_better_than_the_options() -> None:
    task = line({"prompt": "Hi", "max_tokens": 1, "model": "mine", "system": "Mine."}, max_tokens=7, system="Yours.")

    assert task["model"] == "mine"
    assert task["input"]["max_tokens"] == 1
    assert task["input"]["messages"][0]["content"] == "Mine."


def test_a_forced_model_overrides_every_line() -> None:
    assert line({"prompt": "Hi", "model": "mine"}, is_model_forced=True)["model"] == "toy"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"Hello there", "a plain prompt needs quotes"),
        (b"[1]", "neither a JSON string nor a JSON object"),
        (b"{}", "none of 'prompt', 'messages' and 'body'"),
        (b'{"prompt": ""}', "'prompt' is not a text"),
        (b'{"prompt": "a", "promt": "b"}', "unknown field 'promt'"),
        (b'{"messages": []}', "'messages' is not a list"),
        (b'{"messages": [{"content": "x"}]}', "needs a 'role'"),
        (b'{"prompt": "a", "priority": 11}', "priority"),
        (b'{"prompt": "a", "metadata": [1]}', "'metadata'"),
        (b'{"custom_id": "a", "url": "/v1/responses", "body": {"input": "x"}}', "url '/v1/responses'"),
        (b'{"body": {"messages": [{"role": "user"}]}}', "has no 'custom_id'"),
        (b'{"custom_id": "a", "body": {"messages": [{"role": "user"}], "stream": true}}', "'stream'"),
    ],
)
def test_a_bad_line_says_what_is_wrong(raw: bytes, reason: str) -> None:
    with pytest.raises(BadLineError, match=reason):
        parsed(raw, RunOptions("toy"))


def test_a_line_without_any_model_is_bad() -> None:
    with pytest.raises(BadLineError, match="--model"):
        parsed(b'"Hi"', RunOptions())


def test_line_numbers_count_empty_lines_and_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'\xef\xbb\xbf"one"\r\n\n   \n"four"')

    source = Source.scan(path, RunOptions("toy"))

    assert list(source.numbers) == [1, 4]
    assert [found.task["input"]["messages"][0]["content"] for found in source.read([1, 4])] == ["one", "four"]


def test_the_identity_depends_on_bytes_options_server_and_name(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('"one"\n')
    base = Source.scan(path, RunOptions("toy")).run_id("http://a", None)

    others = {
        Source.scan(path, RunOptions("other")).run_id("http://a", None),
        Source.scan(path, RunOptions("toy")).run_id("http://b", None),
        Source.scan(path, RunOptions("toy")).run_id("http://a", "again"),
    }
    path.write_text('"two"\n')
    others.add(Source.scan(path, RunOptions("toy")).run_id("http://a", None))

    assert len(base) == 16
    assert len(others | {base}) == 5


class Scene:
    def __init__(self, folder: Path, *lines: str) -> None:
        self.server, self.clock = FakeServer(), FakeClock()
        self.clock.on_sleep = lambda: self.server.work(10)
        self.source, self.output = folder / "in.jsonl", folder / "out.jsonl"
        self.source.write_text("\n".join(lines) + "\n")

    def run(self, *options: str) -> Any:
        return invoke(self.server, "run", str(self.source), "-o", str(self.output), *options, clock=self.clock)

    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.output.read_text().splitlines()]


def test_bad_lines_stop_the_run_before_anything_is_submitted(tmp_path: Path) -> None:
    scene = Scene(tmp_path, '"good"', "bad", '{"prompt": 3}')

    result = scene.run("--model", "toy")

    assert result.exit_code == 2
    assert "in.jsonl:2: not JSON" in result.stderr
    assert "in.jsonl:3: 'prompt'" in result.stderr
    assert "--skip-bad" in result.stderr
    assert not scene.server.requests


def test_skip_bad_writes_an_error_in_their_place(tmp_path: Path) -> None:
    scene = Scene(tmp_path, '"good"', "bad", '"fine"')

    result = scene.run("--model", "toy", "--skip-bad")

    assert result.exit_code == 1
    assert [(answer["line"], answer["status"]) for answer in scene.answers()] == [
        (1, "completed"),
        (2, "rejected"),
        (3, "completed"),
    ]
    assert scene.answers()[1]["error"]["code"] == "bad_line"


def test_batch_lines_come_back_in_the_batch_format(tmp_path: Path) -> None:
    body = {"model": "toy", "messages": [user("Hi")]}
    scene = Scene(
        tmp_path,
        json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}),
        json.dumps({"custom_id": "b", "method": "POST", "url": "/v1/chat/completions", "body": body}),
    )
    usual = scene.server.outcomes
    scene.server.outcomes = lambda task: usual(task) if task["id"] == 100 else failed(http_status=529)

    result = scene.run()

    assert result.exit_code == 1
    good, bad = scene.answers()
    assert (good["custom_id"], good["response"]["status_code"], good["error"]) == ("a", 200, None)
    assert good["response"]["body"]["choices"][0]["message"]["content"] == "echo Hi"
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("b", 529)
    assert bad["response"]["body"]["error"]["message"] == "Too much."


def test_a_repeated_custom_id_is_bad(tmp_path: Path) -> None:
    text = json.dumps({"custom_id": "a", "body": {"model": "toy", "messages": [user("Hi")]}})

    result = Scene(tmp_path, text, text).run()

    assert result.exit_code == 2
    assert "custom_id 'a' is that of line 1 too" in result.stderr


def test_input_and_output_must_differ(tmp_path: Path) -> None:
    scene = Scene(tmp_path, '"a"')

    result = invoke(scene.server, "run", str(scene.source), "-o", str(scene.source), "--model", "toy")

    assert result.exit_code == 2
    assert scene.source.read_text() == '"a"\n'


def test_json_gives_the_sums_on_stdout(tmp_path: Path) -> None:
    scene = Scene(tmp_path, '"a"', '"b"')

    result = scene.run("--model", "toy", "--json", "--quiet")

    sums = json.loads(result.stdout)
    assert sums["total"] == sums["completed"] == 2
    assert sums["tokens"] == 20
    assert sums["errors"] == {}
