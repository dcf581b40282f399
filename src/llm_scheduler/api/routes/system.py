"""Health, metrics, the document and the pages about it."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.errors import Problem
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.schemas.system import HealthShown, ReadyShown

router: Final = APIRouter(route_class=DirectRoute)
_HTML: Final = b"text/html; charset=utf-8"
_CSS: Final = b"text/css; charset=utf-8"
_JS: Final = b"text/javascript; charset=utf-8"
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/healthz", **operation(Tag.SYSTEM, "Is the process alive?", answers={200: HealthShown}, is_open=True))
async def healthz(request: Request) -> Answer:
    """Answers as long as the event loop turns."""
    return json_answer({"status": "ok", "version": caller_of(request).parts.version})


@router.get(
    "/readyz",
    **operation(Tag.SYSTEM, "May it get traffic?", answers={200: ReadyShown}, problems=(503,), is_open=True),
)
async def readyz(request: Request) -> Answer:
    """Store and claim loop turn; 503 names the part that does not.

    `degraded`: the index is away or being rebuilt; submits are still taken, tasks start when it is back.
    """
    is_ready, states = await caller_of(request).parts.readiness()
    parts = {name: caller_of(request).parts.redact(state) for name, state in states.items()}
    broken = {name: state for name, state in parts.items() if state != "ok"}
    if not is_ready:
        detail = "Not ready: " + "; ".join(f"{name}: {state}" for name, state in broken.items())
        raise Problem(503, "not_ready", detail, members={"parts": parts})
    return json_answer({"status": "degraded" if broken else "ok", "parts": parts})


@router.get(
    "/metrics",
    **operation(Tag.SYSTEM, "Metrics", answers={200: "Prometheus text format."}, media="text/plain"),
)
async def metrics(request: Request) -> Answer:
    """Prometheus metrics. Open on loopback; asks for a key elsewhere."""
    return Answer(200, caller_of(request).parts.metrics(), media=_PROMETHEUS.encode())


@router.get(
    "/api/v1/openapi.json",
    **operation(Tag.SYSTEM, "This document", answers={200: "OpenAPI 3.1."}, media="application/json", is_open=True),
)
async def openapi(request: Request) -> Answer:
    """The whole contract."""
    return Answer(200, orjson.dumps(request.app.openapi()))


@router.get("/docs", include_in_schema=False, response_model=None)
async def docs(request: Request) -> Answer:
    """The reference, drawn in the browser from the document; asks no other host."""
    return Answer(200, _page("docs.html"), media=_HTML)


@router.get("/", include_in_schema=False, response_model=None)
async def landing(request: Request) -> Answer:
    """Where to go from here."""
    version = caller_of(request).parts.version
    return Answer(200, _page("landing.html").replace(b"{{version}}", version.encode()), media=_HTML)


def _add_file(name: str, media: bytes) -> None:
    async def file(_: Request) -> Answer:
        return Answer(200, _page(name), media=media)

    router.get(f"/static/{name}", include_in_schema=False, response_model=None)(file)


# Beside the pages and not inside them, so that the policy of these pages can forbid every inline script and style.
for _name in ("docs", "landing"):
    _add_file(f"{_name}.css", _CSS)
    _add_file(f"{_name}.js", _JS)


@lru_cache
def _page(name: str) -> bytes:
    return files("llm_scheduler.api").joinpath("static", name).read_bytes()
