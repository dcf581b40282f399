"""Requests made up from the OpenAPI document, and a server that answers them."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.unit.api.signing_scene import signing_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
KEPT: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
ENDLESS = r"/events$"
"""Streams end when the client goes: `tests/unit/api/test_events.py` follows them."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server with one model in a thread of its own, and a person's token: requests are made from outside of it."""
    ready, stop = threading.Event(), threading.Event()
    found: list[str] = []
    thread = threading.Thread(target=_serve, args=(tmp_path_factory.mktemp("openapi"), found, ready, stop), daemon=True)
    thread.start()
    assert ready.wait(20)
    yield found[0], found[1]
    stop.set()
    thread.join(20)


def _serve(folder: Path, found: list[str], ready: threading.Event, stop: threading.Event) -> None:
    import asyncio

    async def run() -> None:
        async with signing_scene(folder) as made:
            await made.add_model()
            await made.add("ann")
            token = (await made.token())["access_token"]
            config = uvicorn.Config(made.app, port=0, lifespan="off", access_log=False, log_config=None, ws="none")
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server._serve())
            while not server.started:  # noqa: ASYNC110 - uvicorn does not tell
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            found.extend((f"http://127.0.0.1:{port}", token))
            ready.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            await serving

    asyncio.run(run())


@schemathesis.serializer("application/x-ndjson")
def lines(_: object, value: Any) -> bytes:
    """A made-up text, as it is."""
    return str(value).encode("utf-8", "surrogatepass")


DOCUMENT = schemathesis.openapi.from_dict(KEPT).exclude(path_regex=ENDLESS)
SIGNING = DOCUMENT.include(path_regex=r"^/api/v1/(me|auth)")
USUAL = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
LONG = settings(USUAL, max_examples=50)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def check(case: schemathesis.Case, url: str, key: str) -> None:
    """Send it; no 5xx, and an answer as the document has it."""
    began = time.monotonic()

    answer = case.call(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)

    case.validate_response(answer, checks=CHECKS)
    assert time.monotonic() - began < 30
