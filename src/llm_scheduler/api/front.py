"""The one layer around every route: request id, protection, key, limits, size, measuring, headers, errors as problems.

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

from llm_scheduler.api.errors import (
    Problem,
    internal_problem,
    no_such_route,
    problem_of,
    rate_problem,
    wrong_method,
)
from llm_scheduler.api.openai_errors import error_body, is_openai, raw_headers, spoken
from llm_scheduler.api.parts import Caller
from llm_scheduler.api.permissions import OPEN_PATHS
from llm_scheduler.api.protection import FILES, HEALTH_PATHS, check_key_address, limit_headers
from llm_scheduler.domain.access import NOBODY, administrator
from llm_scheduler.domain.access_errors import RateLimitedError, UnauthorizedError
from llm_scheduler.domain.errors import SchedulerError
from llm_scheduler.services.door import Knock
from llm_scheduler.services.rate_limits import FREE, NO_DEMANDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.types import Message, Receive, Scope, Send

    from llm_scheduler.api.origin import Origin
    from llm_scheduler.api.pages import Pages
    from llm_scheduler.api.parts import Parts
    from llm_scheduler.api.protection import Header, Protection
    from llm_scheduler.domain.access import Principal
    from llm_scheduler.services.rate_limits import Demand, Passed

METRICS_PATH: Final = "/metrics"
STREAMED_PATHS: Final = frozenset({"/api/v1/tasks/bulk"})
"""Bodies that are read piece by piece: no limit on the whole."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_PAGES_OWN: Final = frozenset({b"cache-control", b"content-security-policy"})
_MOST_DIGITS: Final = 18
_NO_KEY: Final = "No API key. Send 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."
_log = structlog.get_logger(__name__)


