"""A server in the process of the test, as far as the command line can tell; and a clock that never really waits."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httpx2
from click.testing import CliRunner, Result

from llm_scheduler.cli.invocation import Invocation, Pace
from llm_scheduler.cli.main import main

TERMINAL = ("completed", "failed", "cancelled", "expired")
NOW = "2026-01-31T09:00:00.000Z"


class FakeClock:
    """Time passes only by sleeping; `on_sleep` is what the world does meanwhile."""

    def __init__(self) -> None:
        self.now_s, self.slept = 0.0, list[float]()
        self.on_sleep: Callable[[], None] = lambda: None

    def pace(self) -> Pace:
        return Pace(lambda: self.now_s, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        self.on_sleep()


class FakeServer:
    """Speaks the native API: tasks, bulk, counts, actions, models, dead letters."""

    def __init__(self, id_step: int = 1) -> None:
        self.tasks: dict[int, dict[str, Any]] = {}
        self.models = {name: _model(name) for name in ("toy", "other")}
        self.requests: list[httpx2.Request] = []
        self.planned: list[Callable[[httpx2.Request], httpx2.Response | None]] = []
        """Each takes the place of an answer once; None lets the request through."""
        self.room: int | None = None
        self.predictions: dict[str, Any] = {}
        self.events: list[tuple[str, Any]] = []
        self.actions: dict[int, dict[str, Any]] = {}
        self.outcomes: Callable[[dict[str, Any]], dict[str, Any]] = lambda task: completed(f"echo {prompt_of(task)}")
        self._keys: dict[str, int] = {}
        self._ids = itertools.count(100, id_step)
        self.key: str | None = None

    def work(self, count: int = 1) -> None:
        """End the oldest open tasks."""
        for task in [task for task in self.tasks.values() if task["status"] not in TERMINAL][:count]:
            task.update(self.outcomes(task), attempt=task["attempt"] + 1, started_at=NOW, completed_at=NOW)

    def submitted(self) -> list[str]:
        """What was asked, in the order of tasks."""
        return [prompt_of(task) for task in self.tasks.values()]

    def paths(self, method: str = "GET") -> list[str]:
        return [request.url.path for request in self.requests if request.method == method]

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        request.read()
        if self.planned:
            answer = self.planned.pop(0)(request)
            if answer is not None:
                return answer
        is_open = request.url.path in ("/healthz", "/readyz")
        if self.key and not is_open and request.headers.get("authorization") != f"Bearer {self.key}":
            return problem(401, "unauthorized", "No key, or a wrong one.")
        parts = unquote(request.url.path).strip("/").split("/")
        if parts[0] in ("healthz", "readyz"):
            return answer_json({"status": "ok", "parts": {"store": "ok", "broker": "ok", "claim_loop": "ok"}})
        handler = getattr(self, f"_{request.method.lower()}_{parts[2].replace('-', '_')}")
        return handler(request, parts[3:])

    def _get_audit(self, request: httpx2.Request, rest: list[str]) -> httpx2.Response:
        assert rest == ["verify"], request.url
        found = {"ok": True, "rows": 0, "first_broken_id": None, "detail": None, "is_guarded": True}
        return answer_json(found | {"head_id": 0, "head_hash": "0" * 64})

    def _get_models(self, request: httpx2.Request, rest: list[str]) -> httpx2.Response:
        if rest[1:] == ["predictions"]:
            return self._known(rest[0]) or answer_json(self.predictions | dict(request.url.params))
        assert not request.url.params
        if not rest:
            return answer_json({"items": list(self.models.values()), "next_cursor": None})
        return self._known(rest[0]) or answer_json(self.models[rest[0]])

    def _patch_models(self, request: httpx2.Request, rest: list[str]) -> httpx2.Response:
        self.models[rest[0]] |= json.loads(request.content)
        return answer_json(self.models[rest[0]])

    def _post_models(self, request: httpx2.Request, rest: list[str]) -> httpx2.Response:
        if not rest:
            body = json.loads(request.content)
            self.models[body["name"]] = _model(body["name"]) | body
            return answer_json(self.models[body["name"]], 201)
        missing = self._known(rest[0])
        if missing is not None:
            return missing
        model = self.models[rest[0]]
        match rest[1]:
            case "pause":
                model["status"] = "paused"
            case "resume":
                model["status"] = "active"
            case "scale":
                model["max_workers"] = json.loads(request.content)["max_workers"]
            case _:
                usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
                trial = {"ok": True, "latency_ms": 840, "ttft_ms": 120, "text": "pong", "usage": usage, "error": None}
                return answer_json(model.get("trial", trial))
        return answer_json(model)

    def _delete_models(self, request: httpx2.Request, rest: list[str]) -> httpx2.Response:
        del self.models[rest[0]]
        return httpx2.Response(204)

    def _known(self, name: str) -> httpx2.Response | None:
        return None if name in self.models else problem(404, "model_not_found", f"There is no model '{name}'.")

    def _post_tasks(self, request: httpx2.Request, rest: list[str]) -> httpx2.Response:
        match rest:
            case []:
                body = json.loads(request.content)
                return self._known(body["model"]) or answer_json(
                    self._add(body, request.headers["idempotency-key"]), 201
                )
            case ["bulk"]:
                return self._bulk(request)
            case ["actions"]:
                return self._act(json.loads(request.content))
            case [task_id, verb]:
                return self._move(int(task_id), verb)
        raise AssertionError(rest)

    def _bulk(self, request: httpx2.Request) -> httpx2.Response:
        assert request.headers["content-type"] == "application/x-ndjson"
        rejected, ids, known = list[dict[str, Any]](), list[int](), len(self.tasks)
        for number, line in enumerate(request.content.splitlines(), 1):
            body = json.loads(line)
            open_now = sum(task["status"] not in TERMINAL for task in self.tasks.values())
            if body["model"] not in self.models:
                rejected.append({"line": number, "code": "model_not_found", "detail": "There is no such model."})
            elif self.room is not None and open_now >= self.room and body["idempotency_key"] not in self._keys:
                rejected.append({"line": number, "code": "queue_full", "detail": "The queue is full."})
            else:
                ids.append(self._add(body, body["idempotency_key"])["id"])
        summary = {
            "accepted": len(ids),
            "repeated": len(ids) - (len(self.tasks) - known),
            "rejected": rejected,
            "rejected_total": len(rejected),
            "first_id": ids[0] if ids else None,
            "last_id": ids[-1] if ids else None,
        }
        if ids:
            return answer_json(summary, 201)
        if any(item["code"] == "queue_full" for item in rejected):
            return problem(429, "queue_full", "The queue is full.", {"Retry-After": "3"}, **summary)
        return problem(422, "invalid_request", "Every line is wrong.", **summary)

    def _add(self, body: dict[str, Any], key: str) -> dict[str, Any]:
        if key in self._keys:
            return self.tasks[self._keys[key]]
        task_id = next(self._ids)
        self._keys[key] = task_id
        value = body["input"]
        task = _task(task_id, body["model"])
        task |= {name: body[name] for name in ("type", "priority", "metadata") if name in body}
        task["input"] = {"messages": [{"role": "user", "content": value}]} if isinstance(value, str) else value
        self.tasks[task_id] = task
        return task

    def _move(self, task_id: int, verb: str) -> httpx2.Response:
        task = self.tasks.get(task_id)
        if task is None:
            return problem(404, "task_not_found", f"There is no task {task_id}.")
        if (task["status"] in TERMINAL) == (verb == "cancel"):
            return problem(409, "wrong_status", f"Task {task_id} is {task['status']}.")
        task["status"] = "cancelled" if verb == "cancel" else "queued"
        return answer_json(task)

    def _act(self, body: dict[str, Any]) -> httpx2.Response:
        where, action = body["filter"], body["action"]
        able = ("failed", "cancelled") if action == "retry" else ("queued", "running")
        met = [
            task
            for task in self.tasks.values()
            if task["status"] in able
            and task["status"] in where.get("status", able)
            and all(task["metadata"].get(key) == value for key, value in where.get("metadata", {}).items())
        ]
        for task in met:
            task["status"] = "queued" if action == "retry" else "cancelled"
        done = {"id": 1, "action": action, "status": "completed", "seen": len(met), "changed": len(met)}
        self.actions[1] = done
        return answer_json({**done, "status": "running", "seen": 0, "changed": 0}, 202)

    def _get_tasks(self, request: httpx2.Request, rest: list[str]) -> httpx2.Response:
        match rest:
            case []:
                return self._list(request)
            case ["counts"]:
                return self._counts(request)
            case ["actions", _]:
                return answer_json(self.actions[1])
            case [_, "events"]:
                stream = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in self.events)
                return httpx2.Response(200, text=": hello\n\n" + stream, headers={"content-type": "text/event-stream"})
            case [task_id, "logs"]:
                line = {"level": "info", "message": "started", "data": {"attempt": 1}, "created_at": NOW}
                return answer_json({"items": [line]})
            case [task_id, "attempts"]:
                return answer_json({"items": []})
            case [task_id]:
                task = self.tasks.get(int(task_id))
                return answer_json(task) if task else problem(404, "task_not_found", f"There is no task {task_id}.")
        raise AssertionError(rest)

    def _list(self, request: httpx2.Request) -> httpx2.Response:
        params = request.url.params
        found = self._matching(params)
        if params.get("order") != "asc":
            found.reverse()
        limit, start = int(params.get("limit", "50")), int(params.get("cursor", "0"))
        page = [_without_raw(task) for task in found[start : start + limit]]
        return answer_json({"items": page, "next_cursor": str(start + limit) if len(found) > start + limit else None})

    def _counts(self, request: httpx2.Request) -> httpx2.Response:
        found = self._matching(request.url.params)
        counts = {status: sum(task["status"] == status for task in found) for status in {t["status"] for t in found}}
        return answer_json({"counts": counts, "total": len(found)})

    def _matching(self, params: httpx2.QueryParams) -> list[dict[str, Any]]:
        statuses = [status for value in params.get_list("status") for status in value.split(",")]
        ids = [int(part) for part in params["ids"].split(",")] if "ids" in params else None
        assert ids is None or len(ids) <= 500
        metadata = {name[9:]: value for name, value in params.items() if name.startswith("metadata.")}
        return [
            task
            for task in self.tasks.values()
            if (not statuses or task["status"] in statuses)
            and (ids is None or task["id"] in ids)
            and ("model" not in params or task["model"] == params["model"])
            and all(task["metadata"].get(key) == value for key, value in metadata.items())
        ]

    def _get_dead_letters(self, request: httpx2.Request, rest: list[str]) -> httpx2.Response:
        dead = [_without_raw(task) for task in self.tasks.values() if task["status"] == "failed"]
        return answer_json({"items": dead, "next_cursor": None})

    def _post_dead_letters(self, request: httpx2.Request, rest: list[str]) -> httpx2.Response:
        body = json.loads(request.content)
        if "filter" in body:
            return self._act({"action": "retry", "filter": body["filter"]})
        dead = [self.tasks[task_id] for task_id in body["ids"] if self.tasks[task_id]["status"] == "failed"]
        for task in dead:
            task["status"] = "queued"
        return answer_json({"changed": len(dead)})


def answer_json(value: Any, status: int = 200) -> httpx2.Response:
    return httpx2.Response(status, json=value)


def problem(
    status: int, code: str, detail: str, headers: dict[str, str] | None = None, **members: Any
) -> httpx2.Response:
    titles = {401: "Unauthorized", 404: "Not Found", 409: "Conflict", 422: "Unprocessable", 429: "Too Many Requests"}
    body = {"title": titles.get(status, "Error"), "status": status, "code": code, "detail": detail, **members}
    return httpx2.Response(status, json=body, headers={**(headers or {}), "content-type": "application/problem+json"})


def prompt_of(task: dict[str, Any]) -> str:
    return task["input"]["messages"][-1]["content"]


def completed(text: str) -> dict[str, Any]:
    usage = {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10}
    raw = {"object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": text}}]}
    return {"status": "completed", "output": {"text": text, "raw": raw}, "usage": usage, "cost_microusd": 100}


def failed(code: str = "overloaded", message: str = "Too much.", http_status: int | None = 529) -> dict[str, Any]:
    error = {"code": code, "message": message, "retryable": True, "http_status": http_status}
    return {"status": "failed", "error": error, "dead_reason": "retries_exhausted", "failures": 1}


def invoke(server: FakeServer, *args: str, clock: FakeClock | None = None, **options: Any) -> Result:
    """Call the command line against the fake."""
    pace = (clock or FakeClock()).pace()
    invocation = Invocation(transport=httpx2.MockTransport(server), pace=pace)
    return CliRunner().invoke(main, list(args), obj=invocation, prog_name="llms", **options)


def _without_raw(task: dict[str, Any]) -> dict[str, Any]:
    return {**task, "output": task["output"] and {**task["output"], "raw": None}}


def _model(name: str) -> dict[str, Any]:
    return {
        "id": 1,
        "name": name,
        "type": "scripted",
        "status": "active",
        "config": {},
        "max_workers": 4,
        "current_workers": 1,
        "queued": 7,
        "rpm": None,
        "tpm": 60000,
        "strategy": None,
        "total_requests": 200,
        "success_requests": 150,
        "created_at": NOW,
    }


def _task(task_id: int, model: str) -> dict[str, Any]:
    times = {"created_at": NOW, "queued_at": NOW, "started_at": None, "completed_at": None, "updated_at": NOW}
    return {
        "id": task_id,
        "model": model,
        "type": "chat",
        "status": "queued",
        "priority": 5,
        "output": None,
        "error": None,
        "dead_reason": None,
        "attempt": 0,
        "failures": 0,
        "max_retries": 3,
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        "cost_microusd": 0,
        "queue_position": None,
        "metadata": {},
        **times,
    }
