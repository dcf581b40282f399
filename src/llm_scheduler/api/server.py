"""The ASGI app: every route, behind one layer."""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI

from llm_scheduler.api.contract import document
from llm_scheduler.api.front import Front
from llm_scheduler.api.pages import Pages
from llm_scheduler.api.routes import (
    actions,
    api_keys,
    audit,
    auth,
    budgets,
    bulk,
    dead_letters,
    endpoints,
    events,
    explain,
    exports,
    history,
    me,
    members,
    models,
    network,
    openai,
    plugins,
    predictions,
    prices,
    secret_keys,
    series,
    settings,
    sign_in_elsewhere,
    stats,
    system,
    task_export,
    tasks,
    tenants,
    users,
)
from llm_scheduler.api.switch import Switch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastapi import APIRouter
    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope, Send

    from llm_scheduler.api.parts import Parts

ROUTERS: Final[tuple[APIRouter, ...]] = (
    bulk.router,
    actions.router,
    explain.router,
    task_export.router,
    tasks.router,
    openai.router,
    events.router,
    dead_letters.router,
    predictions.router,
    endpoints.router,
    models.router,
    plugins.router,
    api_keys.router,
    budgets.router,
    prices.router,
    series.router,
    settings.router,
    stats.router,
    history.router,
    exports.router,
    tenants.router,
    users.router,
    members.router,
    network.router,
    secret_keys.router,
    auth.router,
    sign_in_elsewhere.router,
    me.router,
    audit.router,
    system.router,
)
"""Tried from first to last: fixed paths stand before those with a field."""


class Api(FastAPI):
    """FastAPI as router and document; `Front` and `Switch` stand where its layers would.

    Profiles of single submits showed those layers and the matching of routes as a good part of the whole
    (`bench/submit.py` measures it).
    """

    def __init__(self, parts: Parts, routers: Sequence[APIRouter], **options: Any) -> None:
        super().__init__(**options)
        self._parts = parts
        # Taken over one by one: an included router would be matched twice per request.
        self.router.routes.extend(routes(routers))
        pages = Pages(Switch(self.router.routes, self.router), parts.dashboard, parts.root_path)
        self._front = Front(pages, parts, _request_ids())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and stop."""
        if scope["type"] == "http":
            scope["app"] = self
            await self._front(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = document(self.router.routes, self._parts.version)
        return self.openapi_schema


def routes(routers: Sequence[APIRouter] = ROUTERS) -> list[BaseRoute]:
    """Every route, in the order in which they are tried."""
    return [route for router in routers for route in router.routes]


def create_app(parts: Parts, *, is_probes_only: bool = False) -> Api:
    """The API over these parts; for a worker only what a supervisor asks: health, readiness, metrics."""
    routers = (system.router,) if is_probes_only else ROUTERS
    return Api(parts, routers, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)


def _request_ids() -> Callable[[], str]:
    """Ids that no other process gives; random once, then counted: a system call per request would be felt."""
    start = secrets.token_hex(6)
    numbers = itertools.count(1)
    return lambda: f"{start}{next(numbers):06x}"
