"""A tenant's models as a way into the network of the server: every form of an inner address, end to end."""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.live import wait_until
from tests.security.house import House, house

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ALLOWED, INNER = "127.0.0.2", "127.0.0.1"
RESOLVER: Final = '''
"""Names of the tests; `rebind` means a public address at first, and this machine when it is asked again."""
import socket, sys
sys.modules["uvloop"] = None  # it resolves names in C
asked, known = [], socket.getaddrinfo
def answer(host, *rest, **more):
    name = host.decode() if isinstance(host, bytes) else host
    if name not in ("rebind.example.com", "inside.example.com"):
        return known(host, *rest, **more)
    asked.append(name)
    is_first = name == "rebind.example.com" and asked.count(name) == 1
    with open({log!r}, "a") as log:
        log.write(name + (" outside" if is_first else " inside") + chr(10))
    return known("93.184.215.14" if is_first else "127.0.0.1", *rest, **more)
socket.getaddrinfo = answer
'''


class Listener:
    """An HTTP server that counts who comes; with `to`, it sends them on."""

    def __init__(self, address: str, to: str | None = None) -> None:
        self.visits: list[str] = []
        visits = self.visits

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                visits.append(self.path)
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(200 if to is None else 307)
                if to is not None:
                    self.send_header("Location", to)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - the base class' name

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer((address, 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def lookups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake resolver was asked, and said."""
    return tmp_path_factory.mktemp("lookups") / "log"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, lookups: Path) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("resolver")
    (folder / "sitecustomize.py").write_text(RESOLVER.replace("{log!r}", repr(str(lookups))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
        with house(tmp_path_factory.mktemp("outbound"), outbound_allow=ALLOWED) as made:
            yield made


@pytest.fixture(scope="module")
def owner(home: House) -> str:
    return home.token("owner-acme")


@pytest.fixture
def inner() -> Iterator[Listener]:
    """What must not be reached."""
    made = Listener(INNER)
    yield made
    made.close()


INSIDE = [
    "http://127.0.0.1:{port}/v1", "http://2130706433:{port}/", "http://0x7f000001:{port}/", "http://017700000001:{port}/",
    "http://127.1:{port}/", "http://0:{port}/", "http://localhost:{port}/", "http://LOCALHOST.:{port}/",
    "http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/", "http://[64:ff9b::7f00:1]:{port}/", "http://[2002:7f00:1::]:{port}/",
    "http://0.0.0.0:{port}/", "http://[::]:{port}/", "http://169.254.169.254/latest/meta-data",
    "http://[::ffff:a9fe:a9fe]/", "http://2852039166/", "http://[fd00:ec2::254]/", "http://100.100.100.200/",
    "http://168.63.129.16/", "http://10.0.0.1/", "http://192.168.0.1/", "http://172.16.0.1/", "http://100.64.0.1/",
    "http://user@127.0.0.1:{port}/", "http://example.com@127.0.0.1:{port}/", "http://127.0.0.1:{port}#@example.com/",
    "http://inside.example.com:{port}/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/",
    "http://127.0.0.1%00.example.com:{port}/", "http://①②⑦.⓪.⓪.①:{port}/",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("url", INSIDE)
def test_no_form_of_an_inner_address_is_called(home: House, owner: str, inner: Listener, url: str, kind: str) -> None:
    """Most are refused when the model is saved; what is saved all the same is refused by its connection."""
    config = {"base_url": url.format(port=inner.port), "api_key": "sk-planted"}
    made = home.ask(owner, "POST", "/api/v1/models", {"name": "probe", "type": kind, "config": config})
    try:
        assert made.status_code in (201, 422), made.text
        if made.status_code == 201:
            tried = home.done(owner, "POST", "/api/v1/models/probe/test")
            assert tried["ok"] is False
    finally:
        home.ask(owner, "DELETE", "/api/v1/models/probe")

    assert inner.visits == []


def test_an_address_that_is_listed_is_called(home: House, owner: str) -> None:
    """Else the tests here could not fail."""
    allowed = Listener(ALLOWED)
    try:
        assert tried(home, owner, f"http://{ALLOWED}:{allowed.port}/")["ok"] is False, "it answers nothing of use"
        assert allowed.visits
    finally:
        allowed.close()


def test_a_redirect_leads_nowhere(home: House, owner: str, inner: Listener) -> None:
    outer = Listener(ALLOWED, to=f"http://{INNER}:{inner.port}/")
    try:
        assert tried(home, owner, f"http://{ALLOWED}:{outer.port}/")["ok"] is False
        assert outer.visits
        assert inner.visits == []
    finally:
        outer.close()


def test_a_name_that_means_another_address_later_leads_nowhere(
    home: House, owner: str, inner: Listener, lookups: Path
) -> None:
    config = {"base_url": f"http://rebind.example.com:{inner.port}/", "api_key": "sk-planted"}
    home.done(owner, "POST", "/api/v1/models", {"name": "rebound", "type": "openai", "config": config})
    assert lookups.read_text().split()[-1] == "outside"

    trial = home.done(owner, "POST", "/api/v1/models/rebound/test")
    task = home.task(owner, model="rebound", run_at=None)
    over = wait_until("it failed", lambda: _failed(home.done(owner, "GET", f"/api/v1/tasks/{task}")))

    assert lookups.read_text().split()[-1] == "inside"
    assert trial["ok"] is False
    assert over["error"]["code"] == "permission_denied"
    assert inner.visits == []


def test_an_address_that_is_changed_later_or_stands_in_an_endpoint_is_looked_at(
    home: House, owner: str, inner: Listener
) -> None:
    body = {"name": "later", "type": "openai", "config": {"base_url": f"http://{ALLOWED}:1/", "api_key": "sk-planted"}}
    home.done(owner, "POST", "/api/v1/models", body)
    config = {"base_url": f"http://{INNER}:{inner.port}/"}

    home.refused(422, owner, "PATCH", "/api/v1/models/later", {"config": config})
    home.refused(422, owner, "POST", "/api/v1/models/later/endpoints", {"name": "e", "config": config})
    home.refused(422, owner, "PATCH", "/api/v1/models/later", {"endpoints": [{"name": "e", "config": config}]})
    home.done(owner, "POST", "/api/v1/models/later/endpoints", {"name": "e"})
    home.refused(422, owner, "PATCH", "/api/v1/models/later/endpoints/e", {"config": config})
    assert inner.visits == []


def test_the_installations_own_models_reach_no_metadata_either(home: House) -> None:
    for url in ("http://169.254.169.254/", "http://[::ffff:169.254.169.254]/", "http://2852039166/"):
        config = {"base_url": url, "api_key": "sk-planted"}
        home.refused(422, home.root, "POST", "/api/v1/models", {"name": "m", "type": "openai", "config": config})


def tried(home: House, owner: str, url: str) -> dict[str, Any]:
    """What a trial of a model at that address says."""
    config = {"base_url": url, "api_key": "sk-planted"}
    home.done(owner, "POST", "/api/v1/models", {"name": "tried", "type": "openai", "config": config})
    try:
        return home.done(owner, "POST", "/api/v1/models/tried/test")
    finally:
        home.done(owner, "DELETE", "/api/v1/models/tried")


def _failed(task: dict[str, Any]) -> dict[str, Any] | None:
    return task if task["status"] == "failed" else None
