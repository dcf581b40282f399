"""What the routes of signing in share: where a request comes from, and the answer that lets somebody in."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import orjson

from llm_scheduler.api.answers import Answer
from llm_scheduler.api.csrf import is_secure, sign_in_cookies
from llm_scheduler.api.errors import Problem
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.schemas.sign_in import signed_in_json
from llm_scheduler.domain.sign_in_errors import WrongCredentialsError, WrongSetupTokenError, WrongTotpError
from llm_scheduler.services.happenings import Device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from llm_scheduler.api.parts import SignInParts
    from llm_scheduler.services.sign_in import SignedIn


def signing_of(request: Request) -> SignInParts:
    """The parts of signing in.

    Raises:
        Problem: 404, nobody signs in here.
    """
    parts = caller_of(request).parts.access.signing
    if parts is None:
        raise Problem(404, "not_found", "Nobody signs in here; send an API key.")
    return parts


def device_of(request: Request) -> Device:
    """Where the request comes from."""
    caller = caller_of(request)
    agent = "".join(one for one in request.headers.get("user-agent", "") if one.isprintable())
    return Device(caller.address, agent, caller.request_id)


def note_name(request: Request, username: str) -> None:
    """Have the audit log say whose sign-in is tried. What nobody is called may be a password in the wrong field."""
    caller = caller_of(request)
    user = caller.parts.access.directory.user_named(username.strip().lower())
    caller.audit(target="" if user is None else user.username)


def note_signed_in(request: Request, signed: SignedIn) -> None:
    """Have the audit log say who came in, and where."""
    caller = caller_of(request)
    after = {"tenant": signed.tenant.name, "role": signed.role.value}
    caller.audit(target=signed.user.username, actor=signed.user, after=after)
    caller.audit_tenant(signed.tenant.id)


@contextmanager
def counted_failures(request: Request) -> Iterator[None]:
    """What is wrong in here counts as a wrong key does.

    Raises:
        RateLimitedError: there were too many from this address.
    """
    caller = caller_of(request)
    limits = caller.parts.access.protection.limits
    if limits is not None:
        limits.check_failures(caller.address, "")
    try:
        yield
    except (WrongCredentialsError, WrongTotpError, WrongSetupTokenError):
        if limits is not None:
            limits.failed(caller.address)
        raise


def signed_in(request: Request, signed: SignedIn, *, in_cookie: bool, status: int = 200) -> Answer:
    """The answer that lets somebody in."""
    note_signed_in(request, signed)
    parts = signing_of(request)
    now = caller_of(request).parts.clock.now()
    body = orjson.dumps(signed_in_json(signed, now, in_cookie=in_cookie))
    if not in_cookie:
        return Answer(status, body)
    max_age_s = max(0, (signed.expires_at - now) // 1000)
    secure = is_secure(request, parts.public_url)
    root = caller_of(request).parts.root_path
    cookies = sign_in_cookies(signed.refresh.text, signed.refresh.csrf, max_age_s, root, secure=secure)
    return Answer(status, body, cookies)
