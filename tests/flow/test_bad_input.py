"""What a caller may get wrong, and what it is told: every answer is a problem that says what to do next."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.api.scene import Scene, scene

from llm_scheduler.api.errors import codes
from llm_scheduler.services.submit import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TASKS, BULK, MODELS = "/api/v1/tasks", "/api/v1/tasks/bulk", "/api/v1/models"
ACTIONS, REQUEUE = "/api/v1/tasks/actions", "/api/v1/dead-letters/requeue"
JSON, NDJSON = {"Content-Type": "application/json"}, {"Content-Type": "application/x-ndjson"}


@dataclass
class Bad:
    """A request, and what must come back."""

    what: str
    path: str
    status: int
    fragment: str
    code: str = "invalid_request"
    body: Any = None
    content: bytes | None = None
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)


def task(what: str, fragment: str, status: int = 422, code: str = "invalid_request", **fields: Any) -> Bad:
    """A submit that would be fine but for `fields`."""
    return Bad(what, TASKS, status, fragment, code, {"model": "m", "input": "Hi"} | fields)


def raw(what: str, content: bytes, fragment: str, code: str = "invalid_json") -> Bad:
    """A submit of these bytes."""
    return Bad(what, TASKS, 422, fragment, code, content=content, headers=JSON)


def model(what: str, fragment: str, status: int = 422, code: str = "invalid_request", **fields: Any) -> Bad:
    """A new model that would be fine but for `fields`."""
    return Bad(what, MODELS, status, fragment, code, {"name": "new", "type": "scripted"} | fields)


def get(what: str, path: str, fragment: str, status: int = 422, code: str = "invalid_request") -> Bad:
    """A read."""
    return Bad(what, path, status, fragment, code, method="GET")


TABLE = [
    # A task's fields.
    Bad("no model", TASKS, 422, "model: This is needed; add it", body={"input": "Hi"}),
    Bad("no input", TASKS, 422, "input: This is needed; add it", body={"model": "m"}),
    Bad("nothing at all", TASKS, 422, "and 1 more, see errors", body={}),
    task("unknown model", "Known models: m", 404, "model_not_found", model="gpt-9"),
    task("model of another kind", "valid string", model=7),
    task("very long model name", "at most 128 characters", model="x" * 129),
    task("unknown type", "takes tasks of type: chat, completion, embedding", type="poem"),
    task("unknown field", "did you mean 'priority'?", prioritty="high"),
    task("unknown field, nothing near", "known: cache, deadline_at, ", zzz=1),
    task("input is a number", 'Use a text, or an object such as {"messages"', input=7),
    task("input is a list", "Use a text, or an object", input=["Hi"]),
    task("input is blank", "The input is empty; give a prompt", input="  "),
    task("input without messages", "A chat input needs 'messages'", input={"prompt": "Hi"}),
    task("messages are no list", "'messages' must be a list", input={"messages": "Hi"}),
    task("a message without a role", "an object with a 'role'", input={"messages": [{"content": "Hi"}]}),
    task("input over its limit", "the limit is 20000", 413, "too_large", input="x" * 30_000),
    task("priority as a word", "Use 'high', 'medium', 'low', or a whole number", priority="urgent"),
    task("priority in capitals", "Use 'high', 'medium', 'low'", priority="HIGH"),
    task("priority above its range", "from 0 (first) to 9 (last)", priority=10),
    task("priority as a boolean", "from 0 (first) to 9 (last)", priority=True),
    task("priority as a fraction", "from 0 (first) to 9 (last)", priority=1.5),
    task("priority as text of a number", "from 0 (first) to 9 (last)", priority="3"),
    task("too many retries", "less than or equal to 100", max_retries=101),
    task("retries below zero", "greater than or equal to 0", max_retries=-1),
    task("retries as text", "valid integer", max_retries="3"),
    task("a huge integer", "valid integer", max_retries=2**64),
    task("timeout of nothing", "greater than or equal to 0.1", timeout_s=0),
    task("timeout of more than a day", "less than or equal to 86400", timeout_s=86_401),
    task("run_at without an offset", "RFC 3339 with Z or an offset", run_at="2030-01-31T09:00:00"),
    task("run_at as a number", "RFC 3339 with Z or an offset", run_at=1_893_456_000),
    task("run_at on no day", "check month, day and hour", run_at="2030-02-30T09:00:00Z"),
    task("run_at in a far year", "Use a year from 1970 to 8999", run_at="9999-12-31T23:59:59Z"),
    task("deadline in the past", "deadline_at is in the past", deadline_at="2020-01-01T00:00:00Z"),
    task(
        "deadline before run_at", "must be later than run_at",
        run_at="2100-01-02T00:00:00Z", deadline_at="2100-01-01T00:00:00Z",
    ),
    task("metadata as a list", "valid dictionary", metadata=["a"]),
    task("metadata with a nested value", "valid string", metadata={"a": {"b": 1}}),
    task("too many pairs of metadata", "At most 32 pairs; this has 33", metadata={str(n): "x" for n in range(33)}),
    task("a long key of metadata", "at most 64 characters", metadata={"k" * 65: "x"}),
    task("a long value of metadata", "at most 512 characters", metadata={"k": "x" * 513}),
    task("back-off that shrinks", "greater than or equal to 1", retry={"backoff_factor": 0.5}),
    task("back-off with an unknown field", "did you mean 'max_delay_s'?", retry={"max_delay": 5}),
    # Bytes that are no JSON, or JSON that cannot be kept.
    raw("not JSON", b"{oops", "Not valid JSON at column 2"),
    raw("JSON with a comma too many", b'{"model": "m",}', "Check quotes, commas and UTF-8"),
    raw("an empty body", b"", "The body is empty; send a JSON object"),
    raw("bad UTF-8", b'{"model": "m", "input": "\xff\xfe"}', "UTF-8"),
    raw("NaN", b'{"model": "m", "input": {"messages": [], "temperature": NaN}}', "Not valid JSON"),
    raw("a number beyond every float", b'{"model": "m", "input": {"n": 1e999}}', "Not valid JSON"),
    raw("NUL", b'{"model": "m", "input": "a\\u0000b"}', "NUL character (\\u0000), which cannot be stored; remove it"),
    raw("half a surrogate pair", b'{"model": "m", "input": "\\ud800"}', "Not valid JSON"),
    raw("nested beyond reason", b'{"input":' + b"[" * 120 + b"]" * 120 + b"}", "deeper than 100 levels"),
    raw("nested beyond any stack", b"[" * 100_000, "Not valid JSON"),
    raw("an array where an object belongs", b"[1]", "Send a JSON object", "invalid_request"),
    # Content types, sizes, methods, paths, keys.
    Bad("a form", TASKS, 415, "Content-Type: application/json", "unsupported_media_type", content=b"a=1",
        headers={"Content-Type": "application/x-www-form-urlencoded"}),
    Bad("no content type", TASKS, 415, "Content-Type: application/json", "unsupported_media_type", content=b"{}"),
    Bad("another charset", TASKS, 415, "send UTF-8", "unsupported_media_type", content=b"{}",
        headers={"Content-Type": "application/json; charset=latin-1"}),
    Bad("a compressed body", TASKS, 415, "without Content-Encoding", "unsupported_media_type", content=b"{}",
        headers=JSON | {"Content-Encoding": "gzip"}),
    Bad("bulk as text", BULK, 415, "application/x-ndjson", "unsupported_media_type", content=b"{}",
        headers={"Content-Type": "text/plain"}),
    Bad("a body over the limit", TASKS, 413, "the limit is 100000", "too_large", content=b"x" * 100_001, headers=JSON),
    Bad("a wrong method", TASKS, 405, "PUT is not possible here; use GET, POST", "method_not_allowed", method="PUT"),
    Bad("a method that does not exist", TASKS, 405, "use GET, POST", "method_not_allowed", method="BREW"),
    get("an unknown path", "/api/v2/tasks", "/docs lists every path", 404, "not_found"),
    get("a path that climbs", "/api/v1/tasks/../../etc/passwd", "/docs lists every path", 404, "not_found"),
    Bad("no key", TASKS, 401, "Send 'Authorization: Bearer KEY'", "unauthorized", method="GET",
        headers={"Authorization": ""}),
    Bad("a wrong key", TASKS, 401, "not known here", "unauthorized", method="GET",
        headers={"Authorization": "Bearer x"}),
    Bad("another scheme", TASKS, 401, "Send 'Authorization: Bearer KEY'", "unauthorized", method="GET",
        headers={"Authorization": "Basic eDp5"}),
    # Ids and queries.
    get("an unknown task", f"{TASKS}/4711", "There is no task 4711", 404, "task_not_found"),
    get("an id that is no number", f"{TASKS}/abc", "An id is a whole number"),
    get("an id that is too large", f"{TASKS}/9007199254740992", "up to 9007199254740991"),
    get("an id in other digits", f"{TASKS}/%D9%A3", "An id is a whole number"),
    get("an unknown parameter", f"{TASKS}?statsu=failed", "did you mean 'status'?"),
    get("a parameter where none is", f"{MODELS}?limit=5", "this path takes no parameters"),
    get("an unknown status", f"{TASKS}?status=done", "'blocked', 'scheduled'"),
    get("a limit of nothing", f"{TASKS}?limit=0", "greater than or equal to 1"),
    get("a limit beyond a page", f"{TASKS}?limit=501", "less than or equal to 500"),
    get("a limit that is no number", f"{TASKS}?limit=many", "valid integer"),
    get("a cursor of one's own", f"{TASKS}?cursor=abc", "cursor"),
    get("another order", f"{TASKS}?order=random", "'asc' or 'desc'"),
    get("ids that are none", f"{TASKS}?ids=1,x", "valid integer"),
    get("too many ids", f"{TASKS}?ids=" + ",".join(map(str, range(501))), "at most 500 items"),
    get("NUL in a query", f"{TASKS}?q=%00", "send plain text"),
    get("bytes that are no UTF-8 in a query", f"{TASKS}?q=%ff", "not UTF-8"),
    get("a filter by an unknown model", f"{TASKS}?model=gone", "Known models: m", 404, "model_not_found"),
    get("a moment without an offset", f"{TASKS}?created_after=2030-01-01", "RFC 3339 with Z or an offset"),
    get("a wait of hours", f"{TASKS}/1?wait=3600", "less than or equal to 60"),
    get("a day that is none", "/api/v1/stats/daily?from=2030-13-01", "Use a date such as 2030-01-31"),
    get("days the wrong way round", "/api/v1/stats/daily?from=2030-01-02&to=2030-01-01", "must not be after"),
    get("an unknown group", "/api/v1/stats/usage?group_by=colour", "'model', 'tenant', 'day' or 'key'"),
    get("an unknown reason", "/api/v1/dead-letters?reason=bored", "'retries_exhausted'"),
    # Idempotency.
    Bad("a key with another body", TASKS, 409, "use a new key", "idempotency_conflict",
        {"model": "m", "input": "Other"}, headers={"Idempotency-Key": "used"}),
    Bad("a key that is too long", TASKS, 422, "1 to 255 printable ASCII", body={"model": "m", "input": "Hi"},
        headers={"Idempotency-Key": "k" * 256}),
    Bad("two keys that differ", TASKS, 422, "send one of the two",
        body={"model": "m", "input": "Hi", "idempotency_key": "a"}, headers={"Idempotency-Key": "b"}),
    # Models.
    model("a name with blanks", "should match pattern", name="my model"),
    model("a name that is taken", "PATCH it or choose another name", 409, "name_taken", name="m"),
    model("an unknown type of model", "Known: scripted", type="gpt"),
    model("an unknown field of the config", "Did you mean 'text'?", config={"tekst": "x"}),
    model("an unknown strategy", "fair", strategy="unfair"),
    model("no workers", "greater than or equal to 1", max_workers=0),
    model("an army of workers", "less than or equal to 10000", max_workers=10_001),
    model("a limit below one", "greater than or equal to 1", rpm=0),
    Bad("a null that means nothing", f"{MODELS}/m", 422, "leave it out to keep it as it is", body={"max_workers": None},
        method="PATCH"),
    Bad("a change of the name", f"{MODELS}/m", 422, "'name' is not known here", body={"name": "n"}, method="PATCH"),
    get("an unknown model", f"{MODELS}/gone", "Known models: m", 404, "model_not_found"),
    # Actions and dead letters.
    Bad("an action without a filter", ACTIONS, 422, "filter: This is needed", body={"action": "cancel"}),
    Bad("an unknown action", ACTIONS, 422, "'cancel', 'retry'", body={"action": "explode", "filter": {}}),
    Bad("an unknown name in a filter", ACTIONS, 422, "did you mean 'model'?",
        body={"action": "cancel", "filter": {"modell": "m"}}),
    Bad("a priority for a cancel", ACTIONS, 422, "with the action set_priority",
        body={"action": "cancel", "filter": {}, "priority": 1}),
    Bad("a filter by an unknown model in an action", ACTIONS, 404, "Known models: m", "model_not_found",
        {"action": "cancel", "filter": {"model": "gone"}}),
    get("an unknown action's progress", f"{ACTIONS}/4711", "There is no action 4711", 404, "action_not_found"),
    Bad("neither ids nor a filter", REQUEUE, 422, "Give either 'ids' or 'filter'", body={}),
    Bad("both ids and a filter", REQUEUE, 422, "Give either 'ids' or 'filter'", body={"ids": [1], "filter": {}}),
    Bad("an input for two", REQUEUE, 422, "exactly one id", body={"ids": [1, 2], "input": "x"}),
    Bad("ids as text", REQUEUE, 422, "valid integer", body={"ids": ["1"]}),
    # Bulk.
    Bad("an object as a bulk", BULK, 422, "application/x-ndjson", body={"model": "m", "input": "Hi"}),
    Bad("an array of nothing", BULK, 422, "at least one", body=[]),
    Bad("an array cut off", BULK, 422, "Not valid JSON", "invalid_json", content=b'[{"model": "m"', headers=JSON),
    Bad("an array over the limit", BULK, 413, "send lines as application/x-ndjson instead", "too_large",
        content=b"[" + b" " * 100_000 + b"]", headers=JSON),
    Bad("a long key for a bulk", BULK, 422, "at most 240 characters", body=[], headers={"Idempotency-Key": "k" * 250}),
    Bad("an odd value of atomic", f"{BULK}?atomic=perhaps", 422, "valid boolean", body=[]),
]  # fmt: skip


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Scene]:
    """A small installation with one model and one task, submitted under the key `used`."""
    async with scene(tmp_path, Limits(max_input_bytes=20_000), max_body_bytes=100_000) as made:
        await made.add_model()
        await made.http.post(TASKS, json={"model": "m", "input": "Hi"}, headers={"Idempotency-Key": "used"})
        yield made


@pytest.mark.parametrize("bad", TABLE, ids=[bad.what for bad in TABLE])
async def test_a_mistake_is_answered_with_what_to_do(api: Scene, bad: Bad) -> None:
    content = json.dumps(bad.body).encode() if bad.content is None and bad.body is not None else bad.content
    headers = (JSON if bad.body is not None else {}) | bad.headers

    answer = await api.http.request(bad.method, bad.path, content=content, headers=headers)

    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (bad.status, bad.code), problem
    assert bad.fragment in json.dumps(problem, ensure_ascii=False).replace('\\"', '"').replace("\\\\", "\\")
    assert (problem["status"], problem["request_id"]) == (bad.status, answer.headers["X-Request-ID"])


def test_every_code_is_explained() -> None:
    assert {bad.code for bad in TABLE} <= set(codes())


def test_the_table_is_long_enough() -> None:
    assert len({bad.what for bad in TABLE}) == len(TABLE) >= 60


async def test_one_bad_line_of_a_hundred_thousand_is_named(tmp_path: Path) -> None:
    """Line 70 001 is not JSON and line 70 002 not UTF-8; the others are taken."""
    lines = [b'{"model":"m","input":"Hi"}'] * 100_000
    lines[70_000] = b'{"model":"m","input":'
    lines[70_001] = b'{"model":"m","input":"\xc3("}'

    async with scene(tmp_path) as made:
        await made.add_model()
        answer = await made.http.post(BULK, content=b"\n".join(lines), headers=NDJSON)

    assert answer.status_code == 201
    assert answer.json()["accepted"] == 99_998
    assert [(each["line"], each["code"]) for each in answer.json()["rejected"]] == [
        (70_001, "invalid_json"), (70_002, "invalid_json"),
    ]  # fmt: skip
