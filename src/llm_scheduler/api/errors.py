"""Errors as callers see them: RFC 9457 problems. The one table from error to status."""

from __future__ import annotations

from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Final, TypedDict, cast

import orjson

from llm_scheduler.domain import access_errors as access
from llm_scheduler.domain import errors
from llm_scheduler.domain import sign_in_errors as sign_in
from llm_scheduler.domain.tries import LONGEST_WAIT_S
from llm_scheduler.ports.redactor import as_it_is

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

PROBLEM_JSON: Final = b"application/problem+json"

STATUS: Final[Mapping[type[errors.SchedulerError], int]] = {
    errors.SchedulerError: 500,
    errors.NotFoundError: 404,
    errors.TaskNotFoundError: 404,
    errors.ModelNotFoundError: 404,
    errors.EndpointNotFoundError: 404,
    errors.ActionNotFoundError: 404,
    errors.BudgetNotFoundError: 404,
    errors.PriceNotFoundError: 404,
    errors.InvalidInputError: 422,
    errors.InputTooLargeError: 413,
    errors.ConflictError: 409,
    errors.NameTakenError: 409,
    errors.EndpointTakenError: 409,
    errors.BudgetNameTakenError: 409,
    errors.ModelInUseError: 409,
    errors.ModelChangedError: 409,
    errors.WrongStatusError: 409,
    errors.IdempotencyConflictError: 409,
    access.KeyNotEverywhereError: 409,
    errors.PayloadGoneError: 409,
    errors.QueueFullError: 429,
    errors.WaitTooLongError: 429,
    errors.StoreUnavailableError: 503,
    errors.BrokerUnavailableError: 503,
    errors.ArchiveUnavailableError: 503,
    errors.StoreUnusableError: 503,
    access.ApiKeyNotFoundError: 404,
    access.ApiKeyRevokedError: 409,
    access.TooManyApiKeysError: 409,
    access.UnauthorizedError: 401,
    access.ForbiddenError: 403,
    access.AddressNotAllowedError: 403,
    access.RateLimitedError: 429,
    access.TenantNotFoundError: 404,
    access.TenantNameTakenError: 409,
    access.TenantInUseError: 409,
    access.UserNotFoundError: 404,
    access.MemberNotFoundError: 404,
    access.UsernameTakenError: 409,
    access.LastAdminError: 409,
    access.SharedModelError: 403,
    access.ServerModelError: 403,
    access.ImposedBudgetError: 403,
    errors.TenantQueueFullError: 429,
    errors.UnsealError: 503,
    sign_in.WrongCredentialsError: 401,
    sign_in.TotpRequiredError: 401,
    sign_in.WrongTotpError: 401,
    sign_in.TooManyAttemptsError: 429,
    sign_in.SignInBusyError: 503,
    sign_in.WeakPasswordError: 422,
    sign_in.SessionOverError: 401,
    sign_in.RefreshReusedError: 401,
    sign_in.RefreshedElsewhereError: 409,
    sign_in.SetupClosedError: 409,
    sign_in.WrongSetupTokenError: 401,
    sign_in.NoTenantError: 403,
    sign_in.SignInNeededError: 403,
    sign_in.SessionNotFoundError: 404,
    sign_in.OtherSignInError: 409,
    sign_in.ProviderRefusedError: 401,
    sign_in.ProviderUnavailableError: 503,
}
"""Every class of the tree, named; a test demands a row for each."""

OWN_CODES: Final[Mapping[str, str]] = {
    "invalid_json": "The body is not JSON that can be kept.",
    "method_not_allowed": "The path exists, this method does not.",
    "unsupported_media_type": "The body's type, charset or compression is not taken.",
    "shown_once": "The secret that an earlier request with this Idempotency-Key made is shown once only.",
    "not_ready": "A part of the server does not work now.",
    "http_error": "The request is not well-formed HTTP.",
    "https_required": "This installation takes no requests by plain HTTP.",
    "csrf_failed": "A cookie came without proof that a page of ours sent it.",
}
"""Codes that the domain does not know."""

TITLES: Final[Mapping[int, str]] = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    302: "Found",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
"""Of RFC 9110; Python's own names differ from version to version, and the document must not."""

_LEAST_RETRY_S: Final = 1
_MOST_RETRY_S: Final = 60
_LONGEST_RETRY_S: Final = LONGEST_WAIT_S
"""After failed attempts to sign in."""
_DEFAULT_RETRY_S: Final = 5


