"""The OpenAPI document is the contract: it is kept, complete, and holds against requests made up from it."""

from __future__ import annotations

import json
import re
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
from tests.unit.api.scene import KEY
from tests.unit.api.signing_scene import signing_scene

from llm_scheduler.api.document import printed

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
KEPT: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
OPERATIONS = [
    (path, method, operation) for path, methods in KEPT["paths"].items() for method, operation in methods.items()
]
NAMES = [f"{method.upper()} {path}" for path, method, _ in OPERATIONS]
ENDLESS = r"/events$"
"""Streams end when the client goes: `tests/unit/api/test_events.py` follows them."""


def test_the_kept_document_is_the_one_that_the_code_makes() -> None:
    """After a change run: python -m llm_scheduler.api.document > docs/openapi.json."""
    assert json.loads(printed()) == KEPT


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMES)
def test_every_operation_is_described(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"][0] in {tag["name"] for tag in KEPT["tags"]}
    assert "security" in operation
    assert re.findall(r"{(\w+)}", path) == [
        each["name"] for each in operation.get("parameters", []) if each["in"] == "path"
    ]
    for status, answer in operation["responses"].items():
        if int(status) >= 400:
            # OpenAI's clients read errors in OpenAI's words.
            media = "application/json" if path.startswith("/v1/") else "application/problem+json"
            assert list(answer["content"]) == [media], status
    if operation["security"]:
        assert "401" in operation["responses"]
    for schema in operation.get("requestBody", {}).get("content", {}).values():
        assert "example" in schema or _has_example(schema["schema"])


def _has_example(schema: dict[str, Any]) -> bool:
    target = schema.get("items", schema)
    named = KEPT["components"]["schemas"][target["$ref"].rpartition("/")[2]]
    return "examples" in named or any("examples" in field for field in named["properties"].values())


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]

    assert len(set(ids)) == len(ids)


def test_every_reference_leads_somewhere() -> None:
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(KEPT)))

    assert names == set(KEPT["components"]["schemas"])


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


@DOCUMENT.parametrize()
@USUAL
def test_made_up_requests_find_no_fault(case: schemathesis.Case, served: tuple[str, str]) -> None:
    """No 5xx, and every answer has a status, a media type and a body that the document names."""
    _check(case, served[0], KEY)


@pytest.mark.nightly
@pytest.mark.timeout(300)
@DOCUMENT.parametrize()
@LONG
def test_many_made_up_requests_find_no_fault(case: schemathesis.Case, served: tuple[str, str]) -> None:
    _check(case, served[0], KEY)


@SIGNING.parametrize()
@USUAL
def test_made_up_requests_of_a_person_find_no_fault(case: schemathesis.Case, served: tuple[str, str]) -> None:
    """What asks for a person, no key: own account and sign-in."""
    _check(case, *served)


@pytest.mark.nightly
@pytest.mark.timeout(600)
@SIGNING.parametrize()
@LONG
def test_many_made_up_requests_of_a_person_find_no_fault(case: schemathesis.Case, served: tuple[str, str]) -> None:
    _check(case, *served)


def _check(case: schemathesis.Case, url: str, key: str) -> None:
    began = time.monotonic()

    answer = case.call(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)

    case.validate_response(answer, checks=CHECKS)
    assert time.monotonic() - began < 30


OPEN = {path for path, _, operation in OPERATIONS if not operation["security"]}


@DOCUMENT.parametrize()
@settings(USUAL, max_examples=1)
def test_made_up_requests_without_a_key_get_nothing(case: schemathesis.Case, served: tuple[str, str]) -> None:
    """Every operation that is not open answers 401, as documented, whatever else is wrong with the request."""
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = case.call(base_url=served[0], headers=headers, timeout=10)

        case.validate_response(answer, checks=CHECKS)
        # Metrics are open on loopback to who shows no key at all.
        is_open = case.path in OPEN or (case.path == "/metrics" and not headers)
        if not is_open:
            assert answer.status_code == 401, (case.method, case.path, headers, answer.status_code)
