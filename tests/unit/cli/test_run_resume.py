"""`llms run`: every line once, in order, whatever happens in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
from tests.unit.cli.fake_server import FakeClock, FakeServer, completed, failed, invoke, problem, prompt_of


class Scene:
    """A server that ends `per_sleep` tasks whenever the command line waits, an input and an output file."""

    def __init__(self, folder: Path, count: int = 0, per_sleep: int = 3, id_step: int = 1) -> None:
        self.server, self.clock = FakeServer(id_step), FakeClock()
        self.clock.on_sleep = lambda: self.server.work(per_sleep)
        self.source, self.output = folder / "in.jsonl", folder / "out.jsonl"
        self.write(*(json.dumps(f"line {number}") for number in range(1, count + 1)))

    def write(self, *lines: str) -> None:
        self.source.write_text("\n".join(lines) + "\n")

    def run(self, *options: str) -> Any:
        return invoke(
            self.server, "run", str(self.source), "-o", str(self.output), "--model", "toy", *options, clock=self.clock
        )

    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.read_text().splitlines()]

    def interrupt_after(self, ended: int) -> None:
        """Ctrl-C at the first rest at which so many tasks have ended."""

        def world() -> None:
            self.server.work(3)
            if sum(task["status"] == "completed" for task in self.server.tasks.values()) >= ended:
                raise KeyboardInterrupt

        self.clock.on_sleep = world

    def go_on(self) -> None:
        self.clock.on_sleep = lambda: self.server.work(3)


def test_answers_stand_in_input_order(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 10)

    result = scene.run()

    assert result.exit_code == 0, result.stderr
    assert [answer["line"] for answer in scene.answers()] == list(range(1, 11))
    assert scene.answers()[0] == {
        "line": 1,
        "id": 100,
        "status": "completed",
        "output": "echo line 1",
        "usage": {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10},
        "error": None,
    }
    assert "10 of 10 completed, 0 failed" in result.stderr


def test_an_interrupted_run_goes_on_and_pays_nothing_twice(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 40)
    scene.interrupt_after(12)

    first = scene.run()
    kept = len(scene.answers())
    scene.go_on()
    second = scene.run()

    assert first.exit_code == 130
    assert "run the same command again to go on" in first.stderr
    assert 0 < kept < 40
    assert second.exit_code == 0
    assert "Going on: 40 of 40 lines were submitted before." in second.stderr
    assert [answer["line"] for answer in scene.answers()] == list(range(1, 41))
    assert scene.server.submitted() == [f"line {number}" for number in range(1, 41)]


def test_an_interrupt_between_chunks_leaves_the_rest_for_the_next_run(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 30, per_sleep=5)
    scene.server.room = 8
    scene.interrupt_after(6)

    first = scene.run()
    before = len(scene.server.tasks)
    scene.go_on()
    second = scene.run()

    assert first.exit_code == 130
    assert before < 30
    assert second.exit_code == 0
    assert [answer["output"] for answer in scene.answers()] == [f"echo line {number}" for number in range(1, 31)]
    assert len(scene.server.tasks) == 30


def test_cancel_on_interrupt_cancels_and_the_next_run_revives(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 20)
    scene.interrupt_after(5)

    first = scene.run("--cancel-on-interrupt")
    statuses = {task["status"] for task in scene.server.tasks.values()}
    scene.go_on()
    second = scene.run("--cancel-on-interrupt")

    assert first.exit_code == 130
    assert statuses == {"completed", "cancelled"}
    assert "tasks of this run are queued again" in second.stderr
    assert second.exit_code == 0
    assert len(scene.server.tasks) == 20


def test_a_finished_run_repeated_only_rewrites_its_output(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 6)
    scene.run()
    first = scene.output.read_bytes()
    scene.output.write_text("spoilt")

    again = scene.run()

    assert again.exit_code == 0
    assert scene.output.read_bytes() == first
    assert len(scene.server.tasks) == 6


def test_another_name_is_another_run(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 3)

    scene.run()
    scene.run("--name", "again")

    assert len(scene.server.tasks) == 6


def test_other_options_are_another_run(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 3)

    scene.run()
    scene.run("--max-tokens", "9")

    assert [task["input"].get("max_tokens") for task in scene.server.tasks.values()] == [None] * 3 + [9] * 3


def test_equal_lines_are_separate_tasks(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.write('"same"', '"same"', '"same"')

    scene.run()

    assert scene.server.submitted() == ["same"] * 3
    assert [answer["line"] for answer in scene.answers()] == [1, 2, 3]


def test_unordered_answers_come_as_they_end(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 6)

    def backwards() -> None:
        waiting = [task for task in scene.server.tasks.values() if task["status"] == "queued"]
        if waiting:
            waiting[-1].update(completed(f"echo {prompt_of(waiting[-1])}"))

    scene.clock.on_sleep = backwards
    result = scene.run("--unordered")

    assert result.exit_code == 0
    assert [answer["line"] for answer in scene.answers()] == [6, 5, 4, 3, 2, 1]


def test_what_is_ahead_of_a_slow_line_waits_for_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 4)
    sizes: list[int] = []

    def slow_second() -> None:
        sizes.append(len(scene.answers()) if scene.output.exists() else 0)
        waiting = [task for task in scene.server.tasks.values() if task["status"] == "queued"]
        later = [task for task in waiting if prompt_of(task) != "line 2"]
        for task in later[:1] or waiting[:1]:
            task.update(completed("done"))

    scene.clock.on_sleep = slow_second
    scene.run()

    assert max(sizes[:-1]) == 1
    assert [answer["line"] for answer in scene.answers()] == [1, 2, 3, 4]


def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 25, per_sleep=4)
    scene.server.room = 5

    result = scene.run()

    assert result.exit_code == 0
    assert "The queue is full." in result.stderr
    assert [answer["line"] for answer in scene.answers()] == list(range(1, 26))


def test_a_lost_reply_makes_no_second_task(tmp_path: Path) -> None:
    """The bulk request is recorded, its answer is lost: it is repeated, and the tasks' ids are read back."""
    scene = Scene(tmp_path, 5)

    def lose(request: httpx2.Request) -> httpx2.Response | None:
        if not request.url.path.endswith("/bulk"):
            scene.server.planned.insert(0, lose)
            return None
        scene.server(request)
        raise httpx2.ReadError("reset", request=request)

    scene.server.planned.append(lose)
    result = scene.run()

    assert result.exit_code == 0
    assert "broke" in result.stderr
    assert len(scene.server.tasks) == 5
    assert len(scene.answers()) == 5


