"""Signing in with a password, staying in, signing out; the first user; the keys of access tokens."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, Nothing, json_answer
from llm_scheduler.api.csrf import check_origin, dropped_cookies, is_secure, proven_cookie
from llm_scheduler.api.errors import Problem
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import no_query, read_body, read_optional_body
from llm_scheduler.api.schemas.sign_in import (
    EndedShown,
    LoginBody,
    LogoutBody,
    ProvidersShown,
    RefreshBody,
    RotateBody,
    RotatedShown,
    SetupBody,
    SignedInShown,
)
from llm_scheduler.api.signing import counted_failures, device_of, note_name, signed_in, signing_of
from llm_scheduler.domain.sign_in_errors import SignInNeededError

router: Final = APIRouter(route_class=DirectRoute)
_PATH: Final = "/api/v1/auth"


@router.get(
    f"{_PATH}/providers",
    **operation(Tag.SIGN_IN, "Ways to sign in", answers={200: ProvidersShown}, problems=(404, 422, 503), is_open=True),
)
async def providers(request: Request) -> Answer:
    """What a page for signing in offers."""
    no_query(request)
    parts = signing_of(request)
    oidc = None if parts.provider is None else {"start": f"{_PATH}/oidc/start"}
    return json_answer({"password": True, "oidc": oidc, "needs_setup": await parts.first_user.is_missing()})


@router.post(
    f"{_PATH}/setup",
    **operation(
        Tag.SIGN_IN,
        "Make the first user",
        body=SetupBody,
        answers={201: SignedInShown},
        problems=(401, 403, 404, 409, 413, 415, 422, 503),
        is_open=True,
    ),
)
async def setup(request: Request) -> Answer:
    """With the token that the server's start prints while there is no user: an administrator, owner of `default`."""
    no_query(request)
    parts = signing_of(request)
    body = await read_body(request, SetupBody)
    if body.cookie:
        check_origin(request, parts.public_url)
    with counted_failures(request):
        signed = await parts.first_user.accept(body.token, body.username, body.password, device_of(request))
    return signed_in(request, signed, in_cookie=body.cookie, status=201)


@router.post(
    f"{_PATH}/login",
    **operation(
        Tag.SIGN_IN,
        "Sign in",
        body=LoginBody,
        answers={200: SignedInShown},
        problems=(401, 403, 404, 413, 415, 422, 429, 503),
        is_open=True,
    ),
)
async def login(request: Request) -> Answer:
    """By username and password. 401 `totp_required`: the password is right, send the second factor, too.

    After five failures of a name or an address each further attempt has to wait: 1 s, 2 s, 4 s … 300 s (429).
    """
    no_query(request)
    parts = signing_of(request)
    body = await read_body(request, LoginBody)
    if body.cookie:
        # Else another site's page could sign its visitors in as somebody of its own.
        check_origin(request, parts.public_url)
    note_name(request, body.username)
    with counted_failures(request):
        signed = await parts.sign_in.login(body.username, body.password, body.totp, body.tenant, device_of(request))
    return signed_in(request, signed, in_cookie=body.cookie)


@router.post(
    f"{_PATH}/refresh",
    **operation(
        Tag.SIGN_IN,
        "Stay signed in",
        body=RefreshBody,
        answers={200: SignedInShown},
        problems=(401, 403, 404, 409, 413, 415, 422, 503),
        needs_body=False,
        is_open=True,
    ),
)
async def refresh(request: Request) -> Answer:
    """A new access token for the refresh token in the cookie or the body, which is used up; perhaps in another tenant.

    The cookie asks for the header X-CSRF-Token or an Origin of ours. 409 `refreshed_elsewhere`: another tab did it
    within the last 10 s, and the cookie is new already: ask again. Later than that an old token ends the sign-in:
    somebody has a copy.
    """
    no_query(request)
    parts = signing_of(request)
    body = await read_optional_body(request, RefreshBody) or RefreshBody()
    token = body.refresh_token
    if token is None:
        token = proven_cookie(request, parts.public_url)
    if token is None:
        raise Problem(401, "session_over", "No refresh token came, in cookie or body; sign in.")
    signed = await parts.sign_in.refresh(token, body.tenant, device_of(request))
    return signed_in(request, signed, in_cookie=body.refresh_token is None)


@router.post(
    f"{_PATH}/logout",
    **operation(
        Tag.SIGN_IN,
        "Sign out",
        body=LogoutBody,
        answers={204: "Signed out."},
        problems=(403, 404, 413, 415, 422, 503),
        needs_body=False,
        is_open=True,
    ),
)
async def logout(request: Request) -> Answer | Nothing:
    """End the sign-in of the refresh token in the cookie or the body; its access tokens hold no longer, either."""
    no_query(request)
    parts = signing_of(request)
    body = await read_optional_body(request, LogoutBody) or LogoutBody()
    token = body.refresh_token or proven_cookie(request, parts.public_url)
    ended = None if token is None else await parts.sign_in.logout(token, device_of(request))
    caller = caller_of(request)
    if ended is None:
        caller.trail.is_silent = True
    else:
        user = caller.parts.access.directory.user(ended.user_id)
        caller.audit(target="" if user is None else user.username, actor=user)
        caller.audit_tenant(ended.tenant_id)
    return Nothing(dropped_cookies(caller.parts.root_path, secure=is_secure(request, parts.public_url)))


@router.post(
    f"{_PATH}/logout-everywhere",
    **operation(Tag.SIGN_IN, "Sign out everywhere", answers={200: EndedShown}, problems=(404, 503)),
)
async def logout_everywhere(request: Request) -> Answer:
    """End every sign-in and every access token of one's own. API keys go on."""
    no_query(request)
    parts, caller = signing_of(request), caller_of(request)
    user_id, login_id = caller.principal.user_id, caller.principal.login_id
    if user_id is None or login_id is None:
        raise SignInNeededError
    caller.audit(target=caller.principal.username)
    shown = {"ended_sessions": await parts.sign_in.logout_everywhere(user_id, device_of(request))}
    caller.audit(after=shown)
    return json_answer(shown)


@router.post(
    f"{_PATH}/signing-keys/rotate",
    **operation(
        Tag.SIGN_IN,
        "Change the key of access tokens",
        body=RotateBody,
        answers={200: RotatedShown},
        problems=(404, 413, 415, 503),
        needs_body=False,
    ),
)
async def rotate(request: Request) -> Answer:
    """Sign with a new key. What the old one signed holds until it is over, unless `keep_old` is false."""
    no_query(request)
    body = await read_optional_body(request, RotateBody) or RotateBody()
    shown = {"kid": await signing_of(request).tokens.rotate(keeps_old=body.keep_old)}
    caller_of(request).audit(target=shown["kid"], after={**shown, "keep_old": body.keep_old})
    return json_answer(shown)
