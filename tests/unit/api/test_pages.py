from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.unit.api.scene import KEY, client_of, parts_of

from llm_scheduler.api.server import create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from llm_scheduler.api.server import Api

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HEAD = '<!doctype html><html><head><base href="/" /></head>'
INDEX = f'{HEAD}<body><script src="./assets/app-1a2b.js"></script></body></html>'
SCRIPT = "console.log('tasks');" * 200
SECRET = "nothing of the folder above"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A built dashboard, with a file beside it that must never be served."""
    folder = tmp_path / "web"
    (folder / "assets").mkdir(parents=True)
    (folder / ".vite").mkdir()
    (folder / "index.html").write_text(INDEX)
    (folder / "icon.svg").write_text("<svg/>")
    (folder / "assets" / "app-1a2b.js").write_text(SCRIPT)
    (folder / ".vite" / "manifest.json").write_text("{}")
    (tmp_path / "secret").write_text(SECRET)
    return folder


@pytest.fixture
async def app(tmp_path: Path, folder: Path) -> AsyncIterator[Api]:
    async for made in served(tmp_path, folder):
        yield made


async def served(tmp_path: Path, folder: Path | None, root_path: str = "") -> AsyncIterator[Api]:
    """The API with these pages."""
    parts = await parts_of(tmp_path, dashboard=folder, root_path=root_path)
    yield create_app(parts)
    await parts.actions.close()
    await parts.models.close()
    await parts.store.close()


async def get(
    app: Api, path: str, headers: dict[str, str] | None = None, method: str = "GET", key: str | None = None
) -> httpx2.Response:
    """What is given; without a key, as to a browser that asks for a page."""
    async with client_of(app, key) as client:
        return await client.request(method, path, headers={"Accept-Encoding": "identity", **(headers or {})})


async def raw(app: Api, path: str) -> tuple[int, bytes]:
    """Status and body of a path that no client would send as it stands."""
    said: list[dict[str, object]] = []

    async def send(message: object) -> None:
        said.append(dict(message))  # type: ignore[call-overload]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "query_string": b"", "scheme": "http"}
    scope["headers"] = [(b"authorization", f"Bearer {KEY}".encode())]
    await app(scope, receive, send)
    return int(str(said[0]["status"])), b"".join(bytes(one.get("body", b"")) for one in said)  # type: ignore[arg-type]


@pytest.mark.parametrize("root", ["", "/llm", "/tools/llm-2"])
async def test_the_page_names_the_prefix_under_which_it_is_seen(tmp_path: Path, folder: Path, root: str) -> None:
    async for app in served(tmp_path, folder, root):
        for path in ("/", "/tasks", root or "/", f"{root}/", f"{root}/tasks/12"):
            answer = await get(app, path, HTML)

            assert answer.status_code == 200, path
            assert f'<base href="{root}/" />' in answer.text, path


async def test_an_asset_is_found_with_and_without_the_prefix(tmp_path: Path, folder: Path) -> None:
    """Some proxies strip the prefix, some leave it."""
    async for app in served(tmp_path, folder, "/llm"):
        for path in ("/assets/app-1a2b.js", "/llm/assets/app-1a2b.js"):
            assert (await get(app, path)).text == SCRIPT


async def test_each_page_has_a_nonce_of_its_own_and_its_policy_takes_no_other(app: Api) -> None:
    seen: set[str] = set()
    for _ in range(5):
        answer = await get(app, "/", HTML)

        found = re.search(r'<meta name="csp-nonce" content="([^"]+)">', answer.text)
        assert found is not None
        assert re.findall(r"'nonce-([^']+)'", answer.headers["content-security-policy"]) == [found[1]]
        seen.add(found[1])
    assert len(seen) == 5


async def test_the_policy_lets_no_script_in_but_the_servers_own(app: Api) -> None:
    policy = (await get(app, "/", HTML)).headers["content-security-policy"]

    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"


async def test_files_with_a_hash_are_kept_for_ever_and_others_asked_for_again(app: Api) -> None:
    asset, icon, page = [await get(app, path, HTML) for path in ("/assets/app-1a2b.js", "/icon.svg", "/")]

    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert icon.headers["cache-control"] == "no-cache"
    assert page.headers["cache-control"] == "no-cache"


async def test_a_large_file_is_packed_for_who_unpacks_it(app: Api) -> None:
    packed = await get(app, "/assets/app-1a2b.js", {"Accept-Encoding": "br, gzip"})
    plain = await get(app, "/assets/app-1a2b.js")
    small = await get(app, "/icon.svg", {"Accept-Encoding": "gzip"})

    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(SCRIPT) / 4
    assert packed.text == plain.text == SCRIPT
    assert "content-encoding" not in plain.headers
    assert "content-encoding" not in small.headers
    assert packed.headers["vary"] == plain.headers["vary"] == "accept-encoding"


async def test_packing_is_lossless(app: Api) -> None:
    async with client_of(app, None) as client, client.stream("GET", "/assets/app-1a2b.js") as answer:
        body = b"".join([piece async for piece in answer.aiter_raw()])

    assert gzip.decompress(body).decode() == SCRIPT


@pytest.mark.parametrize(
    "path",
    [
        "/../secret",
        "/assets/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "//secret",
        "/assets//../../secret",
        "/.vite/manifest.json",
        "/..\\secret",
        "/assets/%00",
    ],
)
async def test_nothing_outside_the_folder_is_served(app: Api, path: str) -> None:
    for status, body in (await raw(app, path), await raw(app, path.replace("%2e", ".").replace("%2f", "/"))):
        assert status == 404
        assert SECRET.encode() not in body
    asked = await get(app, f"http://api.test{path}", key=KEY)
    assert asked.status_code == 404
    assert SECRET not in asked.text


@pytest.mark.parametrize("path", ["/api/v1/tasks", "/api/v1/nothing", "/v1/models", "/v1/nothing", "/metrics"])
async def test_a_path_of_the_api_is_no_page_whatever_is_accepted(app: Api, path: str) -> None:
    answer = await get(app, path, HTML)

    assert "<!doctype html>" not in answer.text
    assert "text/html" not in answer.headers["content-type"]


@pytest.mark.parametrize("path", ["/healthz", "/docs"])
async def test_the_servers_own_pages_stay(app: Api, path: str) -> None:
    assert "csp-nonce" not in (await get(app, path, HTML)).text


async def test_an_unknown_path_is_the_dashboard_for_a_browser_and_a_problem_for_a_program(app: Api) -> None:
    browser = await get(app, "/tasks/12", HTML)
    program = await get(app, "/tasks/12", {"Accept": "application/json"}, key=KEY)

    assert (browser.status_code, browser.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (program.status_code, program.headers["content-type"]) == (404, "application/problem+json")
    assert program.json()["status"] == 404


async def test_an_asset_of_an_older_build_is_not_answered_with_the_page(app: Api) -> None:
    """A script's request accepts anything; HTML in its place would break the page without a word."""
    answer = await get(app, "/assets/app-0000.js", {"Accept": "*/*"}, key=KEY)

    assert answer.status_code == 404


async def test_only_reading_gives_pages(app: Api) -> None:
    head, posted = await get(app, "/", HTML, "HEAD"), await get(app, "/tasks", HTML, "POST", KEY)

    assert (head.status_code, head.content) == (200, b"")
    assert posted.status_code == 404


async def test_without_a_built_dashboard_the_landing_page_stands_in(tmp_path: Path) -> None:
    async for app in served(tmp_path, None):
        landing, other = await get(app, "/", HTML), await get(app, "/tasks", HTML, key=KEY)

        assert landing.status_code == 200
        assert "/static/landing.css" in landing.text
        assert "csp-nonce" not in landing.text
        assert other.status_code == 404