def test_ids_with_gaps_are_read_back(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 12, id_step=7)

    result = scene.run()

    assert result.exit_code == 0
    assert [answer["id"] for answer in scene.answers()] == [100 + 7 * number for number in range(12)]


def test_thousands_of_lines_are_asked_for_in_windows(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 2300, per_sleep=700)

    result = scene.run()

    assert result.exit_code == 0
    assert [answer["line"] for answer in scene.answers()] == list(range(1, 2301))
    assert len(scene.server.requests) < 60


def test_a_deleted_task_is_reported_not_awaited(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 3)

    def delete_second() -> None:
        scene.server.tasks.pop(101, None)
        scene.server.work(3)

    scene.clock.on_sleep = delete_second
    result = scene.run()

    assert result.exit_code == 1
    assert scene.answers()[1]["error"]["code"] == "task_gone"


def test_failed_lines_make_the_exit_code_and_are_grouped(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 6)
    scene.server.outcomes = lambda task: failed() if prompt_of(task)[-1] in "246" else completed("ok")

    result = scene.run()

    assert result.exit_code == 1
    assert "3 of 6 completed, 3 failed" in result.stderr
    assert "3 × overloaded: Too much.  (lines 2, 4, 6)" in result.stderr
    assert scene.answers()[1]["status"] == "failed"
    assert scene.answers()[1]["error"]["code"] == "overloaded"


def test_retry_failed_queues_failed_lines_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 4)
    scene.server.outcomes = lambda task: failed()
    scene.run()
    scene.server.outcomes = lambda task: completed("now")

    plain, retried = scene.run(), scene.run("--retry-failed")

    assert (plain.exit_code, retried.exit_code) == (1, 0)
    assert [answer["output"] for answer in scene.answers()] == ["now"] * 4


def test_an_unknown_model_stops_before_anything_is_submitted(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.write('{"prompt": "a", "model": "nowhere"}', '"b"')

    result = scene.run()

    assert result.exit_code == 4
    assert "There is no model 'nowhere'." in result.stderr
    assert "llms models list" in result.stderr
    assert not scene.server.tasks


def test_a_line_that_the_server_refuses_gets_an_error(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.write('"good"', '{"prompt": "bad", "model": "other"}')
    del scene.server.models["other"]
    scene.server.planned = [lambda request: None, lambda request: httpx2.Response(403, json={})]

    result = scene.run()

    assert result.exit_code == 1
    assert scene.answers()[1]["status"] == "rejected"
    assert scene.answers()[1]["error"]["code"] == "model_not_found"


def test_a_chunk_refused_as_a_whole_gets_its_errors(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.write('{"prompt": "bad", "model": "other"}')
    del scene.server.models["other"]
    scene.server.planned = [lambda request: httpx2.Response(403, json={})]

    result = scene.run()

    assert result.exit_code == 1
    assert scene.answers()[0]["error"]["code"] == "model_not_found"


def test_a_server_that_goes_away_leaves_what_was_written(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 10)

    def vanish() -> None:
        scene.server.work(2)
        if scene.server.tasks and scene.clock.now_s > 0.5:
            scene.server.planned = [_gone] * 1000

    def _gone(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    scene.clock.on_sleep = vanish
    result = scene.run()

    assert result.exit_code == 3
    assert "run the same command again to go on" in result.stderr
    assert sum(scene.clock.slept) + 60 >= 600
    assert scene.answers()


def test_a_revoked_key_ends_the_run(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 3)
    scene.server.planned = [lambda request: problem(401, "unauthorized", "No key, or a wrong one.")]

    result = scene.run()

    assert result.exit_code == 4
    assert "LLMS_API_KEY" in result.stderr
    assert not scene.output.exists()


def test_a_line_that_is_too_large_is_found_and_the_others_go_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 20)

    def limit(request: httpx2.Request) -> httpx2.Response | None:
        scene.server.planned.append(limit)
        is_large = request.url.path.endswith("/bulk") and b'"line 7"' in request.content
        return problem(413, "too_large", "Line 7 is over the limit.") if is_large else None

    scene.server.planned.append(limit)
    result = scene.run()

    assert result.exit_code == 1
    assert [answer["line"] for answer in scene.answers() if answer["error"]] == [7]
    assert scene.answers()[6]["error"] == {"code": "too_large", "message": "Line 7 is over the limit."}
    assert len(scene.server.tasks) == 19
