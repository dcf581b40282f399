"""What the routes of signing in share: where a request comes from, and the answer that lets somebody in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from llm_scheduler.api.answers import Answer
from llm_scheduler.api.csrf import is_secure, sign_in_cookies
from llm_scheduler.api.errors import Problem
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.schemas.sign_in import signed_in_json
from llm_scheduler.services.happenings import Device

if TYPE_CHECKING:
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


def signed_in(request: Request, signed: SignedIn, *, in_cookie: bool, status: int = 200) -> Answer:
    """The answer that lets somebody in."""
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
