"""Secrets are planted wherever an installation has some; every way to fail is gone; then nobody finds one anywhere."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx2
import pytest
from tests.cluster import Member
from tests.live import KEY, ROOT, wait_until
from tests.rig.mariadb import MariaDb
from tests.rig.redis import Redis

from llm_scheduler.api.archived import archive_line
from llm_scheduler.domain.ids import TaskId
from llm_scheduler.stores.sqlite.store import SqliteStore
from llm_scheduler.telemetry.clock import SystemClock
from llm_scheduler.telemetry.prometheus import PrometheusMeter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ENDS = ("completed", "failed", "cancelled", "expired")


class Planted:
    """One secret for each place; hex, so that no pattern knows it, unless its place says how it looks."""

    def __init__(self) -> None:
        self.model = f"plantedmodel{secrets.token_hex(8)}"
        self.endpoint = f"plantedway{secrets.token_hex(8)}"
        self.leaky = f"plantedleak{secrets.token_hex(8)}"
        self.secret_key = f"plantedseal{secrets.token_hex(16)}"
        self.old_key = f"plantedold{secrets.token_hex(16)}"
        self.database = f"plantedbase{secrets.token_hex(8)}"
        self.redis = f"plantedindex{secrets.token_hex(8)}"
        self.bootstrap = KEY
        self.body = f"sk-planted-{secrets.token_hex(12)}"
        """In requests, where none belongs."""
        self.wrong = f"llms_planted{secrets.token_hex(12)}"
        """A key that opens nothing."""

    @property
    def forms(self) -> dict[str, str]:
        """What is looked for, by name."""
        plain = {name: value for name, value in vars(self).items() if isinstance(value, str)}
        return plain | {f"{name} in a URL": quote(value, safe="") for name, value in plain.items()}

    def found_in(self, where: str, text: str | bytes) -> list[str]:
        """Where each one was found."""
        raw = text.encode() if isinstance(text, str) else text
        return [f"{name} in {where}" for name, value in self.forms.items() if value.encode() in raw]


class _Echo(BaseHTTPRequestHandler):
    """A provider that repeats the key which it was sent, in every part of its answer."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        how = body["messages"][0]["content"]
        key = self.headers.get("Authorization", "")
        said = f"Incorrect API key provided: {key}, that is {key.removeprefix('Bearer ')}, not found"
        headers = {"X-Echo": key, "Content-Type": "application/json"}
        match how:
            case "401" | "400" | "403" | "404" | "500" | "503":
                self._answer(int(how), json.dumps({"error": {"message": said, "code": "x", "type": key}}), headers)
            case "html":
                self._answer(502, f"<html><title>{said}</title></html>", headers | {"Content-Type": "text/html"})
            case "plain":
                self._answer(400, f"{{'headers': {dict(self.headers)!r}}}", headers)
            case "redirect":
                self._answer(302, "", headers | {"Location": f"http://u:{key.split()[-1]}@127.0.0.1:9/?api_key={key}"})
            case "garbage":
                self._answer(200, f"\x00 {said}", headers)
            case "stream":
                event = json.dumps({"error": {"message": said, "type": "server_error"}})
                self._answer(200, f"data: {event}\n\n", headers | {"Content-Type": "text/event-stream"})
            case _:
                self._answer(200, f"data: {{not json {said}\n\n", headers | {"Content-Type": "text/event-stream"})

    def _answer(self, status: int, body: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""
        del format, args


HOW = ("401", "400", "403", "404", "500", "503", "html", "plain", "redirect", "garbage", "stream", "lines")


@contextmanager
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


class Asked:
    """Asks a server, and keeps all that it answers."""

    def __init__(self, member: Member) -> None:
        self.answers: list[str] = []
        headers = {"Authorization": f"Bearer {KEY}"}
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{member.port}", headers=headers, timeout=30)

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        answer = self.http.request(method, path, json=body, **options)
        self.answers.append(
            f"{method} {path.split('sk-')[0]}: {answer.status_code} {dict(answer.headers)} {answer.text}"
        )
        try:
            return answer.json()
        except ValueError:
            return None


def drive(ask: Asked, planted: Planted, base_url: str) -> None:
    """Every way to fail that there is."""
    retry = {"max_retries": 1, "initial_delay_s": 0.1, "max_delay_s": 0.1}
    for how in HOW:
        config = {"base_url": base_url, "api_key": planted.model, "model": "m"}
        ask("POST", "/api/v1/models", {"name": f"m-{how}", "type": "openai", "config": config, "retry": retry})
        ways = [{"name": name, "config": {"base_url": base_url, "api_key": planted.endpoint}} for name in ("a", "b")]
        given = {"name": f"e-{how}", "type": "openai", "config": {"model": "m"}, "endpoints": ways, "retry": retry}
        ask("POST", "/api/v1/models", given)
        for name in ("m", "e"):
            ask("POST", "/api/v1/tasks", {"model": f"{name}-{how}", "input": how})
            ask("POST", f"/api/v1/models/{name}-{how}/test")
        ask("POST", f"/api/v1/models/e-{how}/endpoints/a/test")
    ask(
        "POST",
        "/api/v1/models",
        {"name": "leaky", "type": "leaky", "config": {"api_key": planted.leaky}, "retry": retry},
    )
    for what in ("told", "chained", "group", "plain"):
        ask("POST", "/api/v1/tasks", {"model": "leaky", "input": what})
    ask("POST", "/api/v1/models/leaky/test")
    misplace(ask, planted.body)
    for key in (planted.wrong, planted.body):
        ask("GET", "/api/v1/tasks", headers={"Authorization": f"Bearer {key}"})
        ask("GET", "/api/v1/tasks", headers={"Authorization": f"Basic {key}", "X-Tenant": key})


def misplace(ask: Asked, key: str) -> None:
    """A key where none belongs: the refusal repeats what it refuses."""
    task = {"model": "m-401", "input": "x"}
    bodies = (
        {key: 1},
        {"type": key},
        {"model": key},
        {"priority": key},
        {"metadata": {key: [5]}},
        {"input": {key: key}},
    )
    for wrong in bodies:
        ask("POST", "/api/v1/tasks", task | wrong if "metadata" in wrong or "priority" in wrong else wrong | {"x": key})
        ask(
            "POST",
            "/api/v1/tasks",
            task | {"type": key} | {name: value for name, value in wrong.items() if name != "model"},
        )
    ask("POST", "/api/v1/tasks/bulk", [task | {key: 1}, task | {"model": key}, {"model": f"m-{key}", "input": "x"}])
    ask("POST", "/api/v1/models", {"name": "n", "type": key, "config": {"api_key": key}})
    ask(
        "POST",
        "/api/v1/models",
        {"name": "n", "type": "openai", "config": {"base_url": f"ftp://u:{key}@h", "api_key": key}},
    )
    ask("POST", "/api/v1/models", {"name": "n", "type": "openai", "config": {key: 1, "api_key": key}})
    ask(
        "POST",
        "/api/v1/models",
        {"name": "n", "type": "openai", "strategy": key, "config": {"base_url": "http://127.0.0.1:9"}},
    )
    ask("PATCH", "/api/v1/models/m-401", {"config": {"timeout_s": key}})
    ask("POST", "/api/v1/budgets", {"name": "b", "limit_microusd": key, key: key})
    ask("GET", f"/api/v1/{key}")
    ask("GET", f"/api/v1/models/{key}")
    ask("GET", f"/api/v1/tasks?{key}=1")
    ask("GET", f"/api/v1/tasks?status={key}&token={key}")
    ask("GET", f"/api/v1/tasks?model={key}")
    ask("GET", f"/api/v1/tasks?cursor={key}")
    ask("GET", f"/api/v1/tasks/{key}")
    ask(key.upper().replace("-", ""), "/api/v1/tasks")
    ask("POST", "/api/v1/tasks", content=b'{"model": ' + key.encode(), headers={"Content-Type": "application/json"})
    ask("POST", "/api/v1/tasks", content=b"x", headers={"Content-Type": f"text/{key}"})


def look_at_everything(ask: Asked) -> None:
    """Every answer that may hold what was said."""

    def is_over() -> bool:
        counts = ask("GET", "/api/v1/tasks/counts")["counts"]
        return not any(count for status, count in counts.items() if status not in ENDS)

    def have_failed() -> bool:
        return len(ask("GET", "/api/v1/tasks?status=failed&limit=500")["items"]) >= 20

    wait_until("twenty have failed", have_failed, 90, 0.3)
    # Some are tried again and again by endpoint after endpoint.
    ask("POST", "/api/v1/tasks/actions", {"action": "cancel", "filter": {"model": "e-401"}})
    ask("POST", "/api/v1/tasks/actions", {"action": "cancel", "filter": {}})
    wait_until("every task has ended", is_over, 90, 0.3)
    items = ask("GET", "/api/v1/tasks?limit=500")["items"]
    for item in items:
        for what in ("", "/attempts", "/logs", "/events", "/explain"):
            ask("GET", f"/api/v1/tasks/{item['id']}{what}")
    paths = "dead-letters models models/m-401 models/e-401/endpoints plugins workers stats/overview stats/usage"
    more = "prices budgets stats/history system/secrets system/secrets/rotate openapi.json"
    for path in [*paths.split(), *more.split()]:
        ask("GET", f"/api/v1/{path}")
    ask("POST", "/api/v1/system/secrets/rotate")
    for path in ("/metrics", "/readyz", "/healthz"):
        ask("GET", path)


def command(*words: str, folder: Path, **settings: str) -> str:
    """What a command prints, on both ways."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("LLMS_")}
    environ |= {"LLMS_DATA_DIR": str(folder)} | {f"LLMS_{name.upper()}": value for name, value in settings.items()}
    program = [sys.executable, "-m", "llm_scheduler", *words]
    ended = subprocess.run(program, capture_output=True, env=environ, cwd=ROOT, timeout=60, check=False)
    return (ended.stdout + ended.stderr).decode(errors="replace")


def archived(path: Path, ids: list[int]) -> bytes:
    """What the archive would get of these tasks."""

    async def read() -> bytes:
        store = SqliteStore(path, SystemClock(), PrometheusMeter())
        await store.open()
        try:
            whole = await store.whole([TaskId(task_id) for task_id in ids])
            return b"\n".join(archive_line(one, lambda model_id: f"#{model_id}") for one in whole)
        finally:
            await store.close()

    return asyncio.run(read())


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_nothing_planted_comes_out_of_one_process(tmp_path: Path, log_format: str) -> None:
    """Logs, answers, metrics, archive, database, backup, command line."""
    planted = Planted()
    settings = {"secret_key": planted.secret_key, "secret_keys_old": planted.old_key}
    settings |= {"log_level": "debug", "log_format": log_format}
    member = Member(tmp_path / "one", ("tests.stubs.leaky_server",), **settings)
    found: list[str] = []
    with echo() as base_url:
        try:
            member.start()
            ask = Asked(member)
            drive(ask, planted, base_url)
            look_at_everything(ask)
            ids = [item["id"] for item in ask("GET", "/api/v1/tasks?limit=500")["items"]]
            backup = tmp_path / "backup.db"
            found += planted.found_in(
                "db backup", command("db", "backup", str(backup), folder=member.folder, **settings)
            )
            assert member.stop() == 0
        finally:
            member.close()
    for answer in ask.answers:
        found += planted.found_in(answer[:90], answer)
    found += planted.found_in("the log", member.log)
    for path in (*member.folder.glob("*.db*"), *tmp_path.glob("backup*")):
        found += planted.found_in(path.name, path.read_bytes())
    found += planted.found_in("the archive", archived(member.folder / "llm-scheduler.db", ids))
    for words in (("config", "show"), ("config", "show", "--json"), ("doctor",), ("db", "check")):
        urls = {"bootstrap_api_key": KEY, "database_read_url": f"mysql://u:{planted.database}@h/b"}
        urls |= {
            "database_url": f"mysql://u:{planted.database}@127.0.0.1:9/b",
            "redis_url": f"redis://:{planted.redis}@h",
        }
        found += planted.found_in(" ".join(words), command(*words, folder=tmp_path, **settings, **urls))
    # What a caller puts into an input, and names that he gives, are his own.
    assert backup.exists()
    assert "call_broke" in member.log
    assert len(ask.answers) > 250
    ask.http.close()
    assert not found, "\n".join(found)


def test_nothing_planted_comes_out_of_a_cluster(tmp_path: Path) -> None:
    """The same, with passwords of database and index, while both of them go away."""
    planted = Planted()
    found: list[str] = []
    with ExitStack() as stack:
        base_url = stack.enter_context(echo())
        maria, redis = MariaDb(tmp_path / "maria"), Redis(tmp_path / "redis")
        stack.callback(maria.close)
        stack.callback(redis.close)
        maria.start()
        redis.start()
        maria.create()
        maria.sql(f"CREATE USER 'planted'@'%' IDENTIFIED BY '{planted.database}'; GRANT ALL ON llms.* TO 'planted'@'%'")
        redis.command("CONFIG", "SET", "requirepass", planted.redis)
        where = urlsplit(maria.url())
        settings = {
            "database_url": f"mysql://planted:{planted.database}@{where.hostname}:{where.port}/llms",
            "redis_url": f"redis://:{planted.redis}@127.0.0.1:{redis.port}/0",
            "secret_key": planted.secret_key,
            "log_level": "debug",
            "log_format": "json",
        }
        members = [
            Member(tmp_path / f"p{number}", ("tests.stubs.leaky_server",), role="all", **settings) for number in (0, 1)
        ]
        for member in members:
            stack.callback(member.close)
            member.start()
        ask = Asked(members[0])
        drive(ask, planted, base_url)
        look_at_everything(ask)
        tables = maria.sql("SHOW TABLES", "llms").split()
        for table in tables:
            found += planted.found_in(table, maria.sql(f"SELECT * FROM `{table}`", "llms"))  # noqa: S608 - its own names
        assert len(tables) > 20
        redis_auth = ("-a", planted.redis, "--no-auth-warning")
        redis.command(*redis_auth, "CONFIG", "SET", "rdbcompression", "no")
        redis.command(*redis_auth, "SAVE")
        for path in redis.folder.glob("*.rdb"):
            found += planted.found_in("Redis", path.read_bytes())
        redis.kill()
        wait_until("it is told", lambda: "degraded" in str(ask("GET", "/readyz")), 30, 0.5)
        ask("POST", "/api/v1/tasks", {"model": "m-401", "input": "401"})
        maria.kill()
        wait_until("it is told", lambda: "not_ready" in str(ask("GET", "/readyz")), 30, 0.5)
        for path in ("tasks", "tasks/1", "stats/overview", "workers"):
            ask("GET", f"/api/v1/{path}")
        ask("POST", "/api/v1/tasks", {"model": "m-401", "input": "401"})
        late = {"role": "all", **settings, "bootstrap_api_key": KEY}
        found += planted.found_in(
            "a start without database", command("serve", "--port", "0", folder=tmp_path / "late", **late)
        )
        for member in members:
            member.kill()
            found += planted.found_in(f"the log of {member.folder.name}", member.log)
    for answer in ask.answers:
        found += planted.found_in(answer[:90], answer)
    assert len(ask.answers) > 250
    ask.http.close()
    assert not found, "\n".join(found)
