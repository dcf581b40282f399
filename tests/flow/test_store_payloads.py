"""An installation that keeps no payloads: whoever waits has the answer, and a little later nobody has anything."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tests.inside import inside, until
from tests.live import Server, server, wait_until

from llm_scheduler.domain.ids import DEFAULT_TENANT, TenantId
from llm_scheduler.domain.outcome import Ended
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import AttemptOutcome, TaskError
from llm_scheduler.domain.tenant import StorePayloads, Tenant
from llm_scheduler.services.outcomes import discreet

if TYPE_CHECKING:
    from pathlib import Path

WORD = "xylophone"


def submit(it: Server, wait_s: int = 30, **fields: Any) -> Any:
    body = {"model": "m", "input": f"what is a {WORD}?", **fields}
    return it.call("POST", f"/api/v1/tasks?wait={wait_s}", body)


def faded(it: Server, task_id: int) -> Any:
    """The task, once nothing is left of its payload."""

    def look() -> Any:
        task = it.call("GET", f"/api/v1/tasks/{task_id}")
        return task if task["input"] is None and task["output"] is None else None

    return wait_until("the payload is gone", look, 60, 0.2)


def test_the_answer_is_had_and_then_everything_is_gone(tmp_path: Path) -> None:
    """A waiter, a stream and a look within the grace get the answer; then not even the file holds a word of it."""
    with server(tmp_path, store_payloads="none", payload_grace_s="4") as it:
        it.add_model("m", config={"text": f"a {WORD} is an instrument"})
        task = submit(it, cache={"ttl_s": 60}, metadata={"run": "7"})
        assert task["status"] == "completed"
        assert WORD in task["output"]["text"]
        assert (task["input"], task["payload_gone"], task["payload_hidden"], task["cache"]) == (None, True, False, None)
        events = it.http.get(f"/api/v1/tasks/{task['id']}/events").text
        assert WORD in events
        again = submit(it, cache={"ttl_s": 60})
        assert (again["attempt"], again["cache"]) == (1, None)

        gone = faded(it, task["id"])
        faded(it, again["id"])
        assert (gone["status"], gone["usage"]["total_tokens"], gone["metadata"]) == (
            "completed",
            task["usage"]["total_tokens"],
            {"run": "7"},
        )
        whole = json.dumps(it.tasks()) + it.http.get(f"/api/v1/tasks/{task['id']}/logs").text
        assert WORD not in whole
        assert it.stop() == 0
    with closing(sqlite3.connect(tmp_path / "llm-scheduler.db")) as database:
        # The model's script is a config; payloads lie in these.
        for table in ("tasks", "results", "task_logs", "attempts", "response_cache", "idempotency_keys"):
            assert WORD not in str(database.execute(f"SELECT * FROM {table}").fetchall())  # noqa: S608 - our names


def test_a_failed_task_can_be_run_again_until_its_input_is_gone(tmp_path: Path) -> None:
    """Then it says so, and takes another one; its error says what happened without the provider's words."""
    with server(tmp_path, store_payloads="none", payload_grace_s="4") as it:
        rule = {"every": 1, "code": "invalid_request", "message": f"a {WORD} is not taken"}
        it.add_model("m", config={"errors": [rule]}, retry={"max_retries": 0})
        task = submit(it)
        assert task["status"] == "failed"
        assert WORD in str(task["input"])
        assert task["error"]["message"].endswith("its words are not kept")
        it.call("POST", f"/api/v1/tasks/{task['id']}/retry")
        it.wait_for(task["id"], "failed")

        faded(it, task["id"])
        problem = it.call("POST", f"/api/v1/tasks/{task['id']}/retry", expect=409)
        assert problem["code"] == "payload_gone"
        assert it.call("POST", "/api/v1/dead-letters/requeue", {"ids": [task["id"]]}) == {"changed": 0}
        it.call("PATCH", "/api/v1/models/m", {"config": {"errors": []}})
        it.call("POST", f"/api/v1/tasks/{task['id']}/retry", {"input": "another question"})
        assert it.wait_for(task["id"], "completed")["output"]["text"]


async def test_a_tenant_may_have_it_otherwise(tmp_path: Path) -> None:
    """What holds for the tenant when the task is submitted."""
    async with inside(tmp_path, store_payloads="none", payload_grace_s=1) as it:
        await it.store.save_tenant(Tenant(TenantId(2), "keeps", store_payloads=StorePayloads.FULL))
        await it.models.renew()
        catalogue = it.installation.catalogue
        assert (catalogue.drops_payloads(DEFAULT_TENANT), catalogue.drops_payloads(TenantId(2))) == (True, False)
        model = await it.add_model()
        draft = _Draft()
        ids: list[Any] = []
        for tenant_id in (DEFAULT_TENANT, TenantId(2)):
            task = it.installation.submissions.check(draft, tenant_id)
            assert task.model_id == model.id
            [done] = await it.installation.submissions.submit([task])
            ids.append(done.task_id)
        for task_id in ids:
            await it.wait_for(task_id, "completed")

        async def is_gone() -> bool:
            return (await it.task(ids[0])).output is None

        await until(is_gone, "the first one's output is gone", 60)
        kept = await it.task(ids[1])
        assert WORD in kept.input
        assert kept.output is not None


class _Draft:
    """A `services.submit.TaskDraft` of few words."""

    model, type, input = "m", "chat", f"what is a {WORD}?"
    priority = max_retries = run_at = deadline_at = timeout_s = metadata = policy = None
    cache_ttl_s = template = fallback_models = idempotency_key = None


def test_an_end_is_recorded_without_secrets_and_without_quotes() -> None:
    """What the provider says goes through the redactor, or, where no payload is kept, not at all."""
    error = TaskError("invalid_request", "HTTP 400: no sk-1 here", is_retryable=False, http_status=400)
    names = ("task_id", "tenant_id", "model_id", "session_id", "attempt", "generation", "started_at", "ended_at")
    where: dict[str, Any] = dict.fromkeys(names, 1)
    ended = Ended(**where, outcome=AttemptOutcome.FAILED, status=Status.FAILED, error=error, note="moved: sk-1")

    def redact(text: str) -> str:
        return text.replace("sk-1", "…")

    kept, dropped = (discreet(ended, drops_payload=one, redact=redact) for one in (False, True))
    assert kept.error is not None
    assert (kept.error.message, kept.note, kept.drops_payload) == ("HTTP 400: no … here", "moved: …", False)
    assert dropped.error is not None
    assert dropped.error.message == "invalid_request (HTTP 400); its words are not kept"
    assert (dropped.note, dropped.drops_payload) == ("moved: …", True)
