"""The secret key is changed while everything works: no call fails, and the old key is not needed afterwards."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.cluster import SECRET_KEY, Member
from tests.live import KEY, ROOT, wait_until
from tests.rig.mariadb import MariaDb
from tests.rig.redis import Redis
from tests.stubs.servers import started

from llm_scheduler.domain.secrecy import SEALED_TEXT
from llm_scheduler.security.vault import AesVault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NEW_KEY = "a-new-key-of-the-installation-0123456789"
PROVIDER_KEY = "sk-of-the-provider-0123456789"


class Stream:
    """Submits a task every 20 ms to whichever process answers, as a client behind a balancer does."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members, self._is_over = members, threading.Event()
        self.submitted = 0
        self.refused: list[str] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        client = httpx2.Client(headers={"Authorization": f"Bearer {KEY}"}, timeout=30)
        turns = itertools.cycle(self._members)
        while not self._is_over.wait(0.02):
            body = {"model": "m", "input": f"number {self.submitted}", "idempotency_key": f"n{self.submitted}"}
            for member in itertools.islice(turns, 50):
                try:
                    answer = client.post(f"http://127.0.0.1:{member.port}/api/v1/tasks", json=body)
                except httpx2.TransportError:
                    time.sleep(0.02)  # it restarts; the other one is asked
                    continue
                if answer.status_code >= 300:
                    self.refused.append(answer.text)
                self.submitted += 1
                break
            else:
                self.refused.append("nobody answers")
        client.close()

    def end(self) -> None:
        self._is_over.set()
        self._thread.join(60)


@pytest.fixture
def maria(tmp_path: Path) -> Iterator[MariaDb]:
    server = MariaDb(tmp_path / "maria")
    server.start()
    yield server
    server.close()


@pytest.fixture
def members(tmp_path: Path, maria: MariaDb) -> Iterator[list[Member]]:
    redis = Redis(tmp_path / "redis")
    redis.start()
    shared = {"database_url": maria.create(), "redis_url": redis.url, "secret_key": SECRET_KEY, "log_level": "info"}
    both = [Member(tmp_path / f"all{number}", role="all", **shared) for number in range(2)]
    try:
        for member in both:
            member.start()
        yield both
    finally:
        for member in both:
            member.close()
        redis.close()


def restart_one_by_one(members: Sequence[Member], **settings: str | None) -> None:
    """As an orchestrator does: one goes and comes back before the next one goes. None takes a setting away."""
    for member in members:
        for name, value in settings.items():
            if value is None:
                member._settings.pop(name, None)
            else:
                member._settings[name] = value
        assert member.stop() == 0, member.log[-2000:]
        member.start()


def rotate(member: Member) -> str:
    """`llms keys rotate`: what it tells, once it is through."""
    command = [sys.executable, "-m", "llm_scheduler", "keys", "rotate", "--url", f"http://127.0.0.1:{member.port}"]
    environ = {"LLMS_API_KEY": KEY, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environ)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def key_ids(maria: MariaDb) -> set[str]:
    """Keys that anything in the database is sealed with."""
    held = maria.sql("SELECT config FROM models; SELECT endpoints FROM models", "llms")
    return {match[1] for match in SEALED_TEXT.finditer(held)}


def stats(origin: str) -> Any:
    with urllib.request.urlopen(f"{origin}/stub/stats") as answer:  # noqa: S310 - our stub
        return json.load(answer)


def test_rotation_under_load_fails_no_call(members: list[Member], maria: MariaDb) -> None:
    """Rolling restart with the new key, rotation, rolling restart without the old one; the provider checks its key."""
    old_id, new_id = AesVault(SECRET_KEY).key_ids[0], AesVault(NEW_KEY).key_ids[0]
    with started("tests.stubs.openai_stub", "--api-key", PROVIDER_KEY) as stub:
        config = {"base_url": stub.base_url, "api_key": "sk-wrong-on-purpose-0000", "model": "m"}
        ways = [{"name": name, "config": {"api_key": PROVIDER_KEY}} for name in ("a", "b")]
        members[0].add_model("m", "openai", config=config, endpoints=ways, max_workers=16)
        assert key_ids(maria) == {old_id}
        refusal = members[0].call("POST", "/api/v1/models/m/test")
        assert refusal["error"] is None, refusal
        stream = Stream(members)
        try:
            wait_until("tasks run", lambda: stats(stub.origin)["calls"] > 50)
            restart_one_by_one(members, secret_key=NEW_KEY, secret_keys_old=SECRET_KEY)
            assert key_ids(maria) == {old_id}
            said = rotate(members[0])
            assert f"Nothing needs key {old_id} any more" in said
            assert key_ids(maria) == {new_id}
            before = stats(stub.origin)["calls"]
            restart_one_by_one(members, secret_keys_old=None)
            wait_until("tasks run on without the old key", lambda: stats(stub.origin)["calls"] > before + 50)
        finally:
            stream.end()
        counts = wait_until("all are over", lambda: _over(members[0], stream.submitted), 60, 0.2)
        calls = stats(stub.origin)
        retried = maria.sql("SELECT COUNT(*) FROM attempts WHERE outcome NOT IN ('completed', 'returned')", "llms")

        assert stream.refused == []
        assert counts == {"completed": stream.submitted}
        assert calls["errors"] == 0
        assert int(retried.split()[-1]) == 0
        print(f"{stream.submitted} tasks, {calls['calls']} calls, 0 failed")


def _over(member: Member, submitted: int) -> dict[str, int] | None:
    counts = {status: count for status, count in member.counts().items() if count}
    return (
        counts
        if sum(counts.get(one, 0) for one in ("completed", "failed", "cancelled", "expired")) >= submitted
        else None
    )


def test_a_process_with_the_former_key_holds_the_rotation_up(members: list[Member], maria: MariaDb) -> None:
    """Nothing is sealed anew that a process which runs could not open."""
    del maria
    members[0].add_model(
        "m", "openai", config={"base_url": "http://127.0.0.1:9", "api_key": PROVIDER_KEY, "model": "m"}
    )
    restart_one_by_one(members[:1], secret_key=NEW_KEY, secret_keys_old=SECRET_KEY)

    problem = members[0].call("POST", "/api/v1/system/secrets/rotate", expect=409)
    assert problem["code"] == "secret_key_not_everywhere"
    assert f"pid {members[1].pid}" in problem["detail"]
    restart_one_by_one(members[1:], secret_key=NEW_KEY, secret_keys_old=SECRET_KEY)
    rotate(members[1])
    shown = members[0].call("GET", "/api/v1/system/secrets")["keys"]
    assert [(key["state"], key["secrets"]) for key in shown] == [("in_force", 1), ("old", 0)]
