"""The output file of a run: one line per input line, in order or as they end."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Self

import orjson

from llm_scheduler.cli.run.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Output:
    """Writes what has ended. What is written is flushed with each `flush`, so a crash keeps it.

    Args:
        path: of the file; what it held is written anew, from the server's record.
        numbers: the lines to come, in order; None writes them as they end.
    """

    def __init__(self, path: Path, numbers: Iterable[int] | None) -> None:
        self._stream = path.open("wb")
        self._waiting = None if numbers is None else deque(numbers)
        self._early: dict[int, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def put(self, number: int, answer: dict[str, Any]) -> None:
        """Take the output of a line; in order it may have to wait for those before it."""
        text = orjson.dumps(answer) + b"\n"
        if self._waiting is None:
            self._stream.write(text)
            return
        self._early[number] = text
        while self._waiting and self._waiting[0] in self._early:
            self._stream.write(self._early.pop(self._waiting.popleft()))

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._stream.flush()

    def release(self) -> None:
        """Write what waits for earlier lines too: the run was interrupted."""
        for number in sorted(self._early):
            self._stream.write(self._early.pop(number))
        self._stream.flush()


def answer_of(source: Source, number: int, task: dict[str, Any]) -> dict[str, Any]:
    """A finished task as an output line, in the format of its input line."""
    if number in source.batch_lines:
        return _batch_answer(source.custom_ids[number], task)
    is_done = task["status"] == "completed"
    return {
        "line": number,
        **_custom_id(source, number),
        "id": task["id"],
        "status": task["status"],
        "output": _text(task) if is_done else None,
        "usage": task.get("usage"),
        "error": None if is_done else _error(task),
    }


def refusal_of(source: Source, number: int, code: str, detail: str) -> dict[str, Any]:
    """A line that never became a task (or whose task is gone), as an output line."""
    error = {"code": code, "message": detail}
    if number in source.batch_lines:
        name = source.custom_ids[number]
        return {"id": f"batch_req_line_{number}", "custom_id": name, "response": None, "error": error}
    return {
        "line": number,
        **_custom_id(source, number),
        "id": None,
        "status": "rejected",
        "output": None,
        "usage": None,
        "error": error,
    }


def _batch_answer(custom_id: str, task: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"id": f"batch_req_{task['id']}", "custom_id": custom_id, "response": None, "error": None}
    if task["status"] == "completed":
        raw = (task.get("output") or {}).get("raw") or {}
        return answer | {"response": {"status_code": 200, "request_id": f"req_{task['id']}", "body": raw}}
    error = _error(task)
    http_status = error.get("http_status")
    if http_status:
        body = {"error": {"message": error["message"], "type": error["code"], "param": None, "code": error["code"]}}
        return answer | {"response": {"status_code": http_status, "request_id": f"req_{task['id']}", "body": body}}
    return answer | {"error": {"code": error["code"], "message": error["message"]}}


def _custom_id(source: Source, number: int) -> dict[str, str]:
    return {"custom_id": source.custom_ids[number]} if number in source.custom_ids else {}


def _error(task: dict[str, Any]) -> dict[str, Any]:
    return task.get("error") or {"code": task["status"], "message": f"The task is {task['status']}."}


def _text(task: dict[str, Any]) -> Any:
    """The text; of an embedding its vectors."""
    output = task.get("output") or {}
    raw = output.get("raw") or {}
    if task["type"] == "embedding" and isinstance(raw.get("data"), list):
        vectors = [part.get("embedding") for part in raw["data"]]
        return vectors[0] if len(vectors) == 1 else vectors
    return output.get("text")
