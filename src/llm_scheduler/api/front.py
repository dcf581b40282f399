"""The one layer around every route: request id, key, size, measuring, security headers, errors as problems.

Pure ASGI, one coroutine and one closure a request: it is on the way of every submit.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from llm_scheduler.api.errors import Problem, internal_problem, no_such_route, problem_of, wrong_method
from llm_scheduler.api.parts import Caller
from llm_scheduler.api.permissions import OPEN_PATHS
from llm_scheduler.domain.access import NOBODY, administrator
from llm_scheduler.domain.errors import SchedulerError, UnauthorizedError
from llm_scheduler.services.door import Knock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from llm_scheduler.api.parts import Parts
    from llm_scheduler.domain.access import Principal

METRICS_PATH: Final = "/metrics"
STREAMED_PATHS: Final = frozenset({"/api/v1/tasks/bulk"})
"""Bodies that are read piece by piece: no limit on the whole."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_log = structlog.get_logger(__name__)


class Front:
    """Lets requests in and problems out.

    Args:
        app: the way to the routes.
        parts: what routes use.
        new_id: gives request ids.
    """

    def __init__(self, app: ASGIApp, parts: Parts, new_id: Callable[[], str]) -> None:
        self._app, self._parts, self._new_id = app, parts, new_id
        self._signing = parts.access.signing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        began = self._parts.clock.monotonic_s()
        key, request_id, length, tenant = _read_headers(scope["headers"])
        request_id = request_id or self._new_id()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode()), *_SECURITY]
                self._measure(scope, status, began)
            await send(message)

        try:
            self._check_size(scope, length)
            address = _address(scope)
            try:
                principal = self._principal(scope, key, tenant, address)
            except UnauthorizedError:
                # They may have signed in a moment ago, in another process.
                if key is None or self._signing is None or not await self._signing.late_news.came(key):
                    raise
                principal = self._principal(scope, key, tenant, address)
            if principal.user_id is not None and self._signing is not None:
                self._signing.presence.note(principal.user_id)
            Caller(self._parts, principal, request_id, address).attach(scope)  # pyright: ignore[reportArgumentType]
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            self._measure(scope, 499, began)
        except Exception as error:
            problem = self._problem(error, scope, request_id)
            if status:
                # Half an answer is out: only cutting the connection tells the truth.
                raise
            await _send_problem(problem, request_id, answer)

    def _principal(self, scope: Scope, key: str | None, tenant: str | None, address: str) -> Principal:
        path = scope["path"]
        if path in OPEN_PATHS:
            return NOBODY
        if path == METRICS_PATH and key is None and address in _LOOPBACK:
            return administrator()
        if key is None:
            raise Problem(401, "unauthorized", "No API key. Send 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.")
        return self._parts.access.door.admit(Knock(key, address, tenant))

    def _check_size(self, scope: Scope, length: int | None) -> None:
        limit = self._parts.max_body_bytes
        if length is not None and length > limit and scope["path"] not in STREAMED_PATHS:
            detail = f"The body has {length} bytes, the limit is {limit}; many tasks go to /api/v1/tasks/bulk."
            raise Problem(413, "too_large", detail, headers={"Connection": "close"})

    def _measure(self, scope: Scope, status: int, began: float) -> None:
        route = getattr(scope.get("route"), "path_format", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._parts.meter.request(method, route, status, self._parts.clock.monotonic_s() - began)

    def _problem(self, error: Exception, scope: Scope, request_id: str) -> Problem:
        if isinstance(error, Problem):
            return error
        if isinstance(error, SchedulerError):
            problem = problem_of(error, "query" if scope["method"] == "GET" else "body")
            if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                _log.error("request_failed", request_id=request_id, path=scope["path"], exc_info=error)
            return problem
        if isinstance(error, HTTPException):
            return _problem_of_http(error, scope)
        _log.error("request_failed", request_id=request_id, path=scope["path"], exc_info=error)
        return internal_problem()


def _read_headers(
    headers: Iterable[tuple[bytes, bytes]],
) -> tuple[str | None, str | None, int | None, str | None]:
    """The key, the caller's request id, the announced length and the tenant, each if it is there and sane."""
    key = request_id = length = tenant = None
    for name, value in headers:
        if name == b"authorization":
            if value[:7].lower() == b"bearer ":
                key = value[7:].strip().decode("latin-1")
        elif name == b"x-api-key":
            key = key or value.strip().decode("latin-1")
        elif name == b"x-request-id":
            if _SANE_ID.fullmatch(value):
                request_id = value.decode()
        elif name == b"content-length" and value.isdigit():
            length = int(value)
        elif name == b"x-tenant":
            tenant = value.strip().decode("utf-8", "replace")
    return key or None, request_id, length, tenant


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return "" if client is None else client[0]


def _problem_of_http(error: HTTPException, scope: Scope) -> Problem:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return no_such_route(scope["path"])
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return wrong_method(scope["method"], _allowed(scope))
    return Problem(error.status_code, "http_error", str(error.detail), headers=error.headers)


def _allowed(scope: Scope) -> set[str]:
    """Every method that some route takes on this path."""
    routes = [route for route in scope["router"].routes if isinstance(route, Route)]
    return {method for route in routes if route.path_regex.match(scope["path"]) for method in route.methods or ()}


async def _send_problem(problem: Problem, request_id: str, send: Send) -> None:
    body = problem.body(request_id)
    headers = problem.raw_headers(len(body))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
