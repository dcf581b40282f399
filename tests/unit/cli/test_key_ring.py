"""`llms keys ring` and `llms keys rotate`."""

from __future__ import annotations

import json
from typing import Any

import httpx2
from tests.unit.cli.fake_server import FakeServer, invoke

RING = [
    {"key_id": "7be0d2c4", "state": "in_force", "secrets": 14},
    {"key_id": "0f3c9a51", "state": "old", "secrets": 0},
]


def rotation(status: str, done: int, **fields: Any) -> dict[str, Any]:
    times = {"started_at": "2030-01-31T09:00:00.000Z", "updated_at": "2030-01-31T09:00:00.000Z"}
    known = {"key_id": "7be0d2c4", "total": 14, "unreadable": 0, "error": None}
    return {"status": status, "done": done, **known, **times, **fields}


def answering(*values: Any) -> FakeServer:
    server = FakeServer()
    server.planned += [lambda _, value=value: httpx2.Response(200, json=value) for value in values]
    return server


def test_a_rotation_is_watched_to_its_end_and_says_which_key_may_go() -> None:
    steps = [{"rotation": rotation("running", 7)}, {"rotation": rotation("completed", 14)}, {"keys": RING}]
    server = answering(rotation("running", 0), *steps)
    result = invoke(server, "keys", "rotate")

    assert result.exit_code == 0, result.output
    assert "sealed with key 7be0d2c4" in result.stderr
    assert "Nothing needs key 0f3c9a51 any more" in result.stderr
    assert server.paths("POST") == ["/api/v1/system/secrets/rotate"]


def test_an_old_key_that_something_needs_is_not_said_to_be_free() -> None:
    ring = [RING[0], RING[1] | {"secrets": 2}]
    result = invoke(answering(rotation("completed", 12, unreadable=2), {"keys": ring}), "keys", "rotate")

    assert "2 secrets cannot be opened" in result.stderr
    assert "Nothing needs" not in result.stderr


def test_a_rotation_that_failed_is_an_error() -> None:
    result = invoke(answering(rotation("failed", 3, error="changed again and again"), {"keys": RING}), "keys", "rotate")

    assert result.exit_code == 1
    assert "changed again and again" in result.stderr


def test_the_ring_is_shown_for_people_and_programs() -> None:
    shown = invoke(answering({"keys": RING}), "keys", "ring")
    told = invoke(answering({"keys": RING}), "keys", "ring", "--json")

    assert all(text in shown.stdout for text in ("7be0d2c4", "in force", "0f3c9a51", "old, only opens", "14"))
    assert json.loads(told.stdout) == {"keys": RING}
