"""Who lacks `payloads:read` sees states and figures; no answer of any route holds what was asked, answered or said."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.unit.api.scene import KEY, KnownKeys, Listening, Scene, client_of, parts_of

from llm_scheduler.api.permissions import NEEDS
from llm_scheduler.api.showing import HIDDEN_WORDS
from llm_scheduler.domain.access import PERMISSIONS, Permission, Principal, PrincipalKind, Role
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, TaskId
from llm_scheduler.domain.outcome import Ended
from llm_scheduler.domain.status import DeadReason, Status
from llm_scheduler.domain.task import AttemptOutcome, TaskError, Usage
from llm_scheduler.ports.feed import TaskChanged, TaskDelta
from llm_scheduler.ports.money import HeldTask
from llm_scheduler.ports.store import StartOrder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from llm_scheduler.services.door import Door, Knock

VIEWER, BLIND = "key-of-a-viewer", "key-of-one-who-may-all-but-read-payloads"
SCOPES = {
    VIEWER: (Role.VIEWER, PERMISSIONS[Role.VIEWER]),
    BLIND: (Role.OWNER, frozenset(Permission) - {Permission.PAYLOADS_READ}),
}
PLANTED = "xylophone"
"""In every input, output, error and log line."""


class Doorkeeper(KnownKeys):
    def admit(self, knock: Knock) -> Principal:
        if knock.credential not in SCOPES:
            return super().admit(knock)
        role, permissions = SCOPES[knock.credential]
        return Principal(PrincipalKind.KEY, DEFAULT_TENANT, role, permissions, key_name="blind")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Scene]:
    parts = await parts_of(tmp_path)
    made = Scene(replace(parts, access=replace(parts.access, door=cast("Door", Doorkeeper()))))
    await made.add_model()
    yield made
    await made.http.aclose()
    await parts.actions.close()
    await parts.models.close()
    await parts.store.close()


async def ended(api: Scene, status: Status) -> int:
    """A task that was asked, and answered or refused, with the planted word."""
    task = await api.submit(input=f"what is a {PLANTED}?", metadata={"run": "1"})
    store = api.parts.store
    session = await store.open_session("here", 1, "1.0")
    [started] = await store.start(session, [StartOrder(TaskId(task["id"]), 0)])
    assert started is not None
    assert not isinstance(started, HeldTask)
    is_done = status is Status.COMPLETED
    fields: dict[str, Any] = {"output": f"a {PLANTED}", "raw": f'{{"said": "a {PLANTED}"}}'}
    if not is_done:
        error = TaskError("invalid_request", f"HTTP 400: no {PLANTED} here", is_retryable=False, http_status=400)
        fields = {"error": error, "dead_reason": DeadReason.NOT_RETRYABLE}
    outcome = AttemptOutcome.COMPLETED if is_done else AttemptOutcome.FAILED
    where = (started.task_id, started.tenant_id, started.model_id, session, started.attempt, started.generation)
    at = Millis(started.started_at + 5)
    await store.record(Ended(*where, started.started_at, at, outcome, status, Usage(3, 4), **fields))
    return task["id"]


async def test_hidden_and_shown(api: Scene) -> None:
    """The same task for one who may and one who may not; what is hidden is said to be."""
    done, dead = await ended(api, Status.COMPLETED), await ended(api, Status.FAILED)
    async with client_of(api.app, VIEWER) as viewer:
        for task_id in (done, dead):
            open_, hidden = [(await http.get(f"/api/v1/tasks/{task_id}")).json() for http in (api.http, viewer)]
            assert open_["payload_hidden"] is False
            assert PLANTED in str(open_["input"])
            error = None if open_["error"] is None else open_["error"] | {"message": HIDDEN_WORDS}
            assert hidden == open_ | {"input": None, "output": None, "payload_hidden": True, "error": error}
        assert PLANTED in str((await api.http.get(f"/api/v1/tasks/{done}")).json()["output"])
        attempts = (await viewer.get(f"/api/v1/tasks/{dead}/attempts")).json()["items"]
        assert attempts[0]["error"]["message"] == HIDDEN_WORDS
        assert (await viewer.get(f"/api/v1/tasks/{dead}/logs")).status_code == 403


@pytest.mark.parametrize("key", [VIEWER, BLIND])
async def test_no_route_at_all_tells_a_payload(api: Scene, key: str) -> None:
    """Every route of the table is asked, with every kind of filter; a new one is asked by itself."""
    done, dead = await ended(api, Status.COMPLETED), await ended(api, Status.FAILED)
    fields = {
        "task_id": str(dead),
        "name:path": "m",
        "name": "m",
        "action_id": "1",
        "endpoint": "a",
        "budget": "b",
        "price_id": "1",
        "tenant": "default",
        "username": "nobody",
        "account": "nobody",
        "key_id": "1",
        "login_id": "1",
    }
    bodies: dict[str, Any] = {
        "/api/v1/tasks": {"model": "m", "input": f"a second {PLANTED}"},
        "/api/v1/tasks/actions": {"action": "retry", "filter": {"status": ["failed"], "q": PLANTED}},
        "/api/v1/dead-letters/requeue": {"filter": {"q": PLANTED}},
        "/api/v1/dead-letters/discard": {"ids": [10**9]},
    }
    statuses: dict[tuple[str, str], int] = {}
    async with client_of(api.app, key) as caller:
        # What deletes or changes goes last.
        for method, path in sorted(NEEDS, key=lambda one: ("GET", "POST", "PATCH", "PUT", "DELETE").index(one[0])):
            if path.endswith("/events"):
                continue
            for task_id in (done, dead):
                url = re.sub(r"{([^}]+)}", lambda found, id=task_id: (fields | {"task_id": str(id)})[found[1]], path)
                answer = await caller.request(method, url, json=bodies.get(path, {}) if method != "GET" else None)
                statuses[method, path] = answer.status_code
                assert PLANTED not in answer.text, (method, url, answer.text)
                assert answer.status_code < 500, (method, url, answer.text)

    assert statuses["GET", "/api/v1/tasks/{task_id}"] == 200
    assert statuses["GET", "/api/v1/tasks/{task_id}/logs"] == 403
    assert statuses["POST", "/api/v1/tasks/actions"] == 403
    assert statuses["POST", "/api/v1/dead-letters/requeue"] == 403
    if key == BLIND:
        assert statuses["POST", "/api/v1/tasks"] == 201
        assert statuses["POST", "/api/v1/dead-letters/discard"] == 200


@pytest.mark.parametrize("path", ["/api/v1/tasks", "/api/v1/tasks/counts", "/api/v1/dead-letters"])
async def test_searching_in_payloads_takes_the_permission(api: Scene, path: str) -> None:
    """How many tasks match would tell what is in them. A task can still be found by its id."""
    dead = await ended(api, Status.FAILED)
    await ended(api, Status.FAILED)

    async with client_of(api.app, VIEWER) as viewer:
        refused = await viewer.get(path, params={"q": PLANTED})
        found = (await viewer.get(path, params={"q": str(dead)})).json()
        none = (await viewer.get(path, params={"q": str(dead), "ids": "999999"})).json()

    assert (refused.status_code, refused.json()["permission"]) == (403, "payloads:read")
    assert found.get("total", len(found.get("items", ()))) == 1
    assert none.get("total", len(none.get("items", ()))) == 0
    assert (await api.http.get(path, params={"q": PLANTED})).status_code == 200


@pytest.mark.parametrize(("key", "deltas"), [(VIEWER, 0), (KEY, 2)])
async def test_text_as_it_comes_is_for_those_who_may_read_it(api: Scene, key: str, deltas: int) -> None:
    """The others see the task go on, and end."""
    task = await api.parts.tasks.get(TaskId((await api.submit())["id"]), DEFAULT_TENANT)
    feed, store = api.parts.feed, api.parts.store
    session = await store.open_session("here", 1, "1.0")

    async with Listening(api.app, f"/api/v1/tasks/{task.id}/events", key) as listening:
        events = [await listening.event()]
        [started] = await store.start(session, [StartOrder(task.id, 0)])
        assert started is not None
        assert not isinstance(started, HeldTask)
        feed.publish(TaskChanged(task.id, task.tenant_id, task.model_id, Status.RUNNING, 1, task.updated_at))
        feed.publish(TaskDelta(task.id, task.tenant_id, 1, f"a {PLANTED}"))
        where = (task.id, task.tenant_id, task.model_id, session, 1, started.generation, started.started_at)
        at = Millis(started.started_at + 5)
        fields: dict[str, Any] = {"output": f"a {PLANTED} it is", "raw": "{}"}
        await store.record(Ended(*where, at, AttemptOutcome.COMPLETED, Status.COMPLETED, Usage(3, 4), **fields))
        feed.publish(TaskChanged(task.id, task.tenant_id, task.model_id, Status.COMPLETED, 1, at))
        while (event := await listening.event()) is not None:
            events.append(event)

    seen = [event for event in events if event is not None]
    assert [name for name, _ in seen].count("delta") == deltas
    assert seen[-1][0] == "done"
    assert (PLANTED in str(seen)) is (key == KEY)
    assert seen[-1][1]["payload_hidden"] is (key == VIEWER)