class Front:
    """Lets requests in and problems out.

    Args:
        app: pages, and the way to the routes.
        parts: what routes use.
        new_id: gives request ids.
    """

    def __init__(self, app: Pages, parts: Parts, new_id: Callable[[], str]) -> None:
        self._app, self._parts, self._new_id = app, parts, new_id
        self._protection, self._signing = parts.access.protection, parts.access.signing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        began = self._parts.clock.monotonic_s()
        # Of several of a name the last one; nothing that is read here may come twice.
        fields: dict[bytes, bytes] = dict(scope["headers"])
        protection, passed = self._protection, FREE
        origin = protection.origins.of(scope, fields)
        request_id = _request_id(fields) or self._new_id()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _completed(message["headers"], request_id, protection, scope["path"], origin)
                if b"origin" in fields:
                    message["headers"] += protection.cors_headers(fields)
                if passed is not FREE:
                    message["headers"] += limit_headers(passed)
                self._measure(scope, status, began)
            await send(message)

        try:
            self._strip_root(scope)
            protection.check_scheme(scope, fields, origin)
            if b"origin" in fields and (allowed := protection.preflight(scope, fields)) is not None:
                await _send_nothing(allowed, answer)
                return
            self._check_size(scope, fields)
            passed = await self._admit(scope, fields, origin, request_id)
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            self._measure(scope, 499, began)
        except Exception as error:
            problem = self._problem(error, scope, request_id)
            if status:
                # Half an answer is out: only cutting the connection tells the truth.
                raise
            send_it = _send_openai_problem if is_openai(scope["path"]) else _send_problem
            await send_it(problem, request_id, answer, self._parts.redact)

    def _strip_root(self, scope: Scope) -> None:
        """A proxy may leave the prefix in the path."""
        root, path = self._parts.root_path, scope["path"]
        if root and (path == root or path.startswith(root + "/")):
            scope["path"] = path[len(root) :] or "/"

    def _is_open(self, scope: Scope) -> bool:
        return scope["path"] in OPEN_PATHS or self._app.file_for(scope) is not None

    def _knock(self, scope: Scope, fields: Mapping[bytes, bytes], origin: Origin) -> Knock | None:
        """What is brought where something is asked for."""
        key = _key(fields)
        if key is None or self._is_open(scope):
            return None
        tenant = fields.get(b"x-tenant")
        return Knock(key, origin.address, None if tenant is None else tenant.strip().decode("utf-8", "replace"))

    async def _admit(self, scope: Scope, fields: Mapping[bytes, bytes], origin: Origin, request_id: str) -> Passed:
        """Attach the caller, who is known and within all limits; what is left of the tightest."""
        knock = self._knock(scope, fields, origin)
        try:
            principal, demands = self._let_in(scope, knock, origin)
        except UnauthorizedError:
            # They may have signed in a moment ago, in another process.
            if knock is None or self._signing is None or not await self._signing.late_news.came(knock.credential):
                raise
            principal, demands = self._let_in(scope, knock, origin)
        passed = await self._pass(demands) if demands else FREE
        caller = Caller(self._parts, _known(principal), request_id, origin, knock)
        if caller.principal.user_id is not None and self._signing is not None:
            self._signing.presence.note(caller.principal.user_id)
        caller.attach(scope)
        return passed

    def _let_in(self, scope: Scope, knock: Knock | None, origin: Origin) -> tuple[Principal | None, Sequence[Demand]]:
        """Who that is, None for one who does not say, and the limits that the request must pass."""
        path, limits = scope["path"], self._protection.limits
        if knock is None:
            if path == METRICS_PATH and origin.is_local:
                return administrator(), NO_DEMANDS
            principal = NOBODY if self._is_open(scope) else None
            if (
                limits is None
                or path in HEALTH_PATHS
                or path.startswith(FILES)
                or self._app.file_for(scope) is not None
            ):
                return principal, NO_DEMANDS
            return principal, limits.of_nobody(origin.address)
        if limits is None:
            principal = self._parts.access.door.admit(knock)
        else:
            was_good = limits.check_failures(origin.address, knock.credential)
            try:
                principal = self._parts.access.door.admit(knock)
            except UnauthorizedError:
                limits.failed(origin.address, knock.credential)
                raise
            if not was_good:
                limits.got_in(origin.address, knock.credential)
        if principal.key_id is not None:
            check_key_address(self._parts.access.directory.key(principal.key_id), origin.address)
        if knock.tenant is not None and principal.is_admin:
            # In a tenant of one's choice: that is administration, whatever is done there.
            self._protection.check_administration(origin.address)
        return principal, NO_DEMANDS if limits is None else limits.of(principal, origin.address)

    async def _pass(self, demands: Sequence[Demand]) -> Passed:
        limits = self._protection.limits
        if limits is None:
            return FREE
        return limits.pass_now(demands) or await limits.passing(demands)

    def _check_size(self, scope: Scope, fields: Mapping[bytes, bytes]) -> None:
        said = fields.get(b"content-length")
        if said is None or not said.isdigit():
            return
        limit = self._parts.max_body_bytes
        if (len(said) > _MOST_DIGITS or int(said) > limit) and scope["path"] not in STREAMED_PATHS:
            shown = said[:_MOST_DIGITS].decode()
            detail = f"The body has {shown} bytes, the limit is {limit}; many tasks go to /api/v1/tasks/bulk."
            raise Problem(413, "too_large", detail, headers={"Connection": "close"})

    def _measure(self, scope: Scope, status: int, began: float) -> None:
        route = getattr(scope.get("route"), "path_format", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._parts.meter.request(method, route, status, self._parts.clock.monotonic_s() - began)

    def _problem(self, error: Exception, scope: Scope, request_id: str) -> Problem:
        if isinstance(error, Problem):
            return error
        if isinstance(error, RateLimitedError):
            return rate_problem(error)
        if isinstance(error, SchedulerError):
            problem = problem_of(error, "query" if scope["method"] == "GET" else "body")
            if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                _log.error("request_failed", request_id=request_id, path=scope["path"], exc_info=error)
            return problem
        if isinstance(error, HTTPException):
            return _problem_of_http(error, scope)
        _log.error("request_failed", request_id=request_id, path=scope["path"], exc_info=error)
        return internal_problem()


def _completed(
    given: Sequence[Header], request_id: str, protection: Protection, path: str, origin: Origin
) -> list[Header]:
    """With what every answer carries; a page may say itself how long it is kept, and what it may load."""
    own = protection.own_headers(path, origin)
    if not any(name in _PAGES_OWN for name, _ in given):
        return [*given, (b"x-request-id", request_id.encode()), *own]
    names = {name for name, _ in given}
    return [*given, (b"x-request-id", request_id.encode()), *(one for one in own if one[0] not in names)]


def _known(principal: Principal | None) -> Principal:
    """Whoever that is.

    Raises:
        Problem: 401, nobody.
    """
    if principal is None:
        raise Problem(401, "unauthorized", _NO_KEY)
    return principal


def _key(fields: Mapping[bytes, bytes]) -> str | None:
    """The key or token that was sent, if any."""
    said = fields.get(b"authorization")
    if said is not None and said[:7].lower() == b"bearer " and said[7:].strip():
        return said[7:].strip().decode("latin-1")
    said = fields.get(b"x-api-key")
    return None if said is None else said.strip().decode("latin-1") or None


def _request_id(fields: Mapping[bytes, bytes]) -> str | None:
    """The caller's own id of the request, if it is sane."""
    said = fields.get(b"x-request-id")
    return said.decode() if said is not None and _SANE_ID.fullmatch(said) else None


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


async def _send_nothing(headers: Sequence[tuple[bytes, bytes]], send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": list(headers)})
    await send({"type": "http.response.body", "body": b""})


async def _send_problem(problem: Problem, request_id: str, send: Send, redact: Callable[[str], str]) -> None:
    body = problem.body(request_id, redact)
    headers = problem.raw_headers(len(body))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_openai_problem(problem: Problem, _: str, send: Send, redact: Callable[[str], str]) -> None:
    problem = spoken(problem)
    body = error_body(problem, redact)
    headers = raw_headers(problem, len(body))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
