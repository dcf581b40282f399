"""Signing in at an OpenID Connect provider: there and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter
from pydantic import StringConstraints
from starlette.requests import Request

from llm_scheduler.api.answers import Answer
from llm_scheduler.api.csrf import cookie, is_secure, sign_in_cookies
from llm_scheduler.api.errors import Problem
from llm_scheduler.api.fields import Body
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import query_of
from llm_scheduler.api.schemas.sign_in import TenantName
from llm_scheduler.api.signing import device_of, note_signed_in, signing_of
from llm_scheduler.domain.errors import SchedulerError
from llm_scheduler.services.provider_sign_in import ERRAND_S

if TYPE_CHECKING:
    from llm_scheduler.services.provider_sign_in import ProviderSignIn

router: Final = APIRouter(route_class=DirectRoute)
_PATH: Final = "/api/v1/auth/oidc"
_ERRAND_COOKIE: Final = "llms_oidc"
_OWN_PATH: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)
"""A path of ours; `//host` and `/\\host` are other hosts to a browser."""
_MOST_RETURNED: Final = 4_096


class StartQuery(Body):
    """Where to go afterwards."""

    tenant: TenantName | None = None
    target: Annotated[str, StringConstraints(pattern=r"^/", max_length=500)] = "/"
    """A path of this server, for example `/models`; without the prefix under which a proxy shows it."""


class ReturnQuery(Body):
    """What the provider adds; what else it says is not looked at."""

    state: str | None = None
    code: str | None = None
    error: str | None = None
    iss: str | None = None


@router.get(
    f"{_PATH}/start",
    **operation(
        Tag.SIGN_IN,
        "Sign in at the provider",
        query=StartQuery,
        answers={302: "To the provider."},
        problems=(404, 422, 503),
        is_open=True,
    ),
)
async def start(request: Request) -> Answer:
    """A browser goes here, not a script: it is sent on to the provider."""
    provider, redirect_uri = _provider(request)
    asked = query_of(request, StartQuery)
    if not _OWN_PATH.fullmatch(asked.target):
        raise Problem(422, "invalid_request", "target: Use a path of this server, such as /models.")
    try:
        departure = await provider.begin(redirect_uri, asked.tenant, asked.target)
    except SchedulerError as error:
        return _back_to_the_door(request, error)
    return _redirect(departure.url, _errand_cookie(request, departure.kept, ERRAND_S))


@router.get(
    f"{_PATH}/callback",
    **operation(
        Tag.SIGN_IN,
        "Come back from the provider",
        query=ReturnQuery,
        answers={302: "Signed in, to where it began; a browser that is not let in, to the sign-in page."},
        problems=(401, 403, 404, 503),
        is_open=True,
    ),
)
async def callback(request: Request) -> Answer:
    """The provider sends the browser here with a code. Sets the cookies of a sign-in."""
    provider, redirect_uri = _provider(request)
    returned = {name: value[:_MOST_RETURNED] for name, value in request.query_params.items()}
    kept = request.cookies.get(_ERRAND_COOKIE)
    try:
        signed, target = await provider.finish(kept, redirect_uri, returned, device_of(request))
    except SchedulerError as error:
        return _back_to_the_door(request, error)
    note_signed_in(request, signed)
    secure = is_secure(request, signing_of(request).public_url)
    max_age_s = max(0, (signed.expires_at - caller_of(request).parts.clock.now()) // 1000)
    root = caller_of(request).parts.root_path
    cookies = sign_in_cookies(signed.refresh.text, signed.refresh.csrf, max_age_s, root, secure=secure)
    return _redirect(root + target, _errand_cookie(request, "", 0), *cookies)


def _back_to_the_door(request: Request, error: SchedulerError) -> Answer:
    """Where somebody can begin again. It is a person's browser that comes here; a program has the problem itself."""
    if "text/html" not in request.headers.get("accept", ""):
        raise error
    root = caller_of(request).parts.root_path
    return _redirect(f"{root}/sign-in?error={error.code}", _errand_cookie(request, "", 0))


def _provider(request: Request) -> tuple[ProviderSignIn, str]:
    parts = signing_of(request)
    if parts.provider is None or parts.public_url is None:
        raise Problem(404, "not_found", "No provider is configured (LLMS_OIDC_ISSUER); sign in with a password.")
    root = caller_of(request).parts.root_path
    return parts.provider, f"{parts.public_url}{root}{_PATH}/callback"


def _errand_cookie(request: Request, value: str, max_age_s: int) -> tuple[bytes, bytes]:
    secure = is_secure(request, signing_of(request).public_url)
    # Lax: it is the provider's page that leads back here.
    path = caller_of(request).parts.root_path + _PATH
    return cookie(_ERRAND_COOKIE, value, path, max_age_s, secure=secure, hidden=True, lax=True)


def _redirect(url: str, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(302, b"", ((b"location", url.encode()), *headers))