class FieldError(TypedDict):
    """One thing that is wrong with a body or a query."""

    loc: list[str | int]
    msg: str


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """An answer that is an error.

    Args:
        status: HTTP status.
        code: stable snake_case.
        detail: what is wrong and what to do next; holds no internals.
        errors: where, for a bad body or query.
        retry_after_s: for 429 and 503; brought into 1–60, after failed sign-ins 1–300.
        headers: further headers.
        members: extension members of the problem document.
    """

    def __init__(  # noqa: PLR0913 - the members of a problem document
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.members = list(errors), dict(members or {})
        self.headers = dict(headers or {})
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            wait_s = _DEFAULT_RETRY_S if retry_after_s is None else round(retry_after_s)
            most_s = _LONGEST_RETRY_S if code == sign_in.TooManyAttemptsError.code else _MOST_RETRY_S
            self.headers["Retry-After"] = str(min(most_s, max(_LEAST_RETRY_S, wait_s)))
        if status == HTTPStatus.UNAUTHORIZED:
            self.headers["WWW-Authenticate"] = 'Bearer realm="llm-scheduler"'

    def body(self, request_id: str, redact: Callable[[str], str] = as_it_is) -> bytes:
        """The problem document, with no secret in it. Words of our own are known to have none."""
        said: dict[str, object] = {"detail": self.detail, "request_id": request_id}
        if self.errors:
            said["errors"] = self.errors
        kept = redacted(said | self.members, redact)
        own = {"type": f"/docs#{self.code}", "title": TITLES.get(self.status, "Error"), "status": self.status}
        return orjson.dumps({**own, "code": self.code, **cast("dict[str, object]", kept)})

    def raw_headers(self, length: int) -> list[tuple[bytes, bytes]]:
        """Headers of the answer, ready for ASGI."""
        fixed = [(b"content-type", PROBLEM_JSON), (b"content-length", b"%d" % length)]
        return fixed + [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]


def redacted(value: object, redact: Callable[[str], str]) -> object:
    """A JSON value whose texts went through `redact`."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        found = cast("dict[str, object]", value)
        return {name: redacted(one, redact) for name, one in found.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(one, redact) for one in cast("Sequence[object]", value)]
    return value


def status_of(error: errors.SchedulerError) -> int:
    """The status of the nearest class in the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem_of(error: errors.SchedulerError, *prefix: str | int) -> Problem:
    """The domain's error as a problem. `prefix` says where in the request its `loc` begins."""
    status = status_of(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return internal_problem()
    loc = getattr(error, "loc", ())
    where: list[FieldError] = [{"loc": [*prefix, *loc], "msg": str(error)}] if loc else []
    wait_s = getattr(error, "retry_after_s", None)
    return Problem(status, error.code, str(error), errors=where, retry_after_s=wait_s)


def rate_problem(error: access.RateLimitedError) -> Problem:
    """429 with which limit, and how it stands."""
    headers = {
        "X-RateLimit-Limit": str(error.per_minute),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(ceil(error.reset_s)),
    }
    return Problem(
        STATUS[access.RateLimitedError],
        error.code,
        str(error),
        retry_after_s=ceil(error.retry_after_s),
        headers=headers,
        members={"limit": error.limit},
    )


def codes() -> dict[str, str]:
    """Every code that a problem may carry, with what it means."""
    found = {kind.code: (kind.__doc__ or "").splitlines()[0] for kind in reversed(STATUS)}
    found["internal_error"] = "The server made a mistake."
    return dict(sorted({**found, **OWN_CODES}.items()))


def internal_problem() -> Problem:
    """Something that should not happen; the log has it under the request id."""
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        "The server made a mistake. Its log tells more under this request_id; the request may be repeated.",
    )


def invalid(message: str, *loc: str | int) -> Problem:
    """422 about one place of the request."""
    return Problem(422, "invalid_request", message, errors=[{"loc": list(loc), "msg": message}])


def too_large(what: str, limit: int, advice: str) -> Problem:
    """413: `what` is over `limit` bytes."""
    return Problem(413, "too_large", f"{what} is over the limit of {limit} bytes; {advice}.")


def no_such_route(path: str) -> Problem:
    """404 for a path that means nothing."""
    return Problem(404, "not_found", f"There is nothing at {path[:200]}. /docs lists every path.")


def wrong_method(method: str, allowed: Collection[str]) -> Problem:
    """405: the path exists, this method does not."""
    names = ", ".join(sorted(allowed))
    return Problem(
        405, "method_not_allowed", f"{method[:20]} is not possible here; use {names}.", headers={"Allow": names}
    )
